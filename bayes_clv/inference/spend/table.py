r"""The likelihood of spend as sums over the log, whose size does not grow with customers.

As with purchases, what a customer spent between two landmarks is explained by the parameters of
their segment at the first of them (:mod:`bayes_clv.inference.landmarks`). With x purchases before,
whose sum is s, and n further ones, whose sum is Δs, :mod:`bayes_clv.models.gammagamma` has the
likelihood

    ln Γ(p(x+n)+q) − ln Γ(px+q) − ln Γ(pn) + (pn−1) ln Δs + (px+q) ln(v+s) − (p(x+n)+q) ln(v+s+Δs)

Summed over the customers of a group, the first three terms need how often each x + n, x and n
occur, the fourth Σ ln Δs and Σ n ln Δs, and the rest is p A(ln v) + q B(ln v) with

    A(u) = Σ x ln(eᵘ+s) − (x+n) ln(eᵘ+s+Δs),   B(u) = Σ ln(eᵘ+s) − ln(eᵘ+s+Δs)

which are as smooth as ln(1+eᵘ): analytic up to the distance π from the real axis. So they are
polynomials to 13 digits on an interval that few data leave, read off their values at Chebyshev
points (Trefethen 2013, Approximation Theory and Approximation Practice, chapter 8). Beyond it they
tend to straight lines as e^−|u| → 0. These tails matter: where all customers pay alike, q is large
and B must not rise; where each customer pays the same every time, p is large and v small. The
engine that holds the customers computes all these sums.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import ibis
import numpy as np
import numpy.polynomial.chebyshev as cheb
import pandas as pd
from ibis import ir
from numpy.typing import NDArray

from bayes_clv.data.described import Described
from bayes_clv.data.engines import cached
from bayes_clv.inference.landmarks import previous_segment
from bayes_clv.segments.rules import POPULATION

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

LOWEST, HIGHEST = -16.0, 12.0  # u = ln v of the polynomials
MIDDLE, REACH = (LOWEST + HIGHEST) / 2, (HIGHEST - LOWEST) / 2
_NODES = 140
_U = MIDDLE + REACH * cheb.chebpts1(_NODES)
# ln p and ln(q−1) are the components shape and tail up to here, and grow by no more than 1 beyond.
# Where each customer always pays the same, the likelihood rises for ever with p; where all
# customers do, with q too. e^8 to e^9 says that amounts differ by a percent. Less matters to
# nobody; farther out sums of ln Γ lose their digits, and segments differ in the size of infinity.
CERTAIN = 8.0
_LEAST = 1e-9  # share of a sum, below which an addition is lost in rounding
# Engines add floats in any order, so that the last digits differ; sums of decimals are exact.
_EXACT = "decimal(38, 12)"


class SpendSums(NamedTuple):
    """Sums over episodes, by group, in units of money: all that the likelihood uses.

    Attributes
    ----------
    purchases_group, purchases, purchases_weight
        ``(key,)`` how often an episode ends at a number of purchases, less how often one begins.
    more_group, more, more_weight
        ``(key,)`` how many episodes have so many purchases.
    log_spend, log_spend_by_purchase
        ``(group,)`` Σ ln Δs and Σ n ln Δs.
    by_count, by_one
        ``(group, node)`` Chebyshev coefficients of A and B, on u from ``LOWEST`` to ``HIGHEST``.
    count_slopes, one_slopes
        ``(group, 2)`` the slopes of the lines that A and B go to, as u → −∞ and as u → ∞.
    """

    purchases_group: Ints
    purchases: Floats
    purchases_weight: Floats
    more_group: Ints
    more: Floats
    more_weight: Floats
    log_spend: Floats
    log_spend_by_purchase: Floats
    by_count: Floats
    by_one: Floats
    count_slopes: Floats
    one_slopes: Floats


@dataclass(frozen=True, slots=True, repr=False)
class SpendTable(Described):
    """All episodes between landmarks in which something was spent, by group.

    A group is a segment, by its code, or the population, by the code −1: the last row.

    Attributes
    ----------
    unit
        Of money in the model, in the currency of the log: the geometric mean of spend per repeat
        purchase, which a single absurd order hardly moves.
    mean
        Mean spend per repeat purchase, in the currency of the log.
    n_episodes
        ``(group,)`` how many episodes.
    sums
        All that the likelihood needs of them, in units of ``unit``.
    without_spend
        Episodes whose purchases cost nothing; they are left out.
    """

    unit: float
    mean: float
    n_episodes: Floats
    sums: SpendSums
    without_spend: int

    @property
    def n_groups(self) -> int:
        """The population and the segments with parameters of their own: 1 in a pooled model."""
        return len(self.n_episodes)

    @property
    def n_segments(self) -> int:
        """Segments with parameters of their own; 0 in a pooled model."""
        return self.n_groups - 1

    def _facts(self) -> Mapping[str, object]:
        return {"rows": len(self.n_episodes), "stretches": int(self.n_episodes.sum())}


def spend_table(states: ir.Table, n_segments: int) -> SpendTable | None:
    """Add up the spend of customers, in the engine that holds them.

    Parameters
    ----------
    states
        customer_id, landmark, frequency, T (days), monetary_value and code, the segment at that
        landmark; a customer with a row at one landmark has a row at every later one.
    n_segments
        How many there are; with fewer than two every episode is the population's.

    Returns
    -------
    The table; None where nobody spent anything.
    """
    episodes = cached(_episodes(states))
    paid = episodes.more_spend > _LEAST * episodes.spent
    (sums,) = (
        episodes.aggregate(
            episodes=episodes.count(),
            paid=episodes.count(where=paid),
            purchases=episodes.more.sum(where=paid),
            spend=_sum(episodes.more_spend, where=paid),
        )
        .to_pyarrow()
        .to_pylist()
    )
    if not sums["paid"]:
        return None
    spent = episodes.filter(paid)
    typical = _sum((spent.more_spend / spent.more).ln()) / spent.count()
    unit = math.exp(_exactly(typical.execute()))
    if n_segments < 2:
        spent, n_groups = spent.mutate(group=ibis.literal(POPULATION, "int64")), 1
    else:
        spent, n_groups = spent.mutate(group=spent.segment), n_segments + 1
    spent = cached(spent.mutate(spent=spent.spent / unit, more_spend=spent.more_spend / unit))
    of_groups = _of_groups(spent, n_groups)
    return SpendTable(
        unit=unit,
        mean=sums["spend"] / sums["purchases"],
        n_episodes=of_groups.pop("n_episodes"),
        sums=SpendSums(**_of_counts(spent), **of_groups, **_of_nodes(spent, n_groups)),
        without_spend=sums["episodes"] - sums["paid"],
    )


def _episodes(states: ir.Table) -> ir.Table:
    """Purchases and spend from one landmark to the next, of customers who bought in between."""
    history = states.filter(states["T"] > 0)
    history = history.mutate(spend=history.monetary_value.cast("float64") * history.frequency)
    by_customer = ibis.window(group_by="customer_id", order_by="landmark")
    before = history.select(
        segment=previous_segment(history),
        count=history.frequency.lag().over(by_customer).fill_null(0).cast("float64"),
        spent=history.spend.lag().over(by_customer).fill_null(0.0),
        count_after=history.frequency.cast("float64"),
        spent_after=history.spend,
    )
    episodes = before.select(
        "segment",
        "count",
        "spent",
        more=before.count_after - before["count"],
        more_spend=before.spent_after - before.spent,
    )
    return episodes.filter(episodes.more > 0)


def _of_counts(spent: ir.Table) -> dict[str, Any]:
    """How often each number of purchases occurs."""
    one = ibis.literal(1, "int64")
    reached = spent.select("group", count=spent["count"] + spent.more, weight=one)
    left = spent.select("group", "count", weight=-one)
    counts = _weighed(ibis.union(reached, left))
    more = _weighed(spent.select("group", count=spent.more, weight=one))
    return {
        "purchases_group": counts["group"].to_numpy(dtype=np.int64),
        "purchases": counts["count"].to_numpy(dtype=float),
        "purchases_weight": counts["weight"].to_numpy(dtype=float),
        "more_group": more["group"].to_numpy(dtype=np.int64),
        "more": more["count"].to_numpy(dtype=float),
        "more_weight": more["weight"].to_numpy(dtype=float),
    }


def _weighed(rows: ir.Table) -> pd.DataFrame:
    table = rows.group_by("group", "count").aggregate(weight=rows.weight.sum().cast("float64"))
    frame: pd.DataFrame = table.filter(table.weight != 0).order_by("group", "count").to_pandas()
    return frame


def _of_groups(spent: ir.Table, n_groups: int) -> dict[str, Any]:
    log_spend, nothing = spent.more_spend.ln(), spent.spent == 0
    sums = spent.group_by("group").aggregate(
        n_episodes=spent.count().cast("float64"),
        log_spend=_sum(log_spend),
        log_spend_by_purchase=_sum(spent.more * log_spend),
        more=_sum(spent.more),
        first=spent.count(where=nothing).cast("float64"),
        count_of_first=_sum(spent["count"], where=nothing),
    )
    codes = [*range(n_groups - 1), POPULATION]
    frame = sums.to_pandas().set_index("group").reindex(codes).fillna(0.0)
    columns = {str(name): column.to_numpy(dtype=float) for name, column in frame.items()}
    more, first = columns.pop("more"), columns.pop("first")
    count_of_first = columns.pop("count_of_first")
    return columns | {
        "count_slopes": np.column_stack([count_of_first, -more]),
        "one_slopes": np.column_stack([first, np.zeros(n_groups)]),
    }


def _of_nodes(spent: ir.Table, n_groups: int) -> dict[str, Any]:
    """A and B at the Chebyshev points, as polynomials."""
    # An array in the query itself: a table would have to be sent to where the customers are.
    points = ibis.array(np.exp(_U).tolist()).unnest().name("v").as_table()
    rows = spent.cross_join(points)
    before, after = (rows.v + rows.spent).ln(), (rows.v + rows.spent + rows.more_spend).ln()
    sums = rows.group_by("group", "v").aggregate(
        by_count=_sum(rows["count"] * before - (rows["count"] + rows.more) * after),
        by_one=_sum(before - after),
    )
    frame = sums.order_by("group", "v").to_pandas()  # v ascends as _U does
    columns = {}
    for name in ("by_count", "by_one"):
        values = np.zeros((n_groups, _NODES))
        values[frame["group"].unique()] = frame[name].to_numpy(dtype=float).reshape(-1, _NODES)
        columns[name] = _coefficients(values)
    return columns


def _exactly(value: Any) -> float:
    """A float to ten digits: the logarithms of different engines agree no further."""
    return float(f"{value:.10g}")


def _coefficients(values: Floats) -> Floats:
    """Of the polynomials through ``values (group, node)`` at the Chebyshev points."""
    degrees = np.arange(_NODES)[:, None]
    angles = np.arccos(cheb.chebpts1(_NODES))
    coefficients: Floats = 2 / _NODES * values @ np.cos(degrees * angles).T
    coefficients[:, 0] /= 2
    return coefficients


def _sum(value: ir.NumericValue, where: ir.BooleanValue | None = None) -> ir.NumericValue:
    return value.cast(_EXACT).sum(where=where).cast("float64")
