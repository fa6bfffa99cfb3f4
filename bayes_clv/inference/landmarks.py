"""The landmark table: everything that the likelihood needs to know of the data.

Customers are summarised at landmarks c₁ < … < c_K, the last one the observation end. What a
customer did between two landmarks has an exact likelihood given all before, a difference of two
BG/NBD log-likelihoods. The state at the earlier landmark selects the segment whose parameters
apply:

    log p(data) = Σ_i { ll(h_i(first landmark with T > 0) | population)
                      + Σ_{later k} [ ll(h_i(c_k) | s) − ll(h_i(c_{k−1}) | s) ] },

with s = S(h_i(c_{k−1})).

So the data are a table (segment, x, t_x, T) → integer weight: equal rows add up, rows of weight
zero drop out, and its size grows with the number of distinct states, not with customers. With equal
parameters everywhere the sum telescopes to the ordinary BG/NBD.

With soft segments (:mod:`bayes_clv.segments.memberships`) each stretch between two landmarks enters
under every segment s, with the weight w_s of the state at its beginning in whole thousandths:

    Σ_s w_s(h_i(c_{k−1})) [ ll(h_i(c_k) | s) − ll(h_i(c_{k−1}) | s) ],   Σ_s w_s = 1

The weights are those of a likelihood, not of a mixture: no process generates data in this way. The
engine adds thousandths up per distinct state, a column per segment; what is not 0 becomes a row.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
from ibis import ir
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.dates import as_date
from bayes_clv.data.described import Described
from bayes_clv.data.engines import to_arrow
from bayes_clv.errors import InputError
from bayes_clv.segments.expressions import weight_column
from bayes_clv.segments.rules import POPULATION


@dataclass(frozen=True, slots=True, repr=False)
class LandmarkTable(Described):
    """Distinct (segment, frequency, recency, T) with their weights, each ``(row,)``.

    ``segment`` is the segment's code, or ``POPULATION``. Durations are in days. Weights may be
    negative, and add up to the number of customers. They are whole numbers, or with soft segments
    whole thousandths.
    """

    segment: NDArray[np.int64]
    frequency: NDArray[np.float64]
    recency: NDArray[np.float64]
    T: NDArray[np.float64]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def n_customers(self) -> int:
        """Number of customers with T > 0: the sum of the weights."""
        return round(self.weight.sum())

    @property
    def mean_T(self) -> float:
        """Mean T at the observation end, in days: the weighted sum of T telescopes to it."""
        return float(self.weight @ self.T / self.weight.sum())

    def _facts(self) -> Mapping[str, object]:
        return {"rows": len(self), "customers": self.n_customers}


def landmark_dates(start: dt.date, end: dt.date, n_landmarks: int) -> tuple[dt.date, ...]:
    """Spread landmarks evenly over the data window; the last one is the observation end."""
    n_landmarks = arguments.whole("landmarks", n_landmarks, least=1)
    days = (end - start).days
    if days < 1:
        raise InputError(f"the log must cover two days or more: it starts and ends on {start}")
    dates = {
        start + dt.timedelta(days=round(days * k / n_landmarks)) for k in range(1, n_landmarks + 1)
    }
    return tuple(sorted(dates - {start}))


def check_landmarks(
    dates: tuple[dt.date, ...], start: dt.date, end: dt.date
) -> tuple[dt.date, ...]:
    """Return the user's own landmarks sorted; they must lie in the window, the end among them."""
    dates = tuple(as_date(date, "a landmark") for date in dates)
    outside = [date for date in dates if not start < date <= end]
    if outside:
        raise InputError(f"landmarks must lie after {start} and not after {end}: {outside[0]}")
    return tuple(sorted({*dates, end}))


def landmark_table(states: ir.Table) -> LandmarkTable:
    """Group states at all landmarks into the table, in the engine that holds them.

    Parameters
    ----------
    states
        customer_id, landmark, frequency, recency, T (days) and code, the segment at that landmark;
        a customer with a row at one landmark has a row at every later one. With the columns of
        :func:`bayes_clv.segments.expressions.thousandths`, segments are soft, and code unused.
    """
    history = states.filter(states["T"] > 0)
    if is_soft(states):
        return _soft_table(history)
    return _grouped(ibis.union(_reached(history), _left(history)))


def first_states(states: ir.Table) -> LandmarkTable:
    """Group each customer's state at the first landmark with T > 0: the population's rows.

    Parameters
    ----------
    states
        customer_id, landmark, frequency, recency and T (days).
    """
    history = states.filter(states["T"] > 0)
    by_customer = ibis.window(group_by="customer_id", order_by="landmark")
    numbered = history.mutate(place=ibis.row_number().over(by_customer))
    first = numbered.filter(numbered.place == 0)
    return _grouped(first.select(segment=ibis.literal(POPULATION, "int64"), **_weighted(first, 1)))


def own_past_table(states: ir.Table) -> LandmarkTable:
    """Fit each segment to the histories that assigned its customers to it: a faulty baseline.

    Those histories are used twice, to assign and to fit; the backtest measures what that costs.

    Parameters
    ----------
    states
        customer_id, frequency, recency, T (days) and code, at the observation end.
    """
    history = states.filter(states["T"] > 0)
    return _grouped(history.select(segment=history.code.cast("int64"), **_weighted(history, 1)))


def previous_segment(history: ir.Table) -> ir.IntegerValue:
    """Return each customer's segment at the landmark before, or the population at the first.

    Parameters
    ----------
    history
        customer_id, landmark, code: states with T > 0.
    """
    by_customer = ibis.window(group_by="customer_id", order_by="landmark")
    return history.code.lag().over(by_customer).fill_null(POPULATION).cast("int64")


def is_soft(states: ir.Table) -> bool:
    """Return whether states have weights in thousandths, w0, w1, …"""
    return weight_column(0) in states.columns


def previous_weights(history: ir.Table) -> dict[str, ir.IntegerValue]:
    """Return each customer's thousandths at the landmark before, by column; 0 at the first.

    Parameters
    ----------
    history
        customer_id, landmark, w0, w1, …: states with T > 0.
    """
    by_customer = ibis.window(group_by="customer_id", order_by="landmark")
    return {
        name: history[name].lag().over(by_customer).fill_null(0).cast("int64")
        for name in _weight_columns(history).values()
    }


def softened(rows: ir.Table, keys: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Group rows with thousandths per segment into a table with a row for each segment.

    The engine adds up; the distinct keys are then unfolded here.

    Parameters
    ----------
    rows
        The keys; w0, w1, … and perhaps that of ``POPULATION``: whole thousandths.
    keys
        What a row is about, such as a state, or a stretch.

    Returns
    -------
    dict
        Columns ``(row,)``: segment, the keys, and weight, in whole units and not 0; sorted by
        segment and keys.
    """
    names = _weight_columns(rows)
    sums = {name: rows[name].sum().cast("float64") for name in names.values()}
    found = to_arrow(rows.group_by(keys).aggregate(**sums).order_by(keys))
    weights = np.stack([found[name].to_numpy() for name in names.values()])  # (segment, key)
    segment, row = np.nonzero(weights)
    return {
        "segment": np.array(list(names), dtype=np.int64)[segment],
        **{key: found[key].to_numpy()[row] for key in keys},
        "weight": weights[segment, row] / 1000,
    }


def _weight_columns(table: ir.Table) -> dict[int, str]:
    """Return the columns of weights by segment code."""
    names = {code: weight_column(code) for code in range(POPULATION, len(table.columns))}
    return {code: name for code, name in names.items() if name in table.columns}


def _soft_table(history: ir.Table) -> LandmarkTable:
    """Build the landmark table from states with thousandths and T > 0."""
    population, before = weight_column(POPULATION), previous_weights(history)
    by_customer = ibis.window(group_by="customer_id", order_by="landmark")
    is_first = ibis.row_number().over(by_customer) == 0
    reached = history.select(
        **_state(history), **before, **{population: ibis.ifelse(is_first, 1000, 0).cast("int64")}
    )
    earlier = history.filter(history.landmark < history.landmark.max())
    left = earlier.select(
        **_state(earlier),
        **{name: -earlier[name] for name in before},
        **{population: ibis.literal(0, "int64")},
    )
    columns = softened(ibis.union(reached, left), _STATE)
    if not len(columns["weight"]):
        raise InputError(_NOBODY)
    return LandmarkTable(**columns)


def _grouped(rows: ir.Table) -> LandmarkTable:
    """Add up the weights of equal rows, and drop rows of weight zero."""
    keys = ("segment", *_STATE)
    # Engines widen sums of integers, each to a type of its own.
    table = rows.group_by(keys).aggregate(weight=rows.weight.sum().cast("float64"))
    columns = to_arrow(table.filter(table.weight != 0).order_by(keys))
    if not len(columns):
        raise InputError(_NOBODY)
    return LandmarkTable(**{name: columns[name].to_numpy() for name in (*keys, "weight")})


_STATE = ("frequency", "recency", "T")
_NOBODY = "no customer was observed for a day or more: every T is 0"


def _reached(history: ir.Table) -> ir.Table:
    """Every state, in the segment of the landmark before."""
    return history.select(segment=previous_segment(history), **_weighted(history, 1))


def _left(history: ir.Table) -> ir.Table:
    """Every state but the last, in its own segment."""
    earlier = history.filter(history.landmark < history.landmark.max())
    return earlier.select(segment=earlier.code.cast("int64"), **_weighted(earlier, -1))


def _weighted(table: ir.Table, weight: int) -> dict[str, ir.Value]:
    return {**_state(table), "weight": ibis.literal(weight, "int64")}


def _state(table: ir.Table) -> dict[str, ir.Value]:
    return {name: table[name].cast("float64") for name in _STATE}
