"""What a fit chose for its user, and the figures that it chose by.

A choice is stored in the fit record, and printed by ``bayes-clv fit``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from bayes_clv.data.described import Described
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


def _number(value: float) -> str:
    return f"{value:,.1f}".replace("-", "−")
