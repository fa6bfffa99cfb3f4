"""Priors of the hierarchical models, on scales without units of time or money.

Inside the purchase model durations are divided by the mean T. The components of its η are

    rate           ln(r/α)         mean purchases per mean T, while alive
    shape          ln r            heterogeneity of purchase rates
    dropout        logit a/(a+b)   mean chance of leaving after a purchase
    concentration  ln(a+b)         heterogeneity of that chance

Inside the spend model amounts are divided by the geometric mean of the spend per repeat purchase,
which one absurd order hardly changes. The mean spend exists only for q > 1, so the components are

    level          ln(pv/(q−1))    mean spend per purchase
    shape          ln p            1/p: how much a customer's purchases differ, squared
    tail           ln(q−1)         heterogeneity of customers

Shape and tail are that up to ``CERTAIN`` of :mod:`bayes_clv.inference.spend.table`; beyond it p and
q grow no further than to amounts that differ by a percent, however much prices are alike.

In both models  μ ~ Normal,  τ ~ HalfNormal,  η_s = μ + τ ⊙ z_s,  z_s ~ Normal(0, 1), per component.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments


@dataclass(frozen=True, slots=True)
class ComponentPrior:
    """Prior of one component of η.

    Attributes
    ----------
    mean, sd
        Normal prior of the population's value μ.
    between
        Scale of the half-normal prior of τ, the standard deviation between segments.
    """

    mean: float
    sd: float
    between: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", arguments.number("a prior's mean", self.mean))
        for name in ("sd", "between"):
            value = arguments.number(f"a prior's {name}", getattr(self, name), above=0)
            object.__setattr__(self, name, value)


class PriorArrays(NamedTuple):
    """Priors in the form that compiled code takes: one array ``(component,)`` per field."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    between: NDArray[np.float64]


class HierarchicalPriors:
    """Base of a model's priors: a dataclass with one ``ComponentPrior`` per component.

    A component may be given as (mean, sd) or (mean, sd, between).

    Raises
    ------
    InputError
        A component is neither.
    """

    def __post_init__(self) -> None:
        for name in self.components():
            value = getattr(self, name)
            if isinstance(value, tuple | list) and len(value) in (2, 3):
                value = ComponentPrior(*value)
            how = "ComponentPrior(mean, sd, between) or (mean, sd)"
            object.__setattr__(self, name, arguments.instance(name, value, ComponentPrior, how))

    @classmethod
    def components(cls) -> tuple[str, ...]:
        """The names of the components, in their order in η."""
        return tuple(field.name for field in fields(cls))  # type: ignore[arg-type]  # see above

    def column(self, field: str) -> list[float]:
        """Return one field of all components, in their order."""
        return [getattr(getattr(self, name), field) for name in self.components()]

    def arrays(self) -> PriorArrays:
        """Return every field of all components, in their order."""
        return PriorArrays(*(np.array(self.column(field)) for field in PriorArrays._fields))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready numbers."""
        return {name: asdict(getattr(self, name)) for name in self.components()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``."""
        return cls(**{name: ComponentPrior(**stored[name]) for name in cls.components()})


@dataclass(frozen=True)
class Priors(HierarchicalPriors):
    """Priors of the four components of purchases; replace any of them.

    >>> Priors(rate=(0, 1)).rate
    ComponentPrior(mean=0.0, sd=1.0, between=1.0)
    """

    rate: ComponentPrior = ComponentPrior(0.0, 2.0)
    shape: ComponentPrior = ComponentPrior(-0.5, 1.0)
    dropout: ComponentPrior = ComponentPrior(-1.0, 1.5)
    concentration: ComponentPrior = ComponentPrior(1.0, 1.0)


@dataclass(frozen=True)
class SpendPriors(HierarchicalPriors):
    """Priors of the three components of spend; replace any of them."""

    level: ComponentPrior = ComponentPrior(0.0, 1.0)
    shape: ComponentPrior = ComponentPrior(1.0, 1.0)
    tail: ComponentPrior = ComponentPrior(1.0, 1.0)


COMPONENTS = Priors.components()
SPEND_COMPONENTS = SpendPriors.components()
