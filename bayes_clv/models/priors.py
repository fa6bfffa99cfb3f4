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

A purchase model with reactivation (:mod:`bayes_clv.models.reactivation`) has three more variables,
which are alike in all segments:

    chance         logit ε         of a stretch that starts afresh
    rate           ln(r_f/α_f)     mean purchases per mean T after a fresh start, while alive
    shape          ln r_f          heterogeneity of these purchase rates
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """Normal prior of one variable.

    Attributes
    ----------
    mean, sd
        Of the normal distribution.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", arguments.number("a prior's mean", self.mean))
        object.__setattr__(self, "sd", arguments.number("a prior's sd", self.sd, above=0))


@dataclass(frozen=True, slots=True)
class ComponentPrior(NormalPrior):
    """Prior of one component of η.

    Attributes
    ----------
    mean, sd
        Normal prior of the population's value μ.
    between
        Scale of the half-normal prior of τ, the standard deviation between segments.
    """

    between: float = 1.0

    def __post_init__(self) -> None:
        NormalPrior.__post_init__(self)
        between = arguments.number("a prior's between", self.between, above=0)
        object.__setattr__(self, "between", between)


class PriorArrays(NamedTuple):
    """Priors in the form that compiled code takes: one array ``(component,)`` per field."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    between: NDArray[np.float64]


class PriorsByName:
    """Base of a model's priors: a dataclass with one ``NormalPrior`` per variable.

    A prior may be given as a tuple of its fields.

    Raises
    ------
    InputError
        It is neither.
    """

    kind: ClassVar[type[NormalPrior]] = NormalPrior
    how: ClassVar[str] = "NormalPrior(mean, sd) or (mean, sd)"

    def __post_init__(self) -> None:
        for name in self.components():
            value = getattr(self, name)
            if isinstance(value, tuple | list) and 2 <= len(value) <= len(fields(self.kind)):
                value = self.kind(*value)
            object.__setattr__(self, name, arguments.instance(name, value, self.kind, self.how))

    @classmethod
    def components(cls) -> tuple[str, ...]:
        """The names of the components, in their order in the model's vectors."""
        return tuple(field.name for field in fields(cls))  # type: ignore[arg-type]  # see above

    def column(self, field: str) -> list[float]:
        """Return one field of all components, in their order."""
        return [getattr(getattr(self, name), field) for name in self.components()]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready numbers."""
        return {name: asdict(getattr(self, name)) for name in self.components()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from ``to_dict``."""
        return cls(**{name: cls.kind(**stored[name]) for name in cls.components()})


class HierarchicalPriors(PriorsByName):
    """Base of the priors of a hierarchy: one ``ComponentPrior`` per component of η.

    A component may be given as (mean, sd) or (mean, sd, between).
    """

    kind = ComponentPrior
    how = "ComponentPrior(mean, sd, between) or (mean, sd)"

    def arrays(self) -> PriorArrays:
        """Return every field of all components, in their order."""
        return PriorArrays(*(np.array(self.column(field)) for field in PriorArrays._fields))


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


@dataclass(frozen=True)
class ReactivationPriors(PriorsByName):
    """Priors of the three variables of reactivation; replace any of them.

    >>> ReactivationPriors(chance=(-5, 1)).chance
    NormalPrior(mean=-5.0, sd=1.0)
    """

    chance: NormalPrior = NormalPrior(-4.0, 0.5)
    rate: NormalPrior = NormalPrior(0.0, 0.7)
    shape: NormalPrior = NormalPrior(-0.5, 0.7)


COMPONENTS = Priors.components()
SPEND_COMPONENTS = SpendPriors.components()
