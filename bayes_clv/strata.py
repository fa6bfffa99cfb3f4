"""Distinct states in strata and blocks: the units of work that every answer is computed by."""

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

MAX_STATES = 16_384  # in a stratum: enough to repay what its states share, few enough for all cores
MAX_BLOCK = 64  # states: with 4,000 draws 2 MB an array, which the processor's cache holds


@dataclass(frozen=True, slots=True)
class DistinctStates:
    """Distinct (segment code, frequency, T, recency), sorted in this order, each ``(state,)``."""

    code: Codes
    frequency: Floats
    T: Floats
    recency: Floats


@dataclass(frozen=True, slots=True)
class Stratum:
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

    def blocks(self) -> Iterator["Stratum"]:
        """Cut every ``MAX_BLOCK`` states."""
        return (
            Stratum(
                slice(self.rows.start + first, self.rows.start + first + len(T)),
                self.code,
                self.frequency,
                self.recency[first : first + MAX_BLOCK],
                T,
            )
            for first in range(0, len(self.T), MAX_BLOCK)
            for T in [self.T[first : first + MAX_BLOCK]]
        )


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


def strata(states: DistinctStates) -> list[Stratum]:
    """Cut sorted states where segment or frequency changes, and every ``MAX_STATES``."""
    n = len(states.code)
    changes = (np.diff(states.code) != 0) | (np.diff(states.frequency) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [n]])
    return [
        Stratum(
            slice(first, min(first + MAX_STATES, stop)),
            int(states.code[first]),
            float(states.frequency[first]),
            states.recency[first : min(first + MAX_STATES, stop)],
            states.T[first : min(first + MAX_STATES, stop)],
        )
        for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        for first in range(start, stop, MAX_STATES)
    ]


def in_threads[R](work: Callable[[Stratum], R], parts: list[Stratum]) -> Iterator[R]:
    """Yield results in the order of the parts; compiled code leaves threads every core.

    Only so many parts are begun ahead, so that results do not pile up.
    """
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in parts:
            begun.append(pool.submit(work, part))
            if len(begun) > _PARTS_AHEAD:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


_PARTS_AHEAD = 64
