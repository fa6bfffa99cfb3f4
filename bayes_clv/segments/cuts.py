"""The hard part of rules: cuts below a value, the RFM grid, and rounding noise.

Rounding noise decides nothing. The mean of three payments of 33.33 is 33.33 or 33.330000000000005,
as the engine adds them; so a value counts as above a cut only if it exceeds it by more than a
relative ``NOISE``, and a centroid as nearer only if it is nearer by more than ``NOISE``.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


# Rows: recency score 5 (bought recently) down to 1; columns: value score 1 to 5. This is the usual
# naming grid in marketing; scores are quintiles of the customer base.
_RFM_GRID = (
    ("new", "potential loyal", "potential loyal", "champions", "champions"),
    ("promising", "potential loyal", "loyal", "loyal", "champions"),
    ("about to sleep", "about to sleep", "need attention", "loyal", "loyal"),
    ("hibernating", "hibernating", "at risk", "at risk", "cannot lose them"),
    ("lost", "lost", "at risk", "at risk", "cannot lose them"),
)
RFM_NAMES = tuple(dict.fromkeys(name for row in _RFM_GRID for name in row))
RFM_GRID_CODES: tuple[tuple[int, ...], ...] = tuple(
    tuple(RFM_NAMES.index(name) for name in row) for row in _RFM_GRID
)


def above(values: NDArray[np.float64], limits: tuple[float, ...]) -> Codes:
    """Count the ascending limits below each value; 0 for NaN."""
    return np.searchsorted(as_array(limits), np.where(np.isnan(values), -np.inf, values))


@cache
def as_array(numbers: tuple[Any, ...]) -> NDArray[np.float64]:
    """Return a rule's numbers as an array; cached, because making it is slow."""
    return np.array(numbers, dtype=float)
