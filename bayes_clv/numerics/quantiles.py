"""Means and quantiles of many draws, without sorting them.

Of 4,000 draws, a 90 % interval needs the 200 smallest and the 200 largest. A sample says how small
is small; what is smaller is gathered, and selected from (Floyd & Rivest 1975, Algorithm 489). For
64 states of 4,000 draws it takes a third of the time of ``numpy.mean`` and ``numpy.quantile``, and
it runs without Python's lock.
"""

import numpy as np
from numpy.typing import NDArray

from bayes_clv.numerics.jit import compiled, compiled_sums

type Floats = NDArray[np.float64]

_SAMPLE = 128
_MARGIN = 3.0  # standard errors of a share in the sample


def mean_and_quantiles(values: Floats, tails: tuple[float, float]) -> Floats:
    """Return mean and two quantiles of each row: those of ``numpy.quantile``, linear.

    Parameters
    ----------
    values
        ``(state, draw)``, without NaN.
    tails
        Probabilities of the lower and of the upper quantile.

    Returns
    -------
    ``(state, 3)``
    """
    summary = np.empty((len(values), 3))
    _summarise(values, *tails, np.empty(values.shape[1] + 1), summary)
    return summary


@compiled
def _summarise(values: Floats, lower: float, upper: float, some: Floats, summary: Floats) -> None:
    for s in range(len(values)):
        summary[s, 0] = _mean(values[s])
        summary[s, 1] = _quantile(values[s], lower, some)
        summary[s, 2] = _quantile(values[s], upper, some)


@compiled_sums
def _mean(row: Floats) -> float:
    total = 0.0
    for value in row:
        total += value
    return total / len(row)


@compiled
def _quantile(row: Floats, probability: float, some: Floats) -> float:
    """Interpolate between the two order statistics next to ``probability``; ``some`` is scratch."""
    last = len(row) - 1
    position = probability * last
    below = min(int(position), max(last - 1, 0))
    above = min(below + 1, last)
    if below <= last - above:
        n = _gather(row, above + 1, 1.0, some)
        first = _select(some, below, n)
        second = _least(some, above, n) if above > below else first
    else:  # the same from the other end
        n = _gather(row, last - below + 1, -1.0, some)
        second = -_select(some, last - above, n)
        first = -_least(some, last - below, n) if above > below else second
    share = position - below
    step = second - first
    return second - step * (1 - share) if share >= 0.5 else first + step * share


@compiled
def _gather(row: Floats, wanted: int, sign: float, some: Floats) -> int:
    """Put the ``wanted`` smallest of sign · row, and not many more, into ``some``; say how many."""
    n = len(row)
    stride = n // _SAMPLE
    share = wanted / n
    rank = int(_SAMPLE * share + _MARGIN * np.sqrt(_SAMPLE * share * (1 - share))) + 1
    if stride > 1 and rank < _SAMPLE:
        for i in range(_SAMPLE):
            some[i] = sign * row[i * stride]
        small = _select(some, rank, _SAMPLE)
        found = 0
        for value in row:
            some[found] = sign * value
            found += sign * value <= small  # no branch, so nothing to mispredict
        if found >= wanted:
            return found
    for i in range(n):
        some[i] = sign * row[i]
    return n


@compiled
def _select(some: Floats, k: int, n: int) -> float:
    """Partition the first ``n`` round the k-th smallest, and return it (Hoare 1961)."""
    first, last = 0, n - 1
    while first < last:
        pivot = some[(first + last) >> 1]
        i, j = first, last
        while i <= j:
            while some[i] < pivot:
                i += 1
            while pivot < some[j]:
                j -= 1
            if i <= j:
                some[i], some[j] = some[j], some[i]
                i += 1
                j -= 1
        if k <= j:
            last = j
        elif k >= i:
            first = i
        else:
            break
    kth: float = some[k]
    return kth


@compiled
def _least(some: Floats, first: int, n: int) -> float:
    least: float = some[first]
    for i in range(first + 1, n):
        least = min(least, some[i])
    return least
