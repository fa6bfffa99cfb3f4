"""Repeat purchases over time: forecast and observed."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.evaluation.predictive_checks import Tracking
from bayes_clv.models.bgnbd import expected_purchases
from bayes_clv.plots.style import (
    BLUE,
    GREY,
    TEXT,
    VERMILION,
    ManyAxes,
    band,
    dress,
    given_axes,
    label,
    legend,
    new_axes,
    over_time,
)
from bayes_clv.posterior.posterior import Posterior


def plot_tracking(tracking: Tracking, axes: ManyAxes | None = None) -> NDArray[np.object_]:
    """Draw forecast and observed repeat purchases, per period and cumulative, in fit and holdout.

    Parameters
    ----------
    tracking
        From :func:`bayes_clv.evaluation.predictive_checks.track`.
    axes
        Two axes to draw on; by default those of a new figure.

    Returns
    -------
    The two axes, ``(2,)``: per period, cumulative.

    Examples
    --------
    >>> from bayes_clv import HierarchicalBetaGeo, load_cdnow
    >>> from bayes_clv.evaluation.predictive_checks import track
    >>> log = load_cdnow(sample=True)
    >>> past = log.until(log.end.replace(month=1))
    >>> posterior = HierarchicalBetaGeo(segmenter=None).fit(past, draws=50, tune=50)
    >>> weekly, total = plot_tracking(track(posterior, log, draws=20))
    >>> weekly.get_title(loc="left")
    'Repeat purchases per week'
    """
    arguments.instance("tracking", tracking, Tracking)
    pair = new_axes(1, 2, height=4.8) if axes is None else given_axes(axes, 2)
    period = {1: "per day", 7: "per week"}.get(tracking.period, f"per {tracking.period} days")
    _draw(pair[0], tracking, "", f"Repeat purchases {period}")
    _draw(pair[1], tracking, "cumulative_", "Repeat purchases since the start")
    legend(pair[0], loc="upper right")
    return pair


def new_customer(posterior: Posterior, days: float, *, level: float = 0.9) -> pd.DataFrame:
    """Compute expected repeat purchases of a customer after the first purchase.

    Parameters
    ----------
    posterior
        The population's parameters are used, because a new customer has no segment yet.
    days
        Horizon in days.
    level
        Mass of the interval of the expectation.

    Returns
    -------
    Columns mean, lower and upper of E[X(t)], by t in days.
    """
    arguments.instance("posterior", posterior, Posterior)
    tails = arguments.tails(level)
    ahead = np.linspace(0, arguments.days("days", days), 61)
    expected = expected_purchases(
        posterior.parameters[-1, :, None], 0, 0, 0, ahead, posterior.dropout
    )
    lower, upper = np.quantile(expected, tails, axis=0)
    table = pd.DataFrame({"mean": expected.mean(axis=0), "lower": lower, "upper": upper})
    return table.set_index(pd.Index(ahead, name="days"))


def plot_new_customer(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the expected repeat purchases of a new customer over time, with their interval.

    Parameters
    ----------
    table
        From ``new_customer``.
    ax
        Axes to draw on; by default those of a new figure.

    Examples
    --------
    >>> from bayes_clv import HierarchicalBetaGeo, load_cdnow
    >>> model = HierarchicalBetaGeo(segmenter=None)
    >>> posterior = model.fit(load_cdnow(sample=True), draws=50, tune=50)
    >>> ax = plot_new_customer(new_customer(posterior, days=546))
    >>> ax.get_title(loc="left")
    'Expected repeat purchases of a new customer'
    """
    arguments.instance("table", table, pd.DataFrame)
    if ax is None:
        (ax,) = new_axes(height=4.2, width=8)
    days = table.index.to_numpy()
    band(ax, days, table["lower"], table["upper"], BLUE, "interval of the expectation")
    ax.plot(days, table["mean"], color=BLUE, linewidth=2)
    dress(ax, "Expected repeat purchases of a new customer")
    label(ax, "days since the first purchase", "repeat purchases")
    ax.set_xlim(0, days[-1])
    ax.set_ylim(bottom=0)
    return ax


def _draw(ax: Axes, tracking: Tracking, kind: str, title: str) -> None:
    table = tracking.table
    dates = pd.to_datetime(pd.Index(table.index)).to_numpy()
    words = f"forecast, {tracking.level:.0%} band"
    band(ax, dates, table[f"{kind}lower"], table[f"{kind}upper"], BLUE, words)
    ax.plot(dates, table[f"{kind}mean"], color=BLUE, linewidth=2, label="forecast, mean")
    ax.plot(dates, table[f"{kind}actual"], color=VERMILION, linewidth=1.5, label="observed")
    ax.set_ylim(bottom=0)
    if table["held_out"].any():
        end = date2num(tracking.end)  # type: ignore[no-untyped-call]
        ax.axvline(end, color=GREY, linewidth=1.5, linestyle="--", zorder=1)
        for words, side, shift in (("fitted", "right", -6), ("held out", "left", 6)):
            ax.annotate(
                words, (end, 0), xytext=(shift, 6), textcoords="offset points",
                ha=side, fontsize=TEXT - 1, color=GREY,
            )  # fmt: skip
    dress(ax, title)
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    over_time(ax)
