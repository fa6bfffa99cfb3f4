"""Groups and blocks of distinct cases, the units in which answers are computed.

An answer depends on a customer's state, on the weights of the segments that the customer belongs
to, and, where money is asked for, on their mean spend. Customers who agree in these are one case.
Cases with the same state share what depends on it.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayes_clv.data.states import States
from bayes_clv.segments.rules import Codes, SegmentRule
from bayes_clv.segments.weighted import noticeable

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]
type Column = NDArray[np.float64 | np.int64 | np.bool_]

MAX_CASES = 16_384  # in a group: enough to share work, few enough to keep all cores busy
MAX_BLOCK = 32  # cases; with 4,000 draws an array has 1 MB, which fits the processor's cache


@dataclass(frozen=True, slots=True)
class Memberships:
    """To which segments customers or cases belong, and how much.

    Attributes
    ----------
    codes
        ``(case,)`` the segment that the case is named after; −1 is the population.
    weights
        ``(case, segment + 1)`` of each segment, the population last; they add up to 1. None if each
        case belongs to its named segment alone.
    """

    codes: Codes
    weights: Floats | None = None

    def __getitem__(self, rows: slice | Ints) -> "Memberships":
        """Select cases."""
        weights = None if self.weights is None else self.weights[rows]
        return Memberships(self.codes[rows], weights)

    @property
    def present(self) -> list[int]:
        """Codes of the segments to which any case belongs."""
        if self.weights is None:
            return sorted(set(self.codes.tolist()))
        some = np.flatnonzero((self.weights > 0).any(axis=0))
        return [int(code) for code in some]

    def of(self, code: int) -> Floats:
        """Return each case's weight of one segment, ``(case,)``."""
        weight: Floats = self.codes == code if self.weights is None else self.weights[:, code]
        return np.ascontiguousarray(weight, dtype=float)


@dataclass(frozen=True, slots=True)
class Assigned:
    """The segments that customers were assigned to, ``(customer,)``.

    Attributes
    ----------
    codes
        Of the segments that customers are named after; −1 is the population.
    soft
        The rule that gives weights to all segments; None if customers belong to their own alone.
    by_name
        Customers whose segment the caller named, and who belong to it alone; None if there are
        none.
    """

    codes: Codes
    soft: SegmentRule | None = None
    by_name: NDArray[np.bool_] | None = None

    def __getitem__(self, rows: slice | Ints) -> "Assigned":
        """Select customers."""
        by_name = None if self.by_name is None else self.by_name[rows]
        return Assigned(self.codes[rows], self.soft, by_name)

    def memberships(self, states: States) -> Memberships:
        """Return how much each of these customers belongs to each segment."""
        if self.soft is None:
            return Memberships(self.codes)
        weights = noticeable(self.soft.weights(states))
        weights = np.column_stack([weights, np.zeros(len(weights))])
        if self.by_name is not None:
            named = np.flatnonzero(self.by_name)
            weights[named] = 0.0
            weights[named, self.codes[named]] = 1.0
        return Memberships(self.codes, weights)


@dataclass(frozen=True, slots=True)
class Cases:
    """Distinct cases, sorted by frequency, T, recency and the rest.

    Attributes
    ----------
    frequency, T, recency
        ``(case,)``; equal states are neighbours.
    spend
        ``(case,)`` mean spend per repeat purchase; NaN where it is unknown or not needed.
    memberships
        ``(case,)``
    """

    frequency: Floats
    T: Floats
    recency: Floats
    spend: Floats
    memberships: Memberships

    def __len__(self) -> int:
        return len(self.T)


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of one frequency, sorted by T and recency.

    Attributes
    ----------
    rows
        Position of the group among all cases.
    frequency
        The same for all cases of the group.
    recency, T, spend
        ``(case,)``
    memberships
        ``(case,)``
    """

    rows: slice
    frequency: float
    recency: Floats
    T: Floats
    spend: Floats
    memberships: Memberships

    @classmethod
    def of(cls, cases: Cases, rows: slice) -> Self:
        """Take these rows, which must have one frequency."""
        return cls(
            rows,
            float(cases.frequency[rows.start]),
            cases.recency[rows],
            cases.T[rows],
            cases.spend[rows],
            cases.memberships[rows],
        )

    def __len__(self) -> int:
        return len(self.T)

    def blocks(self) -> Iterator["Group"]:
        """Cut the group into blocks of at most ``MAX_BLOCK`` cases."""
        for rows in cut(self.rows, MAX_BLOCK):
            own = slice(rows.start - self.rows.start, rows.stop - self.rows.start)
            yield replace(self[own], rows=rows)

    def __getitem__(self, cases: slice | Ints) -> "Group":
        """Select cases, also several times; their position is that of the whole group."""
        columns = (self.recency[cases], self.T[cases], self.spend[cases], self.memberships[cases])
        return Group(self.rows, self.frequency, *columns)

    def times(self, code: int) -> Floats:
        """Return T of the cases that belong to a segment, ascending."""
        return self.T[self.memberships.of(code) > 0]


def cut(rows: slice, every: int) -> Iterator[slice]:
    """Cut a range of rows into pieces of at most ``every`` rows."""
    for start in range(rows.start, rows.stop, every):
        yield slice(start, min(start + every, rows.stop))


def distinct_rows(*columns: Column) -> tuple[Ints, Ints]:
    """Return each row's index into the distinct rows, and where each distinct row occurs first.

    Distinct rows are sorted by the first column, then by the second, …; NaN equals NaN.
    """
    order = np.lexsort(columns[::-1])  # primary key last
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for column in columns:
        value = column[order]
        same = value[1:] == value[:-1]
        if value.dtype.kind == "f":
            same |= np.isnan(value[1:]) & np.isnan(value[:-1])
        new[1:] |= ~same
    index = np.empty(len(order), dtype=np.int64)
    index[order] = np.cumsum(new) - 1
    return index, order[new]


def distinct_cases(
    states: States, assigned: Assigned, *, money: bool = False
) -> tuple[Ints, Cases]:
    """Return each customer's index into the distinct cases, and the cases.

    Parameters
    ----------
    states, assigned
        ``(customer,)``
    money
        Whether mean spend matters to the answers beyond the choice of segments.
    """
    columns: list[Column] = [states.frequency, states.T, states.recency, assigned.codes]
    spend = np.full(len(states), np.nan)
    if money or assigned.soft is not None:
        spend = states.known_spend
        columns.append(spend)
    if assigned.by_name is not None:
        columns.append(assigned.by_name)
    index, first = distinct_rows(*columns)
    at = States(states.frequency[first], states.recency[first], states.T[first], spend[first])
    memberships = assigned[first].memberships(at)
    return index, Cases(at.frequency, at.T, at.recency, at.monetary_value, memberships)


def groups_of(cases: Cases) -> list[Group]:
    """Group sorted cases by frequency, with at most ``MAX_CASES`` in a group."""
    n = len(cases)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(cases.frequency) != 0) + 1, [n]])
    return [
        Group.of(cases, rows)
        for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        for rows in cut(slice(start, stop), MAX_CASES)
    ]


def each_group[R](work: Callable[[Group], R], cases: Cases) -> Iterator[R]:
    """Call ``work`` for each group in a pool of threads, and yield the results in order.

    At most ``_GROUPS_AHEAD`` groups are submitted ahead, so that memory for results is bounded.
    """
    submitted: deque[Future[R]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for group in groups_of(cases) if len(cases) else []:
            submitted.append(pool.submit(work, group))
            if len(submitted) > _GROUPS_AHEAD:
                yield submitted.popleft().result()
        while submitted:
            yield submitted.popleft().result()


_GROUPS_AHEAD = 64
