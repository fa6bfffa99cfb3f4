"""Frozen segment rules S(state) → segment.

A rule consists of plain numbers, serialises to JSON and is stored in the model file. It assigns a
customer whose monetary value is unknown by the other features. A code is an index into ``names``;
``POPULATION`` means that the rule assigns no segment and the population's parameters are used.

Rounding noise decides nothing. The mean of three payments of 33.33 is 33.33 or 33.330000000000005,
as the engine adds them; so a value counts as above a cut only if it exceeds it by more than a
relative ``NOISE``, and a centroid as nearer only if it is nearer by more than ``NOISE``.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from math import inf, isnan, nan
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv.data.described import Described, listed, short
from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.segments import own

POPULATION = -1
POPULATION_NAME = "population"
# The noise of a mean of n payments is about n × 1e-16, and the cuts of a rule are rounded to ten
# digits, which moves them by at most 5e-10. Amounts differ by more: a cent is 1e-9 of ten million.
NOISE = 1e-9

type Codes = NDArray[np.int64]


@cache
def limits(cuts: tuple[float, ...]) -> tuple[float, ...]:
    """Return the values that a value must exceed to count as above the cuts: see ``NOISE``.

    They are computed once, here, so that every engine compares with the same numbers.
    """
    return tuple(cut + NOISE * abs(cut) for cut in cuts)


@cache
def limits_of_days(cuts: tuple[float, ...]) -> tuple[float, ...]:
    """Return the same for idle times, whose noise is that of T: at least a ten-thousandth second.

    A day is 86,400 seconds, so ``NOISE`` of a day is 86 microseconds.
    """
    return tuple(cut + NOISE * max(abs(cut), 1.0) for cut in cuts)


def with_population(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names by code: those of the segments, then that of the population, which has code −1.

    Draws of parameters by segment have the same order.
    """
    return (*names, POPULATION_NAME)


class SegmentRule(Protocol):
    """Interface of all rules."""

    kind: ClassVar[str]

    @property
    def names(self) -> tuple[str, ...]:
        """The segments, in the order of their codes."""
        ...

    def assign(self, states: States) -> Codes:
        """Return each state's code, ``(customer,)``."""
        ...

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Return one state's code, the same as ``assign``, but faster because no array is made."""
        ...


@dataclass(frozen=True, slots=True)
class PooledRule:
    """No segments: all customers share one set of parameters."""

    kind: ClassVar[str] = "none"
    names: tuple[str, ...] = ("all customers",)

    def assign(self, states: States) -> Codes:
        """Return 0 for every state."""
        return np.zeros(len(states), dtype=np.int64)

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Return 0."""
        return 0


@dataclass(frozen=True, slots=True, repr=False)
class ColumnRule(Described):
    """The user's own segments, read from a column and matched by value; see ``segments.own``.

    An unknown value has no segment.
    """

    kind: ClassVar[str] = "column"
    names: tuple[str, ...]

    def assign(self, states: States) -> Codes:
        """Return the code of each state's own segment name, ``(customer,)``."""
        if states.segment is None:
            return np.full(len(states), POPULATION, dtype=np.int64)
        return own.match_all(states.segment, self.names)

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Return ``POPULATION``: a state without a segment name has no segment."""
        return POPULATION

    def _facts(self) -> Mapping[str, object]:
        return {"segments": listed(self.names)}


def code_of(rule: SegmentRule, segment: Any) -> int:
    """Return the code of a segment's name, or of the population's.

    Raises
    ------
    InputError
        When the rule has no segment of this name.
    """
    name = own.match(segment, (*rule.names, POPULATION_NAME))
    if name == POPULATION_NAME:
        return POPULATION
    if name is None:
        raise InputError(
            f"segment must be one of {', '.join(rule.names)} or {POPULATION_NAME}: "
            f"{str(segment)[:100]!r}"
        )
    return rule.names.index(name)


def assign_named(rule: SegmentRule, states: States) -> Codes:
    """Return each state's code, ``(customer,)``: that of its own name where it has one.

    Warns if a rule of own segments does not know some of the names.

    Raises
    ------
    InputError
        A rule of own segments knows none of the names, or another rule does not know all of them.
    """
    codes = rule.assign(states)
    if isinstance(rule, ColumnRule):
        _check_matched(rule, states, codes)
        return codes
    if states.segment is None:
        return codes
    given = ~pd.isna(states.segment)
    codes[given] = [code_of(rule, name) for name in states.segment[given]]
    return codes


def _check_matched(rule: ColumnRule, states: States, codes: Codes) -> None:
    """Warn of customers without a segment of the model, unless they are in the population by name.

    Raises
    ------
    InputError
        There are segments, and none is the model's.
    """
    if not (codes == POPULATION).any():
        return
    if states.segment is None:
        own.warn_of_unmatched(rule.names, len(states), {}, len(states))
        return
    values = [own.text_of(value) for value in states.segment[codes == POPULATION]]
    counts = Counter(value for value in values if value != POPULATION_NAME)
    own.warn_of_unmatched(rule.names, len(states), counts, counts.total())


# Rows: recency score 5 (bought recently) down to 1; columns: value score 1 to 5. This is the usual
# naming grid in marketing; scores are quintiles of the customer base.
_RFM_GRID = (
    ("new", "potential loyal", "potential loyal", "champions", "champions"),
    ("promising", "potential loyal", "loyal", "loyal", "champions"),
    ("about to sleep", "about to sleep", "need attention", "loyal", "loyal"),
    ("hibernating", "hibernating", "at risk", "at risk", "cannot lose them"),
    ("lost", "lost", "at risk", "at risk", "cannot lose them"),
)
_RFM_NAMES = tuple(dict.fromkeys(name for row in _RFM_GRID for name in row))
RFM_GRID_CODES: tuple[tuple[int, ...], ...] = tuple(
    tuple(_RFM_NAMES.index(name) for name in row) for row in _RFM_GRID
)
_RFM_CODES = np.array(RFM_GRID_CODES, dtype=np.int64)


@dataclass(frozen=True, slots=True, repr=False)
class RFMRule(Described):
    """Quintile scores for idle time, frequency and spend, looked up in the usual naming grid.

    The recency score falls with idle time. The frequency score is 1 for one-time buyers and 2 to 5
    by quartile of repeat buyers. The value score is the mean of frequency and monetary score,
    halves rounded up, or the frequency score alone where spend is unknown.
    """

    kind: ClassVar[str] = "rfm"
    idle_cuts: tuple[float, ...]  # four, ascending, days
    frequency_cuts: tuple[float, ...]  # three, ascending, of repeat buyers
    monetary_cuts: tuple[float, ...]  # four, ascending; empty where the log has no amounts

    @property
    def names(self) -> tuple[str, ...]:
        """The named segments of the grid."""
        return _RFM_NAMES

    def assign(self, states: States) -> Codes:
        """Score each state and look its segment up, ``(customer,)``."""
        codes: Codes = _RFM_CODES[*self.cells(states)]
        return codes

    def cells(self, states: States) -> tuple[Codes, Codes]:
        """Return each state's row and column in the grid, by idle time and by value, from 0.

        Row 0 holds the customers who bought last, column 0 those of least value; ``(customer,)``
        each.
        """
        idle_row = _above(states.idle_time, limits_of_days(self.idle_cuts))
        repeat_score = 2 + _above(states.frequency, limits(self.frequency_cuts))
        frequency = np.where(states.frequency > 0, repeat_score, 1)
        spend = states.repeat_spend
        known = np.isfinite(spend) & bool(self.monetary_cuts)
        monetary = 1 + _above(spend, limits(self.monetary_cuts))
        value = np.where(known, (frequency + monetary + 1) // 2, frequency)
        return idle_row, value - 1

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Score one state and look its segment up."""
        idle_row = bisect_left(limits_of_days(self.idle_cuts), T - recency)
        value = 1
        if frequency > 0:
            value = 2 + bisect_left(limits(self.frequency_cuts), frequency)
            if self.monetary_cuts and 0 < monetary_value < inf:
                score = 1 + bisect_left(limits(self.monetary_cuts), monetary_value)
                value = (value + score + 1) // 2
        return RFM_GRID_CODES[idle_row][value - 1]

    def _facts(self) -> Mapping[str, object]:
        cuts = {
            "idle": self.idle_cuts,
            "frequency": self.frequency_cuts,
            "spend": self.monetary_cuts,
        }
        return {f"{name} cuts": ", ".join(map(short, of)) or "none" for name, of in cuts.items()}


def _above(values: NDArray[np.float64], limits: tuple[float, ...]) -> Codes:
    """Count the ascending limits below each value; 0 for NaN."""
    return np.searchsorted(_array(limits), np.where(np.isnan(values), -np.inf, values))


@dataclass(frozen=True, slots=True, repr=False)
class KMeansRule(Described):
    """The nearest of k centroids in standardised log idle time, log frequency and log spend.

    A feature that is unknown (such as the spend of a one-time buyer) is left out of the distance.
    """

    kind: ClassVar[str] = "kmeans"
    names: tuple[str, ...]
    features: tuple[str, ...]
    location: tuple[float, ...]  # (feature,)
    scale: tuple[float, ...]  # (feature,)
    centroids: tuple[tuple[float, ...], ...]  # (segment, feature), standardised

    def standardise(self, states: States) -> NDArray[np.float64]:
        """Return ``(customer, feature)``, NaN where a feature is unknown."""
        standardised = [
            (_LOG[name](_value(states, name)) - location) / scale
            for name, location, scale in zip(self.features, self.location, self.scale, strict=True)
        ]
        return np.stack(standardised, axis=1)

    def assign(self, states: States) -> Codes:
        """Return the nearest centroid of each state, ``(customer,)``; on ties the first."""
        return nearest(self.standardise(states), _array(self.centroids))

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Return the centroid nearest to one state; on ties the first."""
        values = {"idle_time": T - recency, "frequency": frequency, "monetary_value": nan}
        if frequency > 0 and monetary_value > 0:
            values["monetary_value"] = monetary_value
        point = [
            (float(_LOG[name](values[name])) - location) / scale
            for name, location, scale in zip(self.features, self.location, self.scale, strict=True)
        ]
        known = [index for index, value in enumerate(point) if not isnan(value)]
        distances = [
            sum((point[index] - centroid[index]) ** 2 for index in known)
            for centroid in self.centroids
        ]
        enough = min(distances) + NOISE
        return next(code for code, distance in enumerate(distances) if distance <= enough)

    def _facts(self) -> Mapping[str, object]:
        return {"segments": listed(self.names), "features": ", ".join(self.features)}


@cache
def _array(numbers: tuple[Any, ...]) -> NDArray[np.float64]:
    """Return a rule's numbers as an array; cached, because making it is slow."""
    return np.array(numbers, dtype=float)


def log_features(states: States) -> dict[str, NDArray[np.float64]]:
    """Return the features KMeans may use, by name."""
    return {name: log(_value(states, name)) for name, log in _LOG.items()}


def _value(states: States, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = getattr(states, _ATTRIBUTE.get(name, name))
    return values


_LOG = {"idle_time": np.log1p, "frequency": np.log1p, "monetary_value": np.log}
_ATTRIBUTE = {"monetary_value": "repeat_spend"}


def nearest(matrix: NDArray[np.float64], centroids: NDArray[np.float64]) -> Codes:
    """Return each row's nearest centroid by the known features, ``(row,)``.

    Of those that are nearest up to ``NOISE``, the first.
    """
    distances = np.zeros((len(matrix), len(centroids)))
    for feature, centre in zip(matrix.T, centroids.T, strict=True):
        distances += np.fmax((feature[:, None] - centre) ** 2, 0.0)  # 0 where NaN
    enough = distances.min(axis=1, keepdims=True) + NOISE
    return np.argmax(distances <= enough, axis=1).astype(np.int64)


_RULES: Mapping[str, type[Any]] = {
    rule.kind: rule for rule in (PooledRule, ColumnRule, RFMRule, KMeansRule)
}


def rule_to_dict(rule: SegmentRule) -> dict[str, Any]:
    """Return the rule as JSON-ready numbers and names."""
    return {"kind": rule.kind, **asdict(rule)}  # type: ignore[call-overload]


def rule_from_dict(stored: Mapping[str, Any]) -> SegmentRule:
    """Rebuild a rule from ``rule_to_dict``.

    Raises
    ------
    InputError
        When the kind is unknown or the fields do not fit.
    """
    fields = {key: _tuples(value) for key, value in stored.items() if key != "kind"}
    try:
        rule: SegmentRule = _RULES[stored["kind"]](**fields)
    except (KeyError, TypeError) as error:
        raise InputError(f"not a segment rule: {error}") from None
    return rule


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
