"""Priors of the hierarchical model, in a scale that does not depend on the unit of time.

Durations are divided by the mean T inside the model. The four components of η are

    rate           ln(r/α)         mean purchases per mean T, while alive
    shape          ln r            heterogeneity of purchase rates
    dropout        logit a/(a+b)   mean chance of leaving after a purchase
    concentration  ln(a+b)         heterogeneity of that chance

with  μ ~ Normal,  τ ~ HalfNormal  and  η_s = μ + τ ⊙ z_s,  z_s ~ Normal(0, 1), per component.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Self

from bayes_clv.errors import InputError

COMPONENTS = ("rate", "shape", "dropout", "concentration")


@dataclass(frozen=True, slots=True)
class ComponentPrior:
    """Prior of one component of η.

    Attributes
    ----------
    mean, sd
        Normal prior of the population's value μ.
    between
        Scale of the half-normal prior of τ, how much segments differ.
    """

    mean: float
    sd: float
    between: float = 0.5

    def __post_init__(self) -> None:
        if not isfinite(self.mean):
            raise InputError(f"a prior's mean must be finite: {self.mean}")
        for name in ("sd", "between"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise InputError(f"a prior's {name} must be finite and positive: {value}")


@dataclass(frozen=True, slots=True)
class Priors:
    """Priors of the four components; replace any of them."""

    rate: ComponentPrior = ComponentPrior(0.0, 2.0)
    shape: ComponentPrior = ComponentPrior(-0.5, 1.0)
    dropout: ComponentPrior = ComponentPrior(-1.0, 1.5)
    concentration: ComponentPrior = ComponentPrior(1.0, 1.0)

    def column(self, field: str) -> list[float]:
        """Return one field of all components, in the order of ``COMPONENTS``."""
        return [getattr(getattr(self, name), field) for name in COMPONENTS]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``."""
        return cls(**{name: ComponentPrior(**stored[name]) for name in COMPONENTS})
