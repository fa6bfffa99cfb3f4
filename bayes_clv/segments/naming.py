"""Names for KMeans segments that a marketing manager can read, derived from the centroids alone."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

type Columns = Mapping[str, NDArray[np.float64]]


def centroid_names(centroids: Columns, population: Columns) -> tuple[list[int], tuple[str, ...]]:
    """Order the centroids, most frequent buyers first, and name them.

    Parameters
    ----------
    centroids
        By feature, ``(segment,)`` on the log scale of ``rules.log_features``.
    population
        By feature, ``(customer,)`` on the same scale; words refer to quantiles of these.

    Returns
    -------
    The order as indices into the centroids, and the names in that order. A name says how often the
    customers buy, how recently they bought and, if two names would be equal, how much they spend:
    "frequent, recent" or "one-time, silent".
    """
    k = len(next(iter(centroids.values())))
    zeros = np.zeros(k)
    often, idle, spend = (
        np.round(centroids.get(name, zeros), _DECIMALS)
        for name in ("frequency", "idle_time", "monetary_value")
    )
    order = sorted(range(k), key=lambda i: (-often[i], idle[i], -spend[i]))
    parts = [
        [
            _word(words, value[i], population[name])
            for name, words, value in (
                ("frequency", _FREQUENCY, often),
                ("idle_time", _IDLE, idle),
                ("monetary_value", _SPEND, spend),
            )
            if name in centroids
        ]
        for i in order
    ]
    return order, _shortest_distinct(parts)


# A word applies up to its quantile of the customers (for frequency: of repeat buyers).
_FREQUENCY = ((0.4, "occasional"), (0.8, "regular"), (1.0, "frequent"))
_IDLE = ((1 / 3, "recent"), (2 / 3, "cooling"), (1.0, "silent"))
_SPEND = ((1 / 3, "small baskets"), (2 / 3, "medium baskets"), (1.0, "large baskets"))
_DECIMALS = 9  # centroids that agree to so many are equal: the rest is rounding noise
_ONE_TIME_BELOW = np.log1p(0.5)


def _word(
    words: tuple[tuple[float, str], ...], value: float, population: NDArray[np.float64]
) -> str:
    if words is _FREQUENCY:
        if value < _ONE_TIME_BELOW:
            return "one-time"
        population = population[population > 0]
    rank = np.mean(population[np.isfinite(population)] < value - 10.0**-_DECIMALS)
    return next(word for quantile, word in words if rank <= quantile)


def _shortest_distinct(parts: list[list[str]]) -> tuple[str, ...]:
    """Add the word for spend only to names that occur twice; number names that are still equal."""
    names = [", ".join(words[:2]) for words in parts]
    if any(count > 1 for count in Counter(names).values()):
        shared = {name for name, count in Counter(names).items() if count > 1}
        names = [
            ", ".join(words) if name in shared else name
            for name, words in zip(names, parts, strict=True)
        ]
    seen: Counter[str] = Counter()
    total = Counter(names)
    for index, name in enumerate(names):
        if total[name] > 1:
            seen[name] += 1
            names[index] = f"{name} {seen[name]}"
    return tuple(names)
