"""The landmark table, arranged for the likelihood."""

import itertools
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.segments.rules import POPULATION

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]
type Indices = NDArray[np.int32]

BLOCK = 512  # rows: intermediate results stay in the nearest cache, products below 2^1024


class LikelihoodLayout(NamedTuple):
    """The landmark table, arranged for one pass.

    A group is a segment, by its code, or the population, by the code −1: the last row of η.

    Attributes
    ----------
    time_unit
        Days in a unit of ``time``.
    n_groups
        The population and the segments with parameters of their own: 1 in a pooled model.
    key_group, key_x, key_n, key_weight
        ``(key,)`` the distinct (s, x), n, and W_sx.
    time_group, time, time_weight, time_x
        ``(time,)`` the distinct (s, t) over both T and t_x, W_sT and X_sT.
    block_key, block_weight
        ``(block,)`` index into keys, and w, that the rows of a block share.
    block_start
        ``(block + 1,)`` where the rows of each block start, and where the last ones end.
    row_T, row_recency
        ``(row,)`` indices into times of the rows with n > 0, block by block.
    """

    time_unit: float
    n_groups: int
    key_group: Ints
    key_x: Floats
    key_n: Floats
    key_weight: Floats
    time_group: Ints
    time: Floats
    time_weight: Floats
    time_x: Floats
    block_key: Ints
    block_weight: Floats
    block_start: Ints
    row_T: Indices
    row_recency: Indices

    @property
    def n_segments(self) -> int:
        """Segments with parameters of their own; 0 in a pooled model."""
        return self.n_groups - 1

    @classmethod
    def of(cls, table: LandmarkTable, n_segments: int, time_unit: float, dropout: Dropout) -> Self:
        """Arrange a table; times are divided by ``time_unit``.

        With fewer than two segments every row is the population's, whatever its code.
        """
        x, weight = table.frequency, table.weight
        pooled = n_segments < 2
        group = np.full(len(table), POPULATION) if pooled else table.segment
        key_group, key_x, row_key = distinct(group, x)
        days = np.concatenate([table.T, table.recency])
        time_group, time, row_time = distinct(np.tile(group, 2), days)
        row_T, row_recency = np.split(row_time, 2)
        key_n = dropout.chances(key_x)
        rows = in_order(row_key, weight, np.flatnonzero(key_n[row_key] > 0))
        starts = block_starts(row_key[rows], weight[rows])
        return cls(
            time_unit=float(time_unit),
            n_groups=1 if pooled else n_segments + 1,
            key_group=key_group,
            key_x=key_x,
            key_n=key_n,
            key_weight=np.bincount(row_key, weight),
            time_group=time_group,
            time=time / time_unit,
            time_weight=np.bincount(row_T, weight, minlength=len(time)),
            time_x=np.bincount(row_T, weight * x, minlength=len(time)),
            block_key=row_key[rows][starts],
            block_weight=weight[rows][starts],
            block_start=np.append(starts, len(rows)),
            row_T=row_T[rows].astype(np.int32),
            row_recency=row_recency[rows].astype(np.int32),
        )


def distinct(group: Ints, value: NDArray[Any]) -> tuple[Ints, NDArray[Any], Ints]:
    """Distinct (group, value), sorted, and each row's index into them."""
    values, index = np.unique(value, return_inverse=True)
    pairs, row = np.unique(group * len(values) + index, return_inverse=True)
    return pairs // len(values), values[pairs % len(values)], row


def in_order(row_key: Ints, weight: Floats, rows: Ints) -> Ints:
    """Order rows by key and weight, and at random within, so that neighbours rarely share a sum."""
    rows = np.random.default_rng(0).permutation(rows)
    return rows[np.lexsort([weight[rows], row_key[rows]])]


def block_starts(row_key: Ints, weight: Floats) -> Ints:
    """Start a block where key or weight changes, and every ``BLOCK`` rows."""
    changes = np.flatnonzero((np.diff(row_key) != 0) | (np.diff(weight) != 0)) + 1
    runs = np.concatenate([[0], changes, [len(row_key)]])
    starts = [np.arange(first, last, BLOCK) for first, last in itertools.pairwise(runs)]
    return np.concatenate(starts).astype(np.int64)
