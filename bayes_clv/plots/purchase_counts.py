"""Observed numbers of purchases against the model's forecasts."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from bayes_clv import arguments
from bayes_clv.plots.style import BLUE, PALE, TEXT, VERMILION, dress, label, legend, new_axes

_NAMES = {
    "frequency": "repeat purchases before the holdout",
    "recency": "recency before the holdout, days",
    "T": "days since first purchase",
    "idle_time": "days since last purchase",
}


def plot_purchase_counts(
    table: pd.DataFrame, ax: Axes | None = None, *, title: str = "Customers by repeat purchases"
) -> Axes:
    """Draw observed numbers of episodes with 0, 1, 2, … purchases, and forecasts with intervals.

    The height of a bar is on a square-root scale, so that rare counts are visible.

    Parameters
    ----------
    table
        From :func:`bayes_clv.evaluation.predictive_checks.purchase_counts`.
    ax
        Axes to draw on; by default those of a new figure.
    title
        Title of the axes: what is counted.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"actual": [90, 9, 1], "mean": [88, 10, 2], "lower": [80, 6, 0], "upper": [95, 15, 4]},
    ...     index=["0", "1", "2+"],
    ... )
    >>> ax = plot_purchase_counts(table)
    >>> [int(bar.get_height()) for bar in ax.patches]
    [90, 9, 1]
    """
    arguments.instance("table", table, pd.DataFrame)
    if ax is None:
        (ax,) = new_axes(height=4.4, width=9)
    place = np.arange(len(table))
    ax.bar(place, table["actual"], 0.8, color=PALE, edgecolor="#b0b0b0", label="observed")
    _intervals(ax, place, table, "forecast by the model")
    ax.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    ax.set_ylim(0, 1.08 * max(table["actual"].max(), table["upper"].max()))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.set_yticks(_round_marks(ax.get_ylim()[1]))
    dress(ax, title)
    label(ax, "purchases", "number (square-root scale)")
    ax.set_xticks(place, list(map(str, table.index)))
    legend(ax, loc="upper right")
    return ax


def plot_purchases_by_state(
    table: pd.DataFrame, ax: Axes | None = None, *, title: str = "Purchases per customer"
) -> Axes:
    """Draw mean purchases in a holdout, forecast and observed, by the state before it.

    Parameters
    ----------
    table
        From :func:`bayes_clv.evaluation.predictive_checks.purchases_by_state`.
    ax
        Axes to draw on; by default those of a new figure.
    title
        Title of the axes.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"customers": [800, 200], "actual": [0.2, 0.9], "mean": [0.1, 1.0],
    ...      "lower": [0.1, 0.8], "upper": [0.2, 1.2]},
    ...     index=pd.Index([0, 1], name="frequency"),
    ... )
    >>> ax = plot_purchases_by_state(table)
    >>> [label.get_text().splitlines() for label in ax.get_xticklabels()]
    [['0', '800'], ['1+', '200']]
    """
    arguments.instance("table", table, pd.DataFrame)
    if ax is None:
        (ax,) = new_axes(height=4.6, width=9)
    place = np.arange(len(table))
    _intervals(ax, place - 0.08, table, "forecast by the model")
    ax.plot(
        place + 0.08,
        table["actual"],
        "D",
        color=VERMILION,
        markersize=8,
        label="observed",
        zorder=4,
    )
    edges = [f"{edge:.0f}" for edge in table.index]
    by = str(table.index.name)
    marks = [*edges[:-1], f"{edges[-1]}+"]
    if by != "frequency":
        marks = [f"{edge}–{following}" for edge, following in pairwise([*edges, ""])]
    customers = [f"{count:,}" for count in table["customers"]]
    tick_labels = [f"{mark}\n{count}" for mark, count in zip(marks, customers, strict=True)]
    ax.set_xticks(place, tick_labels)
    dress(ax, title)
    label(ax, f"{_NAMES.get(by, by)}; number of customers below", "purchases")
    ax.tick_params(axis="x", labelsize=TEXT - 2)
    ax.set_ylim(bottom=0)
    legend(ax, loc="best")
    return ax


def _intervals(ax: Axes, place: np.ndarray, table: pd.DataFrame, words: str) -> None:
    ax.vlines(place, table["lower"], table["upper"], color=BLUE, linewidth=6, alpha=0.45, zorder=3)
    ax.plot(place, table["mean"], "o", color=BLUE, markersize=7, label=words, zorder=4)


def _round_marks(most: float) -> list[float]:
    """1, 3, 10, 30, … up to the most, not more than five of them."""
    marks = [step * 10.0**power for power in range(9) for step in (1, 3)]
    return [0.0, *[mark for mark in marks if mark <= most][-4:]]
