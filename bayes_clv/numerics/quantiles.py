"""Means and quantiles of many draws, without sorting them.

A 90 % interval of 4,000 draws needs only the 200 smallest and the 200 largest. A sample of the
draws gives a threshold; the draws up to it are copied, and the quantile is selected among them
(Floyd & Rivest 1975, Algorithm 489). For 64 states of 4,000 draws this takes a third of the time of
``numpy.mean`` and ``numpy.quantile``, and it runs without the GIL.
"""

import numpy as np
from numpy.typing import NDArray

from bayes_clv.numerics.jit import compiled, compiled_sums

type Floats = NDArray[np.float64]

_SAMPLE = 128
_MARGIN = 3.0  # standard errors of a share in the sample


def mean_and_quantiles(values: Floats, tails: tuple[float, float]) -> Floats:
    """Return the mean and two quantiles of each row, linear as those of ``numpy.quantile``.

    Parameters
    ----------
    values
        ``(state, draw)``, without NaN.
    tails
        Probabilities of the lower and of the upper quantile.

    Returns
    -------
    ``(state, 3)``: mean, lower quantile, upper quantile.
    """
    summary = np.empty((len(values), 3))
    _summarise(values, *tails, np.empty(values.shape[1] + 1), summary)
    return summary


@compiled
def _summarise(
    values: Floats, lower: float, upper: float, scratch: Floats, summary: Floats
) -> None:
    for s in range(len(values)):
        summary[s, 0] = _mean(values[s])
        summary[s, 1] = _quantile(values[s], lower, scratch)
        summary[s, 2] = _quantile(values[s], upper, scratch)


@compiled_sums
def _mean(row: Floats) -> float:
    total = 0.0
    for value in row:
        total += value
    return total / len(row)


@compiled
def _quantile(row: Floats, probability: float, scratch: Floats) -> float:
    """Interpolate between the two order statistics next to ``probability``."""
    last = len(row) - 1
    position = probability * last
    below = min(int(position), max(last - 1, 0))
    above = min(below + 1, last)
    if below <= last - above:
        n = _gather(row, above + 1, 1.0, scratch)
        first = _select(scratch, below, n)
        second = _least(scratch, above, n) if above > below else first
    else:  # the same from the other end
        n = _gather(row, last - below + 1, -1.0, scratch)
        second = -_select(scratch, last - above, n)
        first = -_least(scratch, last - below, n) if above > below else second
    share = position - below
    step = second - first
    return second - step * (1 - share) if share >= 0.5 else first + step * share


@compiled
def _gather(row: Floats, wanted: int, sign: float, scratch: Floats) -> int:
    """Copy the ``wanted`` smallest of sign · row, and few more, to ``scratch``; return how many."""
    n = len(row)
    stride = n // _SAMPLE
    share = wanted / n
    rank = int(_SAMPLE * share + _MARGIN * np.sqrt(_SAMPLE * share * (1 - share))) + 1
    if stride > 1 and rank < _SAMPLE:
        for i in range(_SAMPLE):
            scratch[i] = sign * row[i * stride]
        threshold = _select(scratch, rank, _SAMPLE)
        count = 0
        for value in row:
            scratch[count] = sign * value
            count += sign * value <= threshold  # no branch that could be mispredicted
        if count >= wanted:
            return count
    for i in range(n):
        scratch[i] = sign * row[i]
    return n


@compiled
def _select(scratch: Floats, k: int, n: int) -> float:
    """Partition the first ``n`` around the k-th smallest, and return it (Hoare 1961)."""
    first, last = 0, n - 1
    while first < last:
        pivot = scratch[(first + last) >> 1]
        i, j = first, last
        while i <= j:
            while scratch[i] < pivot:
                i += 1
            while pivot < scratch[j]:
                j -= 1
            if i <= j:
                scratch[i], scratch[j] = scratch[j], scratch[i]
                i += 1
                j -= 1
        if k <= j:
            last = j
        elif k >= i:
            first = i
        else:
            break
    kth: float = scratch[k]
    return kth


@compiled
def _least(scratch: Floats, first: int, n: int) -> float:
    least: float = scratch[first]
    for i in range(first + 1, n):
        least = min(least, scratch[i])
    return least
