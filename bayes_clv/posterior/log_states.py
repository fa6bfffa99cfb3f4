"""The customers of a log, counted by segment and state in the engine that holds the log.

A comparison of segments only needs the number of customers in each state and the sum of their mean
spends. The data that the engine returns grow with the distinct states, not with the customers.
"""

import math
from typing import TYPE_CHECKING

import ibis
import numpy as np
import xarray as xr
from ibis import ir
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.arguments import Days
from bayes_clv.data.engines import cached, to_arrow
from bayes_clv.data.given_log import Log, as_log
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.data.transactions import Transactions
from bayes_clv.posterior.comparison import SegmentComparison
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.posterior import COMPARISON_HORIZON, Posterior
from bayes_clv.segments.expressions import noticeable_weights, segment_code
from bayes_clv.segments.own import warn_of_unmatched
from bayes_clv.segments.rules import (
    POPULATION,
    POPULATION_NAME,
    ColumnRule,
    SegmentRule,
    code_of,
)

if TYPE_CHECKING:
    from bayes_clv.posterior.totals import Tally

type Floats = NDArray[np.float64]

KEYS = ("code", "frequency", "recency", "T")


def coded_customers(posterior: Posterior, transactions: Transactions) -> ir.Table:
    """Summarise every customer at the observation end, with the code of their segment.

    Parameters
    ----------
    posterior
        Its rule assigns the segments, unless the log has a column of segments.
    transactions
        From ``read_transactions``. If its column of segments was read, it must name segments of the
        posterior.

    Returns
    -------
    The columns of ``rfm.durations(rfm.summarise(…))``, and code (int64).

    Raises
    ------
    InputError
        If the log names a segment that the posterior does not have. Where the posterior was fitted
        to own segments, only if it knows none of them: customers whose segment it does not know get
        the population's parameters, and a ``SegmentWarning`` counts and names them.
    """
    states = durations(summarise(transactions))
    coded = cached(states.mutate(code=_code(posterior, states)))
    if isinstance(posterior.rule, ColumnRule):
        _check_matched(posterior.rule, coded)
    return coded


def compare_log(
    posterior: Posterior,
    transactions: Log,
    *,
    horizon: Days = COMPARISON_HORIZON,
    terms: ValueTerms | None = None,
    level: float = 0.9,
) -> SegmentComparison:
    """Compare churn between the segments of a log's customers.

    Parameters
    ----------
    posterior, horizon, level
        As for ``Posterior.compare_segments``.
    transactions
        From ``read_transactions``, with the amounts if value is to be compared.
    terms
        The terms of value; by default a horizon of one year. A posterior without spend ignores
        them.
    """
    horizon = arguments.days("horizon", horizon)
    arguments.tails(level)
    customers = coded_customers(posterior, as_log(transactions))
    terms = (terms or ValueTerms()) if posterior.has_spend else None
    return SegmentComparison(segment_draws(posterior, customers, horizon, terms), level)


def segment_draws(
    posterior: Posterior, customers: ir.Table, horizon: float, terms: ValueTerms | None
) -> xr.Dataset:
    """Return each measure for each named segment, draw by draw.

    Parameters
    ----------
    customers
        frequency, recency, T (days), monetary_value and code, as in `coded_customers`.
    """
    from bayes_clv.posterior.totals import draws_by_segment

    model = posterior.model(money=terms is not None)
    tally = _tally(posterior.rule, customers)
    return draws_by_segment(model, posterior.segment_names, tally, horizon, terms)


def _tally(rule: SegmentRule, customers: ir.Table) -> "Tally":
    """Count the customers in the engine that holds them."""
    from bayes_clv.posterior.totals import Tally

    # A segment that a customer was given by name is theirs alone.
    soft = rule.soft and "segment" not in customers.columns
    weights = [f"share{k}" for k in range(len(rule.names))] if soft else []
    weighed = noticeable_weights(rule, customers, weights) if soft else customers
    weighed = weighed.mutate(mean_spend=customers.monetary_value.cast("float64"))
    spend = weighed.mean_spend
    known = (weighed.frequency > 0) & (spend >= 0)  # 0 where all was refunded
    most = to_arrow(weighed.aggregate(spend=spend.max(where=known)))["spend"][0].as_py() or 0.0
    sums = {"customers": weighed.count()}
    for k, name in enumerate(weights):
        weight = weighed[name]
        sums[f"weight{k}"] = _exact_sum(weight, 1.0)
        sums[f"known{k}"] = _exact_sum(weight, 1.0, known)
        sums[f"spend{k}"] = _exact_sum(weight * spend, most, known)
    if not soft:
        sums["known"] = weighed.count(where=known)
        sums["spend"] = _exact_sum(spend, most, known)
    shared = weighed.group_by(KEYS).aggregate(**sums)
    frame = to_arrow(shared.order_by(KEYS)).to_pandas()

    def column(name: str) -> Floats:
        values: Floats = frame[name].to_numpy(dtype=float)
        return values

    if soft:
        none = np.zeros(len(frame))  # of the population
        every = [
            [*(column(f"{part}{k}") for k in range(len(weights))), none]
            for part in ("weight", "known", "spend")
        ]
        shares = np.array(every).transpose(0, 2, 1)
    else:
        shares = np.stack([column(name) for name in ("customers", "known", "spend")])
    codes = frame["code"].to_numpy(dtype=np.int64)
    frequency, recency, T, customers_of_state = map(column, (*KEYS[1:], "customers"))
    return Tally(codes, frequency, recency, T, customers_of_state, shares)


def _exact_sum(
    values: ir.FloatingValue, most: float, where: ir.BooleanValue | None = None
) -> ir.FloatingValue:
    """Sum in whole parts of a power of two, of which ``most``, the largest value, has up to 2^36.

    An engine adds in any order, of which floating-point sums keep a trace in their last digits:
    equal fits would have different versions. Sums of integers keep none; those of up to 2^27
    customers in one state fit into 64 bits.
    """
    part = 2.0 ** (max(math.frexp(most)[1], _TINY) - _PARTS)
    total = (values / part).round().cast("int64").sum(where=where)
    return total.fill_null(0).cast("float64") * part


_PARTS = 36  # so that a value is off by at most 1e-11 of the largest
_TINY = -900  # exponent, far above those at which a part would be 0


def _check_matched(rule: ColumnRule, coded: ir.Table) -> None:
    """Warn of customers whose own segment the rule does not know."""
    total = int(coded.count().execute())
    if "segment" not in coded.columns:
        warn_of_unmatched(rule.names, total, {}, total)
        return
    unknown = coded.filter((coded.code == POPULATION) & (coded.segment != POPULATION_NAME))
    by_value = unknown.group_by("segment").aggregate(customers=unknown.count())
    most = by_value.order_by(ibis.desc("customers"), "segment").limit(_NAMED)
    found = to_arrow(most).to_pylist()
    counts = {row["segment"]: int(row["customers"]) for row in found}
    warn_of_unmatched(rule.names, total, counts, int(unknown.count().execute()))


_NAMED = 10  # unknown segments fetched; a wrong column may have millions


def _code(posterior: Posterior, states: ir.Table) -> ir.IntegerValue:
    rule = posterior.rule
    if "segment" not in states.columns:
        if isinstance(rule, ColumnRule):
            return ibis.literal(POPULATION, "int64")
        return segment_code(rule, states)
    if isinstance(rule, ColumnRule):
        return segment_code(rule, states)
    found = states.select("segment").distinct().to_pyarrow()["segment"].to_pylist()
    for name in sorted(found):
        code_of(rule, name)
    return segment_code(ColumnRule(posterior.segment_names), states)
