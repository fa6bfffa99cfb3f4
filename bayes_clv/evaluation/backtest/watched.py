"""Groups of customers in whom forecasts are most likely to be wrong, watched one by one.

**The corner**: frequent customers gone silent, with at least eight repeat purchases, and idle for
at least ten of their own mean gaps. A model that says who left claims to be nearly certain of them,
so that an error of the model shows there first: few of them come back, but more than none.

**The cells** of the RFM grid: idle time by value, of the hard rule learnt at the origin. Errors
that cancel in a total do not cancel in them.

For each group: its customers, how many bought within the horizon, and the forecast. The interval is
that of the *share who buy*, not of its expectation. Within a draw customers buy independently of
each other, with chances that add up to S; the number who buy is then nearly binomial, with the
number of trials that gives it the right variance:

    m = (Σ p)² / Σ p²,      number ~ Binomial(m, S / m)

(a group of equal chances has m customers; one in which a few have all the chances has these few).
So the interval holds the uncertainty of the parameters, over draws, and chance, within each.
"""

from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.states import States
from bayes_clv.evaluation.backtest.forecasts import Forecasts
from bayes_clv.segments.estimators import RFMSegmenter
from bayes_clv.segments.rules import RFMRule

type Floats = NDArray[np.float64]
type Subsets = NDArray[np.bool_]

LEVEL = 0.9  # mass of the interval
MANY_PURCHASES = 8  # repeat purchases of a frequent customer
LONG_SILENCE = 10  # mean gaps between purchases
_ROWS = 5  # of the grid, and columns


class Watched:
    """The watched groups of the customers at one origin.

    Attributes
    ----------
    subsets
        ``(group, customer)``: the corner first, then the cells, row by row.

    Parameters
    ----------
    customers
        frequency, recency, T (days) and, where known, monetary_value, at the origin.
    """

    def __init__(self, customers: pd.DataFrame) -> None:
        states = States.from_frame(customers)
        rule = cast(RFMRule, RFMSegmenter().fit(customers).rule_)
        row, column = rule.cells(states)
        cells = np.arange(_ROWS**2)[:, None] == row * _ROWS + column
        self.subsets: Subsets = np.vstack([gone_silent(states)[None, :], cells])

    def shares(
        self, forecasts: Forecasts, labels: dict[str, Any], seed: int = 0
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return observed and forecast shares who bought, of the corner and of the cells.

        Parameters
        ----------
        forecasts
            Of the same customers, with ``chance_totals`` of ``subsets``.
        labels
            Columns to begin with.
        seed
            Of the sampled numbers of buyers.

        Returns
        -------
        Columns ``COLUMNS`` after the labels; the cells have ``idle_row`` and ``value_column`` too,
        from 1: idle row 1 bought last, value column 1 is worth least. Groups without customers
        are left out.
        """
        rng = np.random.default_rng(seed)
        rows = [
            share_who_buy(forecasts.chance[inside], totals, forecasts.happened[inside], rng)
            for inside, totals in zip(self.subsets, forecasts.chance_totals, strict=True)
        ]
        places = [
            {"idle_row": cell // _ROWS + 1, "value_column": cell % _ROWS + 1}
            for cell in range(len(rows) - 1)
        ]
        cells = [labels | place | row for place, row in zip(places, rows[1:], strict=True)]
        return (
            _frame([labels | rows[0]], [*labels, *COLUMNS]),
            _frame(cells, [*labels, "idle_row", "value_column", *COLUMNS]),
        )


COLUMNS = ("customers", "bought", "observed", "forecast", "lower", "upper", "z")


def gone_silent(states: States) -> NDArray[np.bool_]:
    """Whether each customer is in the corner, ``(customer,)``.

    Examples
    --------
    >>> rows = {"frequency": [30, 30, 7], "recency": [90, 90, 70], "T": [120, 119, 900]}
    >>> gone_silent(States.from_frame(pd.DataFrame(rows)))
    array([ True, False, False])
    """
    silent = states.idle_time * states.frequency >= LONG_SILENCE * states.recency
    inside: NDArray[np.bool_] = (states.frequency >= MANY_PURCHASES) & silent
    return inside


def share_who_buy(
    chance: Floats,
    totals: Floats,
    happened: NDArray[np.bool_],
    rng: np.random.Generator,
    level: float = LEVEL,
) -> dict[str, float]:
    """Compare the share of a group who bought with its forecast.

    Parameters
    ----------
    chance
        ``(customer,)`` mean chance of each.
    totals
        ``(draw,)`` sum of the chances within each draw.
    happened
        ``(customer,)`` whether each bought.
    rng
        For the numbers of buyers.
    level
        Mass of the interval.

    Returns
    -------
    ``COLUMNS``; z is the miss in predictive standard deviations, positive if more bought than
    forecast. Without customers only their number.
    """
    n, bought = len(chance), int(happened.sum())
    if n == 0:
        return {"customers": 0}
    trials = max(1, round(float(chance.sum() ** 2 / max((chance**2).sum(), 1e-300))))
    buyers = rng.binomial(trials, np.minimum(totals / trials, 1.0))
    lower, upper = np.quantile(buyers, arguments.tails(level), method="inverted_cdf") / n
    spread = float(np.sqrt(totals.var() + (chance * (1 - chance)).sum()))
    miss = bought - float(chance.sum())
    return {
        "customers": n,
        "bought": bought,
        "observed": bought / n,
        "forecast": float(chance.mean()),
        "lower": float(lower),
        "upper": float(upper),
        "z": miss / max(spread, 1e-9),
    }


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame([row for row in rows if row["customers"]], columns=columns)
