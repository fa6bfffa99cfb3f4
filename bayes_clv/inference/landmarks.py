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
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import numpy as np
from ibis import ir
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.dates import as_date
from bayes_clv.data.described import Described
from bayes_clv.data.engines import to_arrow
from bayes_clv.errors import InputError
from bayes_clv.segments.rules import POPULATION


@dataclass(frozen=True, slots=True, repr=False)
class LandmarkTable(Described):
    """Distinct (segment, frequency, recency, T) with their weights, each ``(row,)``.

    ``segment`` is the segment's code, or ``POPULATION``. Durations are in days. Weights may be
    negative, and add up to the number of customers.
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
        return int(self.weight.sum())

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
        a customer with a row at one landmark has a row at every later one.
    """
    history = states.filter(states["T"] > 0)
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


def _grouped(rows: ir.Table) -> LandmarkTable:
    """Add up the weights of equal rows, and drop rows of weight zero."""
    keys = ("segment", *_STATE)
    # Engines widen sums of integers, each to a type of its own.
    table = rows.group_by(keys).aggregate(weight=rows.weight.sum().cast("float64"))
    columns = to_arrow(table.filter(table.weight != 0).order_by(keys))
    if not len(columns):
        raise InputError("no customer was observed for a day or more: every T is 0")
    return LandmarkTable(**{name: columns[name].to_numpy() for name in (*keys, "weight")})


_STATE = ("frequency", "recency", "T")


def _reached(history: ir.Table) -> ir.Table:
    """Every state, in the segment of the landmark before."""
    return history.select(segment=previous_segment(history), **_weighted(history, 1))


def _left(history: ir.Table) -> ir.Table:
    """Every state but the last, in its own segment."""
    earlier = history.filter(history.landmark < history.landmark.max())
    return earlier.select(segment=earlier.code.cast("int64"), **_weighted(earlier, -1))


def _weighted(table: ir.Table, weight: int) -> dict[str, ir.Value]:
    columns = {name: table[name].cast("float64") for name in _STATE}
    return {**columns, "weight": ibis.literal(weight, "int64")}
