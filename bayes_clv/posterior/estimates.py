"""What is answered about one customer: means and intervals, and whose they are."""

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
    """What is asked about one customer, and which model says so.

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
        Whose parameters answer.
    dropout
        When customers may leave: BG/NBD or MBG/NBD.
    """

    alive: Estimate
    purchase: Estimate
    level: float
    horizon: float
    segment: str
    dropout: Dropout
