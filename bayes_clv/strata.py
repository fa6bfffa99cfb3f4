"""Distinct states in strata: the unit of work that every answer is computed by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_clv.segments.rules import Codes
from bayes_clv.states import States

type Floats = NDArray[np.float64]

MAX_STATES = 256  # with 4,000 draws: 8 MB an array


@dataclass(frozen=True, slots=True)
class DistinctStates:
    """Distinct (segment code, frequency, T, recency), sorted in this order, each ``(state,)``."""

    code: Codes
    frequency: Floats
    T: Floats
    recency: Floats


@dataclass(frozen=True, slots=True)
class Stratum:
    """States of one segment and one frequency.

    Attributes
    ----------
    rows
        Where they are among the distinct states.
    code, frequency
        What they share.
    recency, T
        ``(state, 1)``, to broadcast against draws.
    """

    rows: slice
    code: int
    frequency: float
    recency: Floats
    T: Floats


def distinct_states(codes: Codes, states: States) -> tuple[NDArray[np.int64], DistinctStates]:
    """Return each customer's index into the distinct states, and these."""
    rows = np.column_stack([codes, states.frequency, states.T, states.recency])
    distinct, index = np.unique(rows, axis=0, return_inverse=True)
    code, frequency, T, recency = distinct.T
    return index.ravel(), DistinctStates(code.astype(np.int64), frequency, T, recency)


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
            states.recency[first : min(first + MAX_STATES, stop), None],
            states.T[first : min(first + MAX_STATES, stop), None],
        )
        for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        for first in range(start, stop, MAX_STATES)
    ]
