"""What is simulated, how it is fitted, and which answers are checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

from bayes_clv import arguments
from bayes_clv.errors import InputError
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import Priors, ReactivationPriors
from bayes_clv.segments.rules import KMeansRule, PooledRule, SegmentRule

LEVELS = (0.5, 0.9)

# Four segments: idle for more or less than 60 days, and one purchase or several; nearest centroid
# in logarithms.
QUADRANTS = KMeansRule(
    names=("new", "silent", "regular", "lapsed"),
    features=("idle_time", "frequency"),
    location=(4.11, 0.35),
    scale=(1.0, 0.35),
    centroids=((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)),
)


@dataclass(frozen=True, slots=True)
class Design:
    """How each replicate of a study is simulated, fitted and checked.

    Attributes
    ----------
    rule
        Assigns a state to a segment; fixed beforehand. With one segment the model is pooled.
    landmarks
        Days since the first day, ascending; the last one is the observation end.
    dropout
        BG/NBD or MBG/NBD.
    n_customers
        Customers in each replicate; their first purchases are spread over the observation period.
    horizon
        Days after the observation end for which purchases are forecast.
    checked
        Number of customers per replicate whose intervals are compared with the truth. Intervals
        take most of the time, and the customers of one replicate give similar results.
    n_draws
        L: number of posterior draws that the truth is ranked among, spread evenly over all draws.
    priors, sampler
        Priors and sampler settings of the fit, by default those of users; the true parameters are
        drawn from these priors.
    reactivation
        Priors of reactivation; None in a design without it. It needs two segments or more.
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
    reactivation: ReactivationPriors | None = None

    def __post_init__(self) -> None:
        self._settle_types()
        ends = (0.0, *self.landmarks)
        if not self.landmarks or any(a >= b for a, b in pairwise(ends)):
            raise InputError(f"landmarks must be positive and ascending: {self.landmarks}")
        if not 1 <= self.checked <= self.n_customers:
            raise InputError(
                f"checked must lie between 1 and n_customers, {self.n_customers}: {self.checked}"
            )
        n_made = self.sampler.draws * self.sampler.chains
        if not 1 <= self.n_draws <= n_made:
            raise InputError(
                f"n_draws must lie between 1 and the {n_made} draws of the sampler: {self.n_draws}"
            )

        arguments.require(
            self.reactivation is None or not self.is_pooled,
            f"reactivation needs two segments or more: {self.rule.names}",
        )

    def _settle_types(self) -> None:
        arguments.require(
            isinstance(self.landmarks, Sequence) and not isinstance(self.landmarks, str),
            f"landmarks must be a list of days: {arguments.shown(self.landmarks)}",
        )
        settled: dict[str, Any] = {
            "landmarks": tuple(arguments.days("landmarks", day) for day in self.landmarks),
            "dropout": arguments.member("dropout", self.dropout, Dropout),
            "horizon": arguments.days("horizon", self.horizon),
            "priors": arguments.instance("priors", self.priors, Priors),
            "sampler": arguments.instance("sampler", self.sampler, SamplerSettings),
        }
        if self.reactivation is not None:
            arguments.instance("reactivation", self.reactivation, ReactivationPriors)
        for name in ("n_customers", "checked", "n_draws"):
            settled[name] = arguments.whole(name, getattr(self, name))
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    @classmethod
    def pooled(cls, dropout: Dropout = Dropout.AFTER_REPEAT) -> Self:
        """Return a design in which all customers have the same parameters."""
        return cls(PooledRule(), (360.0,), dropout)

    @classmethod
    def segmented(
        cls, dropout: Dropout = Dropout.AFTER_REPEAT, *, reactivation: bool = False
    ) -> Self:
        """Return a design with four segments and three landmarks."""
        priors = ReactivationPriors() if reactivation else None
        return cls(QUADRANTS, (120.0, 240.0, 360.0), dropout, reactivation=priors)

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
            f"{len(self.landmarks)} landmarks{', reactivation' if self.reactivation else ''}"
        )
