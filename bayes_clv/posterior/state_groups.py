"""Groups and blocks of distinct states, the units in which answers are computed."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_clv.data.states import States
from bayes_clv.segments.rules import Codes

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

MAX_STATES = 16_384  # in a group: enough to share work, few enough to keep all cores busy
MAX_BLOCK = 64  # states; with 4,000 draws an array has 2 MB, which fits the processor's cache


@dataclass(frozen=True, slots=True)
class DistinctStates:
    """Distinct (segment code, frequency, T, recency), sorted in this order, each ``(state,)``."""

    code: Codes
    frequency: Floats
    T: Floats
    recency: Floats


@dataclass(frozen=True, slots=True)
class StateGroup:
    """States of one segment and one frequency, sorted by T.

    Attributes
    ----------
    rows
        Position of the group among the distinct states.
    code, frequency
        Segment code and frequency, the same for all states of the group.
    recency, T
        ``(state,)``
    """

    rows: slice
    code: int
    frequency: float
    recency: Floats
    T: Floats

    def blocks(self) -> Iterator["StateGroup"]:
        """Cut the group into blocks of at most ``MAX_BLOCK`` states."""
        for rows in cut(self.rows):
            own = slice(rows.start - self.rows.start, rows.stop - self.rows.start)
            yield StateGroup(rows, self.code, self.frequency, self.recency[own], self.T[own])


def cut(rows: slice, every: int | None = None) -> Iterator[slice]:
    """Cut a range of rows into pieces of at most ``every`` rows; by default ``MAX_BLOCK``."""
    every = every or MAX_BLOCK
    for start in range(rows.start, rows.stop, every):
        yield slice(start, min(start + every, rows.stop))


def customers_in(block: StateGroup, state: Ints) -> slice:
    """Return the range of the customers whose states are in a block.

    Parameters
    ----------
    block
        A block of distinct states.
    state
        ``(customer,)`` index into the distinct states, ascending.
    """
    return slice(*np.searchsorted(state, [block.rows.start, block.rows.stop]).tolist())


def distinct_states(codes: Codes, states: States) -> tuple[Ints, DistinctStates]:
    """Return each customer's index into the distinct states, and the distinct states."""
    order = np.lexsort((states.recency, states.T, states.frequency, codes))  # primary key last
    code, frequency, T, recency = (
        codes[order],
        states.frequency[order],
        states.T[order],
        states.recency[order],
    )
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.any([np.diff(column) != 0 for column in (code, frequency, T, recency)], axis=0)
    index = np.empty(len(order), dtype=np.int64)
    index[order] = np.cumsum(new) - 1
    return index, DistinctStates(code[new], frequency[new], T[new], recency[new])


def distinct_pairs(index: Ints, value: Floats) -> tuple[Ints, Ints, Floats]:
    """Return each customer's index into the sorted distinct pairs, and both parts of the pairs.

    A pair is (index, value); two NaN values count as equal.
    """
    order = np.lexsort((value, index))  # primary key last
    first, second = index[order], value[order]
    new = np.ones(len(order), dtype=bool)
    same = (second[1:] == second[:-1]) | (np.isnan(second[1:]) & np.isnan(second[:-1]))
    new[1:] = (np.diff(first) != 0) | ~same
    pair = np.empty(len(order), dtype=np.int64)
    pair[order] = np.cumsum(new) - 1
    return pair, first[new], second[new]


def state_groups(states: DistinctStates) -> list[StateGroup]:
    """Group sorted states by segment and frequency, with at most ``MAX_STATES`` in a group."""
    n = len(states.code)
    changes = (np.diff(states.code) != 0) | (np.diff(states.frequency) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [n]])
    return [
        StateGroup(
            rows,
            int(states.code[start]),
            float(states.frequency[start]),
            states.recency[rows],
            states.T[rows],
        )
        for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        for rows in cut(slice(start, stop), MAX_STATES)
    ]


def each_group[R](work: Callable[[StateGroup], R], states: DistinctStates) -> Iterator[R]:
    """Call ``work`` for each group in a pool of threads, and yield the results in order.

    At most ``_GROUPS_AHEAD`` groups are submitted ahead, so that memory for results is bounded.
    """
    submitted: deque[Future[R]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for group in state_groups(states):
            submitted.append(pool.submit(work, group))
            if len(submitted) > _GROUPS_AHEAD:
                yield submitted.popleft().result()
        while submitted:
            yield submitted.popleft().result()


_GROUPS_AHEAD = 64
