"""The answer about one customer: posterior means with intervals."""

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
    """The answer about one customer, with the segment and model that it comes from.

    Attributes
    ----------
    alive
        The probability that the customer has not left.
    purchase
        The probability of buying within ``horizon`` days.
    level
        Mass of both intervals.
    horizon
        Days ahead.
    segment
        The segment whose parameters were used.
    dropout
        When customers may leave: BG/NBD or MBG/NBD.
    """

    alive: Estimate
    purchase: Estimate
    level: float
    horizon: float
    segment: str
    dropout: Dropout
