"""What is simulated, how it is fitted, and which answers are checked."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from bayes_clv.errors import InputError
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import Priors
from bayes_clv.segments.rules import KMeansRule, PooledRule, SegmentRule

LEVELS = (0.5, 0.9)

# Idle for more or for less than 60 days, and one purchase or more: nearest centroids in logs.
QUADRANTS = KMeansRule(
    names=("new", "silent", "regular", "lapsed"),
    features=("idle_time", "frequency"),
    location=(4.11, 0.35),
    scale=(1.0, 0.35),
    centroids=((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)),
)


@dataclass(frozen=True, slots=True)
class Design:
    """Simulated datasets, and the fit to each of them.

    Attributes
    ----------
    rule
        Which segment a state belongs to, fixed beforehand; with one segment the model is pooled.
    landmarks
        Days since the beginning, ascending; the last one is the observation end.
    dropout
        BG/NBD or MBG/NBD.
    n_customers
        In each replicate; their first purchases are spread over the whole time observed.
    horizon
        Days after the observation end for which purchases are predicted.
    checked
        Number of customers per replicate whose intervals are compared with the truth: these take
        longest, and customers of one replicate are much alike.
    n_draws
        L: draws that a rank is counted among, spread evenly over all that were made.
    priors, sampler
        Of the fit, by default those of users; the truth is drawn from these priors.
    """

    rule: SegmentRule
    landmarks: tuple[float, ...]
    dropout: Dropout = Dropout.AFTER_REPEAT
    n_customers: int = 400
    horizon: float = 90.0
    checked: int = 40
    n_draws: int = 99
    priors: Priors = field(default_factory=Priors)
    sampler: SamplerSettings = field(default_factory=SamplerSettings)

    def __post_init__(self) -> None:
        ends = (0.0, *self.landmarks)
        if not self.landmarks or any(a >= b for a, b in pairwise(ends)):
            raise InputError(f"landmarks must be positive and ascend: {self.landmarks}")
        if not 1 <= self.checked <= self.n_customers:
            raise InputError(
                f"checked must lie between 1 and the {self.n_customers} customers: {self.checked}"
            )
        n_made = self.sampler.draws * self.sampler.chains
        if not 1 <= self.n_draws <= n_made:
            raise InputError(
                f"n_draws must lie between 1 and the {n_made} that are made: {self.n_draws}"
            )

    @classmethod
    def pooled(cls, dropout: Dropout = Dropout.AFTER_REPEAT) -> Self:
        """All customers share one set of parameters."""
        return cls(PooledRule(), (360.0,), dropout)

    @classmethod
    def segmented(cls, dropout: Dropout = Dropout.AFTER_REPEAT) -> Self:
        """Four segments at three landmarks."""
        return cls(QUADRANTS, (120.0, 240.0, 360.0), dropout)

    @property
    def is_pooled(self) -> bool:
        """Whether there are fewer than two segments."""
        return len(self.rule.names) < 2

    @property
    def name(self) -> str:
        """The model in words."""
        if self.is_pooled:
            return f"{self.dropout.model_name}, pooled"
        return (
            f"{self.dropout.model_name}, {len(self.rule.names)} segments × "
            f"{len(self.landmarks)} landmarks"
        )
