"""What a fit chose for its user, and the figures that it chose by.

A choice is stored in the fit record, and printed by ``bayes-clv fit``.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from bayes_clv.data.described import Described, listed
from bayes_clv.models.bgnbd import Dropout

AUTO: Literal["auto"] = "auto"
CLEARLY = 2.0  # standard errors: a smaller difference could be chance
LEAST = 2.0  # of log-likelihood: "considerable support" for the other (Burnham & Anderson 2002)


def is_tie(gain: float, error: float) -> bool:
    """Whether a difference of log-likelihoods, given its standard error, decides nothing."""
    return abs(gain) <= max(LEAST, CLEARLY * error)


@dataclass(frozen=True, slots=True, repr=False)
class DropoutChoice(Described):
    """After which purchases customers may leave, and why.

    Attributes
    ----------
    asked
        What the user asked for: ``"auto"``, or the rule itself.
    chosen
        The rule of the model.
    after_repeat, after_any
        Log-likelihood of BG/NBD and of MBG/NBD, without segments, at the mode of its posterior;
        durations in days. None if it was not needed or cannot be computed.
    error
        Standard error of their difference, of all customers together; customers are paired.

    Examples
    --------
    >>> DropoutChoice("auto", Dropout.AFTER_ANY, -9590.1, -9582.4, 1.25).words
    'dropout: MBG/NBD (customers may leave after any purchase): log-likelihood −9,582.4 against −9,590.1 of BG/NBD'
    """  # noqa: E501

    asked: str
    chosen: Dropout
    after_repeat: float | None = None
    after_any: float | None = None
    error: float | None = None

    @property
    def words(self) -> str:
        """The choice in one line."""
        purchases = {Dropout.AFTER_REPEAT: "a repeat", Dropout.AFTER_ANY: "any"}[self.chosen]
        words = (
            f"dropout: {self.chosen.model_name} (customers may leave after {purchases} purchase)"
        )
        if self.asked != AUTO:
            return f"{words}, as asked for"
        (other,) = set(Dropout) - {self.chosen}
        own, others = (getattr(self, rule.value) for rule in (self.chosen, other))
        if own is None or others is None:
            return f"{words}: the log-likelihood of {other.model_name} cannot be computed"
        words += f": log-likelihood {_number(own)} against {_number(others)} of {other.model_name}"
        return words + (", too close to decide" if self.tied else "")

    @property
    def tied(self) -> bool:
        """Whether the log-likelihoods are too close to decide."""
        if self.after_repeat is None or self.after_any is None or self.error is None:
            return False
        return is_tie(self.after_any - self.after_repeat, self.error)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "asked": self.asked,
            "chosen": self.chosen.value,
            "after_repeat": self.after_repeat,
            "after_any": self.after_any,
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``."""
        return cls(**dict(stored) | {"chosen": Dropout(stored["chosen"])})

    def _facts(self) -> Mapping[str, object]:
        return {"asked": self.asked, "chosen": self.chosen.model_name}


@dataclass(frozen=True, slots=True, repr=False)
class SegmentChoice(Described):
    """Which segments the model has, chosen by forecasts of the last part of the log.

    Attributes
    ----------
    chosen
        The candidate with the best log score.
    origin, horizon
        The candidates were fitted to the log until this day, and forecast the days after it. None
        if the log is too short to compare them.
    scores
        Log score per customer of each candidate that could be fitted; higher is better.

    Examples
    --------
    >>> SegmentChoice("RFM", dt.date(1998, 1, 1), 180, {"pooled": -0.56, "RFM": -0.55}).words
    'segments: RFM, by the log score of the 180 days after 1998-01-01: pooled −0.5600, RFM −0.5500'
    """

    chosen: str
    origin: dt.date | None = None
    horizon: int | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The choice in one line."""
        if not self.scores:
            return f"segments: {self.chosen}, for the log is too short to compare segmentations"
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.scores.items())
        return (
            f"segments: {self.chosen}, by the log score of the {self.horizon} days after "
            f"{self.origin}: {scores.replace('-', '−')}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "chosen": self.chosen,
            "origin": self.origin and self.origin.isoformat(),
            "horizon": self.horizon,
            "scores": dict(self.scores),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``."""
        origin = stored["origin"] and dt.date.fromisoformat(stored["origin"])
        return cls(**dict(stored) | {"origin": origin})

    def _facts(self) -> Mapping[str, object]:
        return {"chosen": self.chosen, "origin": self.origin, "candidates": listed(self.scores)}


def _number(value: float) -> str:
    return f"{value:,.1f}".replace("-", "−")
