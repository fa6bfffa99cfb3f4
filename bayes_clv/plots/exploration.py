"""Exploration of a log before any model: weeks, weekdays, cohorts, and customers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.described import Described
from bayes_clv.data.given_customers import as_customers
from bayes_clv.data.given_log import as_log
from bayes_clv.data.rfm import purchase_days
from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.plots.style import (
    BLUE,
    GREEN,
    GREY,
    TEXT,
    VERMILION,
    ManyAxes,
    cells,
    dress,
    given_axes,
    in_percent,
    label,
    new_axes,
    over_time,
    write,
)

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MOST_WRITTEN = 15  # above twice as many columns a cohort table has no numbers


@dataclass(frozen=True, repr=False)
class Calendar(Described):
    """When customers buy; purchases of one customer on one day count once.

    Attributes
    ----------
    weeks
        Numbers of ``first`` and ``repeat`` purchases, by the last day of each week. Weeks start at
        the log's first day; an incomplete last week is left out.
    weekdays
        Share of repeat purchases by weekday, Monday first.
    """

    weeks: pd.DataFrame
    weekdays: pd.Series

    def _facts(self) -> Mapping[str, object]:
        return {"weeks": len(self.weeks)}


def calendar(transactions: Transactions) -> Calendar:
    """Count first and repeat purchases by week, and repeat purchases by weekday."""
    transactions = as_log(transactions)
    days = _days(transactions)
    start = pd.Timestamp(transactions.start)
    n_weeks = ((pd.Timestamp(transactions.end) - start).days + 1) // 7
    week = (days["date"] - start).dt.days // 7
    repeat = days["date"] > days["first"]
    counts = {
        name: np.bincount(week[chosen], minlength=n_weeks)[:n_weeks]
        for name, chosen in (("first", ~repeat), ("repeat", repeat))
    }
    ends = start + pd.to_timedelta(7 * np.arange(1, n_weeks + 1) - 1, unit="D")
    by_weekday = np.bincount(days.loc[repeat, "date"].dt.day_of_week, minlength=7)
    total = max(int(repeat.sum()), 1)
    shares = pd.Series(by_weekday / total, index=list(_WEEKDAYS))
    return Calendar(pd.DataFrame(counts, index=pd.Index(ends, name="week")), shares)


def plot_calendar(counted: Calendar, axes: ManyAxes | None = None) -> NDArray[np.object_]:
    """Draw first and repeat purchases week by week, and repeat purchases by weekday.

    Parameters
    ----------
    counted
        From ``calendar``.
    axes
        Two axes to draw on; by default those of a new figure.

    Returns
    -------
    The two axes, ``(2,)``.

    Examples
    --------
    >>> from bayes_clv import load_cdnow
    >>> weekly, weekdays = plot_calendar(calendar(load_cdnow(sample=True)))
    >>> [line.get_label() for line in weekly.lines]
    ['first purchases', 'repeat purchases']
    """
    arguments.instance("counted", counted, Calendar)
    pair = (
        new_axes(1, 2, height=4.2, width_ratios=[2.2, 1]) if axes is None else given_axes(axes, 2)
    )
    weekly, weekdays = pair
    ends = counted.weeks.index.to_numpy()
    for name, colour in (("first", GREY), ("repeat", BLUE)):
        weekly.plot(ends, counted.weeks[name], color=colour, linewidth=2, label=f"{name} purchases")
    dress(weekly, "Purchases per week")
    weekly.set_ylim(bottom=0)
    weekly.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    over_time(weekly)
    weekly.legend(fontsize=TEXT - 2, frameon=False)
    weekdays.bar(np.arange(7), counted.weekdays, 0.8, color=BLUE)
    weekdays.set_xticks(np.arange(7), list(counted.weekdays.index))
    _round_percent(weekdays)
    dress(weekdays, "Repeat purchases by weekday")
    return pair


def cohorts(transactions: Transactions) -> pd.DataFrame:
    """Compute, by month of first purchase, the share of customers who bought in later months.

    Returns
    -------
    One row per month of first purchase: the column ``customers``, and one column for each number of
    months since (1, 2, …) with the share that bought in that month; NaN after the log's last whole
    month.
    """
    transactions = as_log(transactions)
    days = _days(transactions)
    month, first = (_months(days[name]) for name in ("date", "first"))
    bought = pd.DataFrame(
        {"cohort": first, "since": month - first, "customer": days["customer_id"]}
    ).drop_duplicates()
    table = bought.groupby(["cohort", "since"]).size().unstack(fill_value=0)  # noqa: PD010
    size = table[0]
    end = pd.Timestamp(transactions.end)
    last = end.year * 12 + end.month - (0 if end.is_month_end else 1)  # the last whole month
    ahead = np.arange(1, max(last - int(table.index.min()), 1) + 1)
    shares = table.reindex(columns=ahead, fill_value=0).div(size, axis=0)
    shares = shares.where(table.index.to_numpy()[:, None] + ahead <= last)
    shares.insert(0, "customers", size)
    names = [f"{(it - 1) // 12}-{(it - 1) % 12 + 1:02d}" for it in table.index]
    named: pd.DataFrame = shares.set_axis(pd.Index(names, name="first purchase"))
    return named


def plot_cohorts(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the share of each cohort that bought, by months since the first purchase.

    Parameters
    ----------
    table
        From ``cohorts``.
    ax
        Axes to draw on; by default those of a new figure.

    Examples
    --------
    >>> from bayes_clv import load_cdnow
    >>> ax = plot_cohorts(cohorts(load_cdnow(sample=True)))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['1997-01: 781', '1997-02: 857', '1997-03: 719']
    """
    arguments.instance("table", table, pd.DataFrame)
    if ax is None:
        (ax,) = new_axes(height=1.8 + 0.45 * len(table))
    shares = table.drop(columns="customers")
    values = shares.to_numpy(dtype=float)
    most = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    cells(ax, values, colours="Blues", least=0, most=most)
    for (row, column), share in np.ndenumerate(values):
        if np.isfinite(share) and values.shape[1] <= 2 * _MOST_WRITTEN:
            write(ax, row, column, f"{100 * share:.0f}", on_dark=bool(share > 0.6 * most))
    dress(ax, "Percentage of the cohort that bought in the month", grid="")
    ax.set_xticks(range(values.shape[1]), list(map(str, shares.columns)))
    ax.set_yticks(
        range(len(table)),
        [f"{name}: {size:,}" for name, size in table["customers"].items()],
    )
    label(ax, "months since the first purchase", "month of first purchase: number of customers")
    return ax


def plot_customers(customers: pd.DataFrame, axes: ManyAxes | None = None) -> NDArray[np.object_]:
    """Draw the distributions of idle time, frequency and spend over customers.

    Parameters
    ----------
    customers
        frequency, recency, T (days) and optionally monetary_value.
    axes
        Three axes to draw on; by default those of a new figure.

    Returns
    -------
    The three axes, ``(3,)``; the last one is empty where no spend is known.

    Examples
    --------
    >>> from bayes_clv import customers, load_cdnow
    >>> axes = plot_customers(customers(load_cdnow(sample=True)))
    >>> axes[1].get_xticklabels()[-1].get_text()
    '10+'
    """
    customers = as_customers(customers)
    three = new_axes(1, 3, height=4.2) if axes is None else given_axes(axes, 3)
    states = States.from_frame(customers)
    n = len(states)
    weights = np.full(n, 1 / n)
    three[0].hist(states.idle_time, bins=24, weights=weights, color=VERMILION, rwidth=0.92)
    dress(three[0], "Idle time")
    label(three[0], "days since the last purchase", "share of customers")
    counts = np.bincount(np.minimum(states.frequency, 10).astype(int), minlength=11)
    three[1].bar(np.arange(11), counts / n, 0.85, color=BLUE)
    three[1].set_xticks(np.arange(0, 11, 2), ["0", "2", "4", "6", "8", "10+"])
    dress(three[1], "Frequency")
    label(three[1], "repeat purchases")
    spend = states.repeat_spend[np.isfinite(states.repeat_spend)]
    if len(spend):
        least, most = np.quantile(spend, [0.002, 0.998])
        bins = np.geomspace(0.999 * least, 1.001 * most, 25)
        three[2].hist(
            spend, bins=bins, weights=np.full(len(spend), 1 / len(spend)), color=GREEN, rwidth=0.92
        )
        three[2].set_xscale("log")
        three[2].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        three[2].minorticks_off()
    dress(three[2], "Spend of repeat buyers")
    label(three[2], "mean per repeat purchase (log scale)")
    for ax in three:
        _round_percent(ax)
    return three


def _round_percent(ax: Axes) -> None:
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    in_percent(ax.yaxis)


def _days(transactions: Transactions) -> pd.DataFrame:
    days = purchase_days(transactions).select("customer_id", "date", "first").to_pandas()
    read: pd.DataFrame = days.assign(
        date=pd.to_datetime(days["date"]), first=pd.to_datetime(days["first"])
    )
    return read


def _months(dates: pd.Series) -> pd.Series:
    """Months since the year 0, counted from 1."""
    months: pd.Series = dates.dt.year * 12 + dates.dt.month
    return months
