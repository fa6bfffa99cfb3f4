"""The answer about one customer: means, intervals, and the segment and model used."""

from dataclasses import dataclass

from bayes_clv.models.bgnbd import Dropout


@dataclass(frozen=True, slots=True)
class Estimate:
    """A posterior mean and its equal-tailed interval."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Answer:
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
