"""How much a state belongs to each segment: weights that fall off smoothly across borders.

At the border of a hard segment one more day of silence gives a customer another segment's
parameters, and every answer jumps. So an answer is a mixture over segments,

    answer(h) = Σ_k w_k(h) answer(h | θ_k),   w_k ≥ 0,   Σ_k w_k = 1

RFM. Along each feature a cut becomes a logistic. With σ(u) = 1/(1+e^−u), cuts c_1 ≤ … ≤ c_n:

    A_j = σ((z − z_j) / b)                   the weight of all levels above cut j
    1 − A_1,  A_1 − A_2,  …,  A_n            the weights of the levels
    b = h · max((z_n − z_1)/(n − 1), 0.1)    the bandwidth h times the mean gap between cuts

    idle time      z = ln(1 + days),     z_j = ln(1.5 + c_j)
    frequency ≥ 1  z = ln(1 + x),        z_j = ln(1.5 + c_j);   x = 0 is a level of its own
    spend          z = ln(mean spend),   z_j = ln c_j;          left out where unknown

All logistics of a feature share b, so they never cross and no level has a negative weight. The
scores of frequency (f) and spend (m) are independent, and the value score is half their sum, halves
rounded up: it is at most k if f + m ≤ 2k.

    V_k = P(value ≤ k) = Σ_f P(f) P(m ≤ 2k − f)
    w_k = Σ (idle weight of the row) · (value weight of the column)   over the grid's cells named k

Where all cuts are equal (everybody pays one price), or there is but one, the mean gap is 0 and the
step would be hard. A gap counts as at least 0.1: values that differ by less than a tenth are not
told apart as levels.

KMeans. With the squared distances d_k² over the known features, w = softmax(−d²/2h²).

The formulas of RFM are written once, for numbers, arrays and an engine's columns: ``Arithmetic``.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.errors import InputError
from bayes_clv.segments.cuts import RFM_GRID_CODES, RFM_NAMES

# Exponents are clipped here: e^−100 = 4e-44 is no weight, and engines that take an underflow for an
# error (PostgreSQL) can still multiply three of them.
EXTREME = 100.0
_LEAST_GAP = 0.1
_LEAST, _MOST = (
    1e-9,
    1e9,
)  # of a bandwidth: beyond, weights are hard, or equal, and squares overflow


class Arithmetic(NamedTuple):
    """What the formulas need beside + − × ÷, of numbers, arrays or columns of an engine."""

    exp: Callable[[Any], Any]
    bounded: Callable[[Any], Any]  # clipped to ±EXTREME
    positive: Callable[[Any], Any]  # the greater of it and 0: rounding may leave −1e-17


NUMBERS = Arithmetic(
    math.exp, lambda u: max(-EXTREME, min(EXTREME, u)), lambda weight: max(0.0, weight)
)
ARRAYS = Arithmetic(
    np.exp, lambda u: np.clip(u, -EXTREME, EXTREME), lambda weight: np.maximum(weight, 0.0)
)


class Ladder(NamedTuple):
    """The cuts of a feature as its logistics need them: z_1 … z_n and b."""

    centres: tuple[float, ...]
    b: float


@cache
def ladder_of_counts(cuts: tuple[float, ...], bandwidth: float) -> Ladder:
    """Return the ladder of idle times (days) or of frequencies, whole numbers from 0 on."""
    return _ladder(tuple(math.log(1.5 + cut) for cut in cuts), bandwidth)


@cache
def ladder_of_amounts(cuts: tuple[float, ...], bandwidth: float) -> Ladder:
    """Return the ladder of mean spends above 0."""
    return _ladder(tuple(math.log(cut) for cut in cuts), bandwidth)


def _ladder(centres: tuple[float, ...], bandwidth: float) -> Ladder:
    gap = (centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else 0.0
    return Ladder(centres, _within(bandwidth * max(gap, _LEAST_GAP)))


def _within(bandwidth: float) -> float:
    return min(max(bandwidth, _LEAST), _MOST)


def exceeding(z: Any, ladder: Ladder, arithmetic: Arithmetic) -> list[Any]:
    """Return A_1 … A_n, the weights of all levels above each cut."""
    centres, b = ladder
    exp, bounded, _ = arithmetic
    return [1.0 / (1.0 + exp(bounded((centre - z) / b))) for centre in centres]


def value_at_most(frequency: Sequence[Any], spend: Sequence[Any] | None) -> list[Any]:
    """Return V_1 … V_4 of a repeat buyer.

    Parameters
    ----------
    frequency
        A_1 … A_n of the frequency, n ≤ 3; without cuts, its score is 2.
    spend
        A_1 … A_n of the spend, n ≤ 4; None where unknown: the frequency's score alone decides.
    """
    least = [1.0, *_padded(frequency, 3), 0.0]  # P(f ≥ 2), …, P(f ≥ 5), 0
    if spend is None:
        return [1.0 - at_least for at_least in least[:4]]
    most = [1.0 - it for it in _padded(spend, 4)]  # P(m ≤ 1), …, P(m ≤ 4)
    found = []
    for k in range(1, 5):
        total: Any = 1.0 - least[max(2 * k - 4, 2) - 2]  # f + 5 ≤ 2k: any spend will do
        for f in range(max(2 * k - 4, 2), min(2 * k - 1, 5) + 1):
            total = total + (least[f - 2] - least[f - 1]) * most[2 * k - f - 1]
        found.append(total)
    return found


def _padded(weights: Sequence[Any], n: int) -> list[Any]:
    return [*weights, *[0.0] * (n - len(weights))]


def grid_weights(
    idle: Sequence[Any], value_at_most: Sequence[Any], arithmetic: Arithmetic
) -> list[Any]:
    """Return w_k of the segments of the RFM grid.

    Parameters
    ----------
    idle
        A_1 … A_n of the idle time, n ≤ 4.
    value_at_most
        V_1 … V_4.
    """
    positive = arithmetic.positive
    longer = [1.0, *_padded(idle, 4), 0.0]
    rows = [positive(longer[row] - longer[row + 1]) for row in range(5)]
    at_most = [0.0, *value_at_most, 1.0]
    weights: list[Any] = [0.0] * len(RFM_NAMES)
    for row, code, first, last in _RUNS:
        weights[code] = weights[code] + rows[row] * positive(at_most[last] - at_most[first])
    return weights


def _runs() -> tuple[tuple[int, int, int, int], ...]:
    """Return (row, code, first column, column after the last) of equal neighbours in the grid."""
    found = []
    for row, codes in enumerate(RFM_GRID_CODES):
        for code, columns in groupby(range(5), key=codes.__getitem__):
            run = list(columns)
            found.append((row, code, run[0], run[-1] + 1))
    return tuple(found)


_RUNS = _runs()


def softmax(squared: NDArray[np.float64], bandwidth: float) -> NDArray[np.float64]:
    """Return KMeans' weights from squared distances, both ``(customer, segment)``."""
    nearer = squared - squared.min(axis=1, keepdims=True)
    weights: NDArray[np.float64] = np.exp(-np.minimum(nearer / spread(bandwidth), EXTREME))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def softmax_one(squared: Sequence[float], bandwidth: float) -> tuple[float, ...]:
    """Return the same of one state."""
    least, divisor = min(squared), spread(bandwidth)
    weights = [math.exp(-min((it - least) / divisor, EXTREME)) for it in squared]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def spread(bandwidth: float) -> float:
    """Return 2h²."""
    return 2.0 * _within(bandwidth) ** 2


def check_cuts(name: str, cuts: Sequence[float], most: int, *, amounts: bool = False) -> None:
    """Refuse cuts of which no ladder can be made: their logistics would cross, or be undefined.

    Raises
    ------
    InputError
        There are more than ``most``, or they are no ascending finite numbers from 0 on; amounts
        must be above 0.
    """
    fits = len(cuts) <= most and all(map(math.isfinite, cuts)) and list(cuts) == sorted(cuts)
    if not fits or any(cut <= 0 if amounts else cut < 0 for cut in cuts):
        least = "above 0" if amounts else "from 0 on"
        raise InputError(
            f"{name} of a rule with a bandwidth must be at most {most} ascending finite numbers "
            f"{least}: {arguments.shown(cuts)}"
        )
