"""Distinct states in groups and blocks: the units of work of every answer."""

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

MAX_STATES = 16_384  # in a group: enough to share work, few enough to use all cores
MAX_BLOCK = 64  # states: with 4,000 draws 2 MB an array, which the processor's cache holds


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
        Where they are among the distinct states.
    code, frequency
        What they share.
    recency, T
        ``(state,)``
    """

    rows: slice
    code: int
    frequency: float
    recency: Floats
    T: Floats

    def blocks(self) -> Iterator["StateGroup"]:
        """Cut the group into blocks of ``MAX_BLOCK`` states."""
        for rows in cut(self.rows):
            own = slice(rows.start - self.rows.start, rows.stop - self.rows.start)
            yield StateGroup(rows, self.code, self.frequency, self.recency[own], self.T[own])


def cut(rows: slice, every: int | None = None) -> Iterator[slice]:
    """Cut rows, or customers, into slices of ``every``; by default ``MAX_BLOCK``."""
    every = every or MAX_BLOCK
    for start in range(rows.start, rows.stop, every):
        yield slice(start, min(start + every, rows.stop))


def customers_in(block: StateGroup, state: Ints) -> slice:
    """Return where the customers are whose states are in a block.

    Parameters
    ----------
    block
        Of distinct states.
    state
        ``(customer,)`` index into the distinct states, ascending.
    """
    return slice(*np.searchsorted(state, [block.rows.start, block.rows.stop]).tolist())


def distinct_states(codes: Codes, states: States) -> tuple[Ints, DistinctStates]:
    """Return each customer's index into the distinct states, and these."""
    order = np.lexsort((states.recency, states.T, states.frequency, codes))  # the last sorts first
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
    """Return each customer's index into the distinct (index, value), and these, sorted.

    NaN is a value like others.
    """
    order = np.lexsort((value, index))  # the last sorts first
    first, second = index[order], value[order]
    new = np.ones(len(order), dtype=bool)
    same = (second[1:] == second[:-1]) | (np.isnan(second[1:]) & np.isnan(second[:-1]))
    new[1:] = (np.diff(first) != 0) | ~same
    own = np.empty(len(order), dtype=np.int64)
    own[order] = np.cumsum(new) - 1
    return own, first[new], second[new]


def state_groups(states: DistinctStates) -> list[StateGroup]:
    """Cut sorted states where segment or frequency changes, and every ``MAX_STATES``."""
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
    """Apply a function to each group in threads, and yield the results in the order of groups.

    Only a few groups are started ahead, so that results do not pile up.
    """
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for group in state_groups(states):
            begun.append(pool.submit(work, group))
            if len(begun) > _GROUPS_AHEAD:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


_GROUPS_AHEAD = 64
