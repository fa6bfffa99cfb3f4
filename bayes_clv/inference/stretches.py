"""The table of stretches: the data of a model whose customers may come back.

The landmark likelihood (:mod:`bayes_clv.inference.landmarks`) has one factor for each stretch
between two successive landmarks of a customer. Without reactivation a factor is a difference of two
log-likelihoods of states, so that the data are a table of states. With it a factor is a mixture
(:mod:`bayes_clv.models.reactivation`), which needs the state before and what happened since:

    log p(data) = Σ_i ll(h_i(first landmark with T > 0) | population)
                + Σ_stretches ln L(y, t_y, Δ | x, t_x, T; s, ε, r_f, α_f)

So the data are a table of first states, and one (segment, x, t_x, T, y, t_y, Δ) → weight > 0: equal
rows add up, and the size grows with the number of distinct stretches, not with customers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import numpy as np
from ibis import ir
from numpy.typing import NDArray

from bayes_clv.data.described import Described
from bayes_clv.data.engines import to_arrow
from bayes_clv.inference.landmarks import (
    LandmarkTable,
    first_states,
    is_soft,
    previous_segment,
    previous_weights,
    softened,
)

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False)
class StretchTable(Described):
    """Distinct stretches with their weights, each ``(row,)``, and the states before the first.

    Attributes
    ----------
    first
        Each customer's state at the first landmark with T > 0, all of the population.
    segment
        The segment's code at the stretch's beginning, or ``POPULATION``.
    frequency, recency, T
        The state at the beginning, in days.
    purchases, last, days
        Purchase days in the stretch, the last of them in days after its beginning (0 if there is
        none), and its length.
    weight
        How many such stretches, in whole units or, with soft segments, thousandths: above 0.
    """

    first: LandmarkTable
    segment: NDArray[np.int64]
    frequency: Floats
    recency: Floats
    T: Floats
    purchases: Floats
    last: Floats
    days: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def n_stretches(self) -> float:
        """Number of stretches: the sum of the weights."""
        return float(self.weight.sum())

    def _facts(self) -> Mapping[str, object]:
        return {"rows": len(self), "stretches": round(self.n_stretches)}


def stretch_table(states: ir.Table) -> StretchTable:
    """Group stretches between landmarks into the table, in the engine that holds the states.

    Parameters
    ----------
    states
        customer_id, landmark, frequency, recency, T (days) and code, the segment at that landmark;
        a customer with a row at one landmark has a row at every later one. With the columns of
        :func:`bayes_clv.segments.expressions.thousandths`, segments are soft, and code unused:
        a stretch counts for every segment, by its weight at the stretch's beginning.
    """
    history = states.filter(states["T"] > 0)
    if is_soft(states):
        rows = _stretches(history, previous_weights(history))
        return StretchTable(first_states(states), **softened(rows, _KEYS))
    rows = _stretches(history, {"segment": previous_segment(history)})
    keys = ("segment", *_KEYS)
    counted = rows.group_by(keys).aggregate(weight=rows.count().cast("float64"))
    columns = to_arrow(counted.order_by(keys))
    return StretchTable(
        first_states(states), **{name: columns[name].to_numpy() for name in (*keys, "weight")}
    )


_KEYS = ("frequency", "recency", "T", "purchases", "last", "days")


def _stretches(history: ir.Table, segments: Mapping[str, ir.Value]) -> ir.Table:
    """Each state but a customer's first, as what happened since the one before."""
    by_customer = ibis.window(group_by="customer_id", order_by="landmark")

    def now(name: str) -> ir.FloatingValue:
        return history[name].cast("float64")

    def before(name: str) -> ir.FloatingValue:
        return now(name).lag().over(by_customer)

    pairs = history.select(
        **segments,
        frequency=before("frequency"),
        recency=before("recency"),
        T=before("T"),
        frequency_after=now("frequency"),
        recency_after=now("recency"),
        T_after=now("T"),
    )
    pairs = pairs.filter(pairs["T"].notnull())
    purchases = pairs.frequency_after - pairs.frequency
    last = ibis.ifelse(purchases > 0, pairs.recency_after - pairs["T"], 0.0)
    return pairs.select(
        *segments,
        "frequency",
        "recency",
        "T",
        purchases=purchases,
        last=last,
        days=pairs.T_after - pairs["T"],
    )
