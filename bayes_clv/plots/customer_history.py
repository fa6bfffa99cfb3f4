"""One customer by day: P(alive) falls between purchases and rises with every purchase."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_clv import arguments
from bayes_clv.data.described import Described
from bayes_clv.data.given_log import as_log
from bayes_clv.data.rfm import purchase_days
from bayes_clv.data.transactions import Transactions
from bayes_clv.plots.style import (
    BLUE,
    GREY,
    VERMILION,
    band,
    dress,
    in_percent,
    label,
    legend,
    new_axes,
    over_time,
)
from bayes_clv.posterior.posterior import COMPARISON_HORIZON, Posterior


@dataclass(frozen=True, repr=False)
class AliveHistory(Described):
    """P(alive) and P(purchase) of one customer, day by day.

    Attributes
    ----------
    table
        By date: segment, and ``alive`` and ``purchase``, each with ``_lower`` and ``_upper``.
    purchases
        The days on which the customer bought.
    customer, horizon, level
        Arguments of `alive_history`; the horizon in days.
    """

    table: pd.DataFrame
    purchases: tuple[dt.date, ...]
    customer: Any
    horizon: float
    level: float

    def _facts(self) -> Mapping[str, object]:
        return {"days": len(self.table), "purchases": len(self.purchases), "level": self.level}


def alive_history(
    posterior: Posterior,
    transactions: Transactions,
    customer: Any,
    *,
    horizon: float = COMPARISON_HORIZON,
    level: float = 0.9,
) -> AliveHistory:
    """Compute P(alive) and P(purchase) of a customer for every day since the first purchase.

    Each day uses the customer's purchases up to it and their segment on it; the posterior is the
    same for all days.

    Parameters
    ----------
    posterior
        Posterior that gives the probabilities.
    transactions
        The log with the customer's purchases.
    customer
        The customer's id, as in the log.
    horizon
        Days ahead of P(purchase).
    level
        Mass of the intervals.

    Raises
    ------
    InputError
        The customer is not in the log.
    """
    arguments.instance("posterior", posterior, Posterior)
    transactions, horizon = as_log(transactions), arguments.days("horizon", horizon)
    # Engines refuse to compare a number with text.
    numbered = transactions.table.customer_id.type().is_integer()
    fits = isinstance(customer, int | np.integer if numbered else str)
    arguments.require(fits, f"customer must be in the log: {arguments.shown(customer)}")
    bought = _bought(transactions, customer)
    arguments.require(not bought.empty, f"customer must be in the log: {arguments.shown(customer)}")
    dates = pd.date_range(bought.index[0], pd.Timestamp(transactions.end))
    position = np.searchsorted(bought.index.to_numpy(), dates.to_numpy(), side="right") - 1
    states = bought.iloc[position].set_axis(dates)
    states["T"] = (dates - dates[0]).days.to_numpy(dtype=float)
    alive = posterior.probability_alive(states, level=level)
    buys = posterior.probability_of_purchase(states, horizon, level=level)
    table = alive.rename(columns=_ends("alive")).join(
        buys.drop(columns="segment").rename(columns=_ends("purchase"))
    )
    days = tuple(date.date() for date in bought.index)
    return AliveHistory(table.rename_axis("date"), days, customer, float(horizon), level)


def plot_alive_history(history: AliveHistory, ax: Axes | None = None) -> Axes:
    """Draw P(alive) and P(purchase) of one customer over time, with bands and purchase ticks.

    Parameters
    ----------
    history
        From ``alive_history``.
    ax
        Axes to draw on; by default those of a new figure.

    Examples
    --------
    >>> from bayes_clv import HierarchicalBetaGeo, load_cdnow
    >>> log = load_cdnow(sample=True)
    >>> posterior = HierarchicalBetaGeo(segmenter=None).fit(log, draws=50, tune=50)
    >>> ax = plot_alive_history(alive_history(posterior, log, 4))
    >>> ax.get_title(loc="left")
    'Customer 4: 4 purchase days'
    """
    arguments.instance("history", history, AliveHistory)
    if ax is None:
        (ax,) = new_axes(height=4.2)
    table = history.table
    dates = table.index.to_numpy()
    for name, colour, words in (
        ("alive", BLUE, "P(alive)"),
        ("purchase", VERMILION, f"P(purchase in the next {history.horizon:g} days)"),
    ):
        ax.plot(dates, table[name], color=colour, linewidth=2, label=words)
        band(ax, dates, table[f"{name}_lower"], table[f"{name}_upper"], colour, "")
    ticks = np.array(history.purchases, dtype="datetime64[D]")
    ax.vlines(ticks, 1.03, 1.10, color=GREY, linewidth=2, label="purchase")
    count = len(ticks)
    dress(ax, f"Customer {history.customer}: {count} purchase day{'s' if count > 1 else ''}")
    label(ax, "", f"probability, {history.level:.0%} band")
    ax.set_ylim(-0.02, 1.12)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    in_percent(ax.yaxis)
    over_time(ax, marks=9)
    legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
    return ax


def _bought(transactions: Transactions, customer: Any) -> pd.DataFrame:
    """The state right after each purchase, by date: frequency, recency, spend, segment."""
    days = purchase_days(transactions)
    mine = days.filter(days.customer_id == ibis.literal(customer)).order_by("date").to_pandas()
    mine = mine.set_index(pd.DatetimeIndex(mine["date"]))
    states = pd.DataFrame({"frequency": np.arange(len(mine))}, index=mine.index)
    states["recency"] = (mine.index - mine.index.min()).days.to_numpy(dtype=float)
    if "spend" in mine:
        again = mine["spend"].where(states["frequency"] > 0, 0.0).cumsum()
        states["monetary_value"] = again / states["frequency"].clip(lower=1)
    if "segment" in mine:
        states["segment"] = mine["segment"]
    return states


def _ends(name: str) -> dict[str, str]:
    return {"mean": name, "lower": f"{name}_lower", "upper": f"{name}_upper"}
