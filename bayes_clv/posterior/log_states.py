"""The customers of a log by segment and state, counted in the engine that holds them.

How many share a state, and what they spent, is all that a comparison of segments needs to know; so
what comes here grows with the distinct states and not with the customers.
"""

import ibis
import numpy as np
import xarray as xr
from ibis import ir

from bayes_clv.data.engines import cached, to_arrow
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.posterior.comparison import SegmentComparison
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.posterior import COMPARISON_HORIZON, Posterior
from bayes_clv.posterior.value import SpendTotals
from bayes_clv.segments.expressions import segment_code
from bayes_clv.segments.rules import POPULATION, ColumnRule, code_of

KEYS = ("code", "frequency", "recency", "T")


def coded_customers(posterior: Posterior, transactions: Transactions) -> ir.Table:
    """Summarise every customer at the observation end, with the code of their segment.

    Parameters
    ----------
    posterior
        Whose rule says which segment that is, unless the log does.
    transactions
        From ``read_transactions``; its column of segments, where it was read, names those of the
        posterior.

    Returns
    -------
    As ``rfm.durations(rfm.summarise(…))``, with code (int64).

    Raises
    ------
    InputError
        The log's segments are not the posterior's.
    """
    states = durations(summarise(transactions))
    return cached(states.mutate(code=_code(posterior, states)))


def compare_log(
    posterior: Posterior,
    transactions: Transactions,
    *,
    horizon: float = COMPARISON_HORIZON,
    terms: ValueTerms | None = None,
    level: float = 0.9,
) -> SegmentComparison:
    """Compare churn between the segments of a log's customers.

    Parameters
    ----------
    posterior, horizon, level
        As for ``Posterior.compare_segments``.
    transactions
        From ``read_transactions``, with the amounts where spend is to be known.
    terms
        Those of value; by default a year ahead. A posterior without spend has none.
    """
    customers = coded_customers(posterior, transactions)
    terms = (terms or ValueTerms()) if posterior.has_spend else None
    return SegmentComparison(segment_draws(posterior, customers, horizon, terms), level)


def segment_draws(
    posterior: Posterior, customers: ir.Table, horizon: float, terms: ValueTerms | None
) -> xr.Dataset:
    """Each measure for each segment, draw by draw: ``Posterior.segment_draws`` of a table.

    Parameters
    ----------
    customers
        frequency, recency, T (days), monetary_value and code, as `coded_customers` returns them.
    """
    spend = customers.monetary_value.cast("float64")
    known = (customers.frequency > 0) & (spend > 0)
    shared = customers.group_by(KEYS).aggregate(
        customers=customers.count(),
        spenders=customers.count(where=known),
        spend=spend.sum(where=known).fill_null(0.0),
    )
    frame = to_arrow(shared.order_by(KEYS)).to_pandas()
    columns = {name: frame[name].to_numpy(dtype=float) for name in KEYS[1:]}
    tally = (frame[name].to_numpy(dtype=float) for name in ("customers", "spenders", "spend"))
    unknown = np.full(len(frame), np.nan)  # the codes are known, and the tally holds the spend
    return posterior.segment_draws(
        States(**columns, monetary_value=unknown),
        SpendTotals(*tally),
        horizon,
        terms,
        codes=frame["code"].to_numpy(dtype=np.int64),
    )


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
