"""The answer about one customer: means, intervals, and the segment and model used."""

from collections.abc import Mapping
from dataclasses import dataclass

from bayes_clv.data.described import Described
from bayes_clv.models.bgnbd import Dropout


@dataclass(frozen=True, slots=True)
class Estimate:
    """A posterior mean and its equal-tailed interval."""

    mean: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.mean:.4g} ({self.lower:.4g}–{self.upper:.4g})"


@dataclass(frozen=True, slots=True, repr=False)
class Answer(Described):
    """The answer about one customer.

    Attributes
    ----------
    alive
        Probability that the customer has not left.
    purchase
        Probability of at least one purchase within ``horizon`` days.
    level
        Mass of both intervals.
    horizon
        Days ahead.
    segment
        The segment whose parameters were used.
    dropout
        The model: BG/NBD or MBG/NBD.
    """

    alive: Estimate
    purchase: Estimate
    level: float
    horizon: float
    segment: str
    dropout: Dropout

    def _facts(self) -> Mapping[str, object]:
        return {
            "segment": self.segment,
            "P(alive)": self.alive,
            f"P(purchase in {self.horizon:g} days)": self.purchase,
            "level": self.level,
            "model": self.dropout.model_name,
        }
