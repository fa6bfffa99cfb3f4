"""What all rules share: the weights of their segments, hard unless a rule says otherwise.

A hard rule gives all weight to the segment that it assigns. A rule with a ``bandwidth`` is soft.
"""

from math import nan
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.states import States
from bayes_clv.segments.cuts import Codes

type Weights = NDArray[np.float64]

NOTHING = 1e-5


class _Assigns(Protocol):
    @property
    def names(self) -> tuple[str, ...]: ...

    def assign(self, states: States) -> Codes: ...

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int: ...


class Hard:
    """Base of rules that know no soft segments."""

    __slots__ = ()

    @property
    def soft(self) -> bool:
        """False."""
        return False

    def weights(self: _Assigns, states: States) -> Weights:
        """Return weight 1 for the segment that is assigned, ``(customer, segment)``."""
        return hard_weights(self, states)

    def weights_one(
        self: _Assigns, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> tuple[float, ...]:
        """Return the same of one state."""
        return hard_weights_one(self, frequency, recency, T, monetary_value)


class MaybeSoft:
    """Base of rules that are soft where they have a bandwidth."""

    __slots__ = ()

    @property
    def soft(self: "_HasBandwidth") -> bool:
        """Whether there is a bandwidth."""
        return self.bandwidth is not None


class _HasBandwidth(Protocol):
    @property
    def bandwidth(self) -> float | None: ...


def noticeable(weights: Weights) -> Weights:
    """Leave out weights of at most ``NOTHING``, and scale the others so that rows sum to 1 again.

    No probability changes by more than ``NOTHING`` times the number of segments, and far from most
    borders an answer needs few of them.

    >>> noticeable(np.array([[0.75, 0.249999, 1e-6], [0.0, 0.0, 0.0]])).round(4)
    array([[0.75, 0.25, 0.  ],
           [0.  , 0.  , 0.  ]])
    """
    kept = np.where(weights > NOTHING, weights, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    return np.divide(kept, total, out=kept, where=total > 0)


def noticeable_one(weights: tuple[float, ...]) -> list[tuple[int, float]]:
    """Return the same of one state: the codes that are left, with their weights."""
    kept = [(code, weight) for code, weight in enumerate(weights) if weight > NOTHING]
    total = sum(weight for _, weight in kept)
    return [(code, weight / total) for code, weight in kept]


def hard_weights(rule: _Assigns, states: States) -> Weights:
    """Return weight 1 for the segment that is assigned, ``(customer, segment)``; 0 for none."""
    codes = rule.assign(states)
    is_member: NDArray[np.bool_] = codes[:, np.newaxis] == np.arange(len(rule.names))
    return is_member.astype(np.float64)


def hard_weights_one(
    rule: _Assigns, frequency: float, recency: float, T: float, monetary_value: float
) -> tuple[float, ...]:
    """Return the same of one state."""
    code = rule.assign_one(frequency, recency, T, monetary_value)
    return tuple(float(code == segment) for segment in range(len(rule.names)))


def checked_bandwidth(bandwidth: object) -> float | None:
    """Return a bandwidth as a float, or None.

    Raises
    ------
    InputError
        It is neither a positive finite number nor None.
    """
    return None if bandwidth is None else arguments.number("bandwidth", bandwidth, above=0)


def shown_bandwidth(bandwidth: float | None) -> object:
    """Return a bandwidth for people."""
    return "none (hard)" if bandwidth is None else bandwidth
