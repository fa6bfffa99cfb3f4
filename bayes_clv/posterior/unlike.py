"""Is a log unlike the one that a model was fitted to?

A model answers for any log, also for one in another currency, of another decade or of another shop,
and nothing in the answers shows it. So the log's own figures are compared with the model's. The
thresholds are far beyond what a shop does by itself; within them nothing is said:

======================  =======  ===================================================================
`OLD`                   a year   The log ends later than the fit by more than this and by more than
                                 the days of the fit's log, or begins later by more than this:
                                 customers then live in a time of which the model saw nothing.
`SPEND_FACTOR`          4        Mean spend per repeat purchase day, against the model's. Prices of
                                 one shop do not change fourfold in the time of a log; crowns,
                                 rupees, yen and cents instead of euros or dollars do (8 to 160).
`LEAST_SPENDERS`        20       customers with a mean spend. Of fewer, one may make the mean.
`RATE_FACTOR`           5        Repeat purchase days of all customers, against the expectation for
                                 new customers observed as long. For four logs (CDNOW, a grocer, an
                                 apparel retailer, a gift shop) it is wrong by a factor of 1.7 at
                                 most, even if the model saw only the first half of the days.
`LEAST_PURCHASES`       20       repeat purchase days, expected or observed. Fewer are chance.
======================  =======  ===================================================================
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_clv.data.engines import to_arrow
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.data.transactions import Transactions
from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Parameters
from bayes_clv.posterior.posterior import Posterior

type Floats = NDArray[np.float64]

OLD = 365
SPEND_FACTOR, LEAST_SPENDERS = 4, 20
RATE_FACTOR, LEAST_PURCHASES = 5, 20


def unlike(posterior: Posterior, transactions: Transactions) -> tuple[str, ...]:
    """Compare a log with that of the fit, by one query.

    Returns
    -------
    One line for each difference: the figures, the threshold, and what to do. Mostly none.
    """
    states = durations(summarise(transactions))
    spend = states.monetary_value.cast("float64")
    pays = (states.frequency > 0) & (spend > 0)
    by_age = states.group_by("T").aggregate(
        customers=states.count(),
        purchases=states.frequency.sum(),
        spenders=states.count(where=pays),
        paid=(spend * states.frequency).sum(where=pays).fill_null(0.0),
        paid_for=states.frequency.sum(where=pays).fill_null(0),
    )
    found = to_arrow(by_age.order_by("T")).to_pandas()
    columns = {name: found[name].to_numpy(dtype=float) for name in found.columns}
    lines = (
        *_period(posterior, transactions),
        _spend(posterior, columns),
        _rate(posterior, columns),
    )
    return tuple(line for line in lines if line)


def _period(posterior: Posterior, log: Transactions) -> tuple[str, ...]:
    record = posterior.record
    covered = f"the log covers {log.start} … {log.end}, the model's {record.start} … {record.end}"
    refit = "fit a model to a recent log, or check the dates (--date-format)"
    if log.end < record.start:
        days = (record.start - log.end).days
        return (f"{covered}: it ends {days:,} days before the model's begins; {refit}",)
    gap = (log.start - record.end).days
    if gap > OLD:
        return (f"{covered}: it begins {gap:,} days later, more than {OLD}; {refit}",)
    later, most = (log.end - record.end).days, max(OLD, (record.end - record.start).days)
    if later > most:
        return (f"{covered}: it ends {later:,} days later, more than {most:,}; {refit}",)
    return ()


def _spend(posterior: Posterior, found: dict[str, Any]) -> str:
    record = posterior.record.spend
    if record is None or found["spenders"].sum() < LEAST_SPENDERS:
        return ""
    mean = float(found["paid"].sum() / found["paid_for"].sum())
    factor = _factor(mean, record.unit)
    if factor <= SPEND_FACTOR:
        return ""
    return (
        f"customers spend {mean:,.2f} per repeat purchase day, {record.unit:,.2f} in the model's "
        f"log: a factor of {factor:,.1f}, more than {SPEND_FACTOR}; if that is another currency or "
        "another column, value is wrong: convert the amounts, name their column with amount= "
        "(--amount), or fit a model to this log"
    )


def _rate(posterior: Posterior, found: dict[str, Any]) -> str:
    observed = float(found["purchases"].sum())
    each = _expected_of_new(posterior, found["T"])
    expected = float((found["customers"] * each).sum())
    factor = _factor(observed, expected)
    if max(observed, expected) < LEAST_PURCHASES or factor <= RATE_FACTOR:
        return ""
    which = "more" if observed > expected else "fewer"
    return (
        f"customers came back on {observed:,.0f} days, where the model expects {expected:,.0f} of "
        f"customers observed as long: {which} by a factor of {factor:,.1f}, more than "
        f"{RATE_FACTOR}; check the dates and the customers' column (--date, --customer), or fit a "
        "model to this log; if these customers were chosen by what they bought, score all of them"
    )


def _expected_of_new(posterior: Posterior, T: Floats) -> Floats:
    """Expected repeat purchases of a new customer in T days, at the population's medians."""
    drawn = posterior.parameters
    medians = (np.median(draws[-1:], axis=1) for draws in (drawn.r, drawn.alpha, drawn.a, drawn.b))
    zero = np.zeros(1)
    return bgnbd.expected_purchases(Parameters(*medians), zero, zero, zero, T, posterior.dropout)


def _factor(one: float, other: float) -> float:
    """By what factor, at least 1, two figures differ."""
    small, large = sorted((one, other))
    return large / small if small > 0 else float("inf") if large > 0 else 1.0
