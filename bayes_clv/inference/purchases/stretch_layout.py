"""The table of stretches, arranged for the likelihood."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_clv.inference.purchases.layout import block_starts, distinct, in_order
from bayes_clv.inference.stretches import StretchTable
from bayes_clv.models.bgnbd import Dropout

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]
type Indices = NDArray[np.int32]


class StretchLayout(NamedTuple):
    """The table of stretches, arranged for one pass.

    A group is a segment, by its code, or the population, by the code −1.

    Attributes
    ----------
    key_group, key_x, key_y, key_n
        ``(key,)`` the distinct (s, x, y), and n, the chances to leave before the stretch.
    time_group, time
        ``(time,)`` the distinct (s, t) over t_x, T, T + t_y and T + Δ.
    fresh_time
        ``(fresh time,)`` the distinct t_y and Δ.
    pair_group, pair_y
        ``(pair,)`` the distinct (s, y).
    fresh_pair, fresh_days, fresh_last
        ``(fresh,)`` the distinct (s, y, t_y, Δ), as indices into pairs and fresh times.
    block_key
        ``(block,)`` index into keys, which the rows of a block share.
    block_start
        ``(block + 1,)`` where the rows of each block start, and where the last ones end.
    row_weight
        ``(row,)`` weights, block by block.
    row_T, row_recency, row_last, row_end, row_fresh
        ``(row,)`` indices of T, t_x, T + t_y and T + Δ into times, and into what happened as if
        afresh.
    """

    key_group: Ints
    key_x: Floats
    key_y: Floats
    key_n: Floats
    time_group: Ints
    time: Floats
    fresh_time: Floats
    pair_group: Ints
    pair_y: Floats
    fresh_pair: Ints
    fresh_days: Ints
    fresh_last: Ints
    block_key: Ints
    block_start: Ints
    row_weight: Floats
    row_T: Indices
    row_recency: Indices
    row_last: Indices
    row_end: Indices
    row_fresh: Indices

    @classmethod
    def of(cls, table: StretchTable, time_unit: float, dropout: Dropout) -> Self:
        """Arrange a table; times are divided by ``time_unit``."""
        s, x, y = table.segment, table.frequency, table.purchases
        key_group, key_xy, row_key = distinct(s, x + 1j * y)
        pair_group, pair_y, row_pair = distinct(s, y)
        fresh_time, row_time = np.unique(
            np.concatenate([table.last, table.days]), return_inverse=True
        )
        fresh_last, fresh_days = np.split(row_time, 2)
        fresh, row_fresh = np.unique(
            (row_pair * len(fresh_time) + fresh_last) * len(fresh_time) + fresh_days,
            return_inverse=True,
        )
        T = table.T
        days = np.concatenate([T, table.recency, T + table.last, T + table.days])
        time_group, time, row_time = distinct(np.tile(s, 4), days)
        order = in_order(row_key, np.ones(len(table)), np.arange(len(table)))
        starts = block_starts(row_key[order], np.ones(len(table)))
        row_T, row_recency, row_last, row_end = (
            it[order].astype(np.int32) for it in np.split(row_time, 4)
        )
        return cls(
            key_group=key_group,
            key_x=key_xy.real.copy(),
            key_y=key_xy.imag.copy(),
            key_n=dropout.chances(key_xy.real),
            time_group=time_group,
            time=time / time_unit,
            fresh_time=fresh_time / time_unit,
            pair_group=pair_group,
            pair_y=pair_y,
            fresh_pair=fresh // len(fresh_time) ** 2,
            fresh_last=fresh // len(fresh_time) % len(fresh_time),
            fresh_days=fresh % len(fresh_time),
            block_key=row_key[order][starts],
            block_start=np.append(starts, len(table)),
            row_weight=table.weight[order],
            row_T=row_T,
            row_recency=row_recency,
            row_last=row_last,
            row_end=row_end,
            row_fresh=row_fresh[order].astype(np.int32),
        )
