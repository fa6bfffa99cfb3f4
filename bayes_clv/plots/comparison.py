"""Comparison of segments: churn and value, with credible intervals."""

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.plots.style import (
    BLUE,
    GREY,
    TEXT,
    VERMILION,
    ManyAxes,
    cells,
    dress,
    given_axes,
    in_percent,
    new_axes,
    people,
    write,
)
from bayes_clv.posterior.comparison import SegmentComparison
from bayes_clv.posterior.discounting import ValueTerms


@dataclass(frozen=True, slots=True)
class _Panel:
    measure: str
    label: str
    colour: str


def plot_segment_comparison(
    comparison: SegmentComparison, axes: ManyAxes | None = None
) -> NDArray[np.object_]:
    """Draw each segment's mean P(alive) and the share that buys again, with their intervals.

    A row is a segment with its number of customers; the highest share buying again is on top.

    Parameters
    ----------
    comparison
        From ``Posterior.compare_segments``.
    axes
        Two axes to draw on; by default those of a new figure, which pyplot does not manage: show it
        with ``axes[0].figure`` in a notebook, save it with ``axes[0].figure.savefig(path)``.

    Returns
    -------
    The two axes, ``(2,)``: mean P(alive), share that buys again within the horizon.

    Raises
    ------
    InputError
        ``axes`` are not two.

    Examples
    --------
    >>> import xarray as xr
    >>> alive, buys = [[0.80, 0.84], [0.29, 0.33]], [[0.60, 0.70], [0.08, 0.12]]
    >>> by_draw = ("segment", "sample")
    >>> draws = xr.Dataset(
    ...     {
    ...         "customers": ("segment", [700, 1300]),
    ...         "prob_alive": (by_draw, alive),
    ...         "buys_again": (by_draw, buys),
    ...         "expected_purchases": (by_draw, buys),
    ...     },
    ...     coords={"segment": ["regulars", "lapsed"]},
    ...     attrs={"horizon": 90.0},
    ... )
    >>> left, right = plot_segment_comparison(SegmentComparison(draws, level=0.9))
    >>> right.get_title(loc="left")
    'Share buying again within 90 days'
    >>> [label.get_text().splitlines() for label in left.get_yticklabels()]
    [['regulars', '700 customers'], ['lapsed', '1,300 customers']]
    """
    arguments.instance("comparison", comparison, SegmentComparison)
    table = _by_share(comparison)
    panels = (
        _Panel("prob_alive", "Mean P(alive)", BLUE),
        _Panel("buys_again", f"Share buying again within {comparison.horizon:g} days", VERMILION),
    )
    if axes is None:
        pair = new_axes(1, 2, height=1.5 + 0.72 * len(table))
        pair[0].figure.supxlabel(
            f"Posterior mean and {comparison.level:.0%} interval of each segment's average",
            fontsize=TEXT - 2,
            color=GREY,
        )
    else:
        pair = given_axes(axes, 2)
    for ax, panel in zip(pair, panels, strict=True):
        _draw(ax, table, panel)
    names = [f"{name}\n{people(n)}" for name, n in table["customers"].items()]
    pair[0].set_yticks(range(len(table)), names, fontsize=TEXT)
    pair[1].set_yticks(range(len(table)), [""] * len(table))
    return pair


def plot_pairwise_churn(
    comparison: SegmentComparison,
    measure: Literal["buys_again", "prob_alive"] = "buys_again",
    ax: Axes | None = None,
) -> Axes:
    """Draw the probability that the row's segment does worse than the column's.

    The segment with the highest share buying again comes first. Near 0% or 100% the order of two
    segments is almost certain; near 50% it is unknown.

    Parameters
    ----------
    comparison
        From ``Posterior.compare_segments``.
    measure
        What is compared: the share that buys again, or the mean P(alive).
    ax
        Axes to draw on; by default those of a new figure.

    Examples
    --------
    >>> import xarray as xr
    >>> by_draw = ("segment", "sample")
    >>> draws = xr.Dataset(
    ...     {
    ...         "customers": ("segment", [700, 1300]),
    ...         "prob_alive": (by_draw, [[0.8, 0.9, 0.7, 0.8], [0.3, 0.3, 0.75, 0.3]]),
    ...         "buys_again": (by_draw, [[0.5, 0.6, 0.5, 0.6], [0.1, 0.1, 0.1, 0.1]]),
    ...         "expected_purchases": (by_draw, [[0.5, 0.6, 0.5, 0.6], [0.1, 0.1, 0.1, 0.1]]),
    ...     },
    ...     coords={"segment": ["regulars", "lapsed"]},
    ...     attrs={"horizon": 90.0},
    ... )
    >>> ax = plot_pairwise_churn(SegmentComparison(draws, level=0.9), "prob_alive")
    >>> [text.get_text() for text in ax.texts]
    ['25%', '75%']
    """
    arguments.instance("comparison", comparison, SegmentComparison)
    arguments.choice("measure", measure, ("buys_again", "prob_alive"))
    order = list(_by_share(comparison).index)
    below = comparison.buys_less if measure == "buys_again" else comparison.churns_more
    values = below.loc[order, order].to_numpy(dtype=float, copy=True)
    np.fill_diagonal(values, np.nan)
    n = len(order)
    if ax is None:
        (ax,) = new_axes(height=2.2 + 0.6 * n, width=min(5.0 + 1.1 * n, 16.0))
    cells(ax, values, colours="Blues", least=0, most=1)
    for (row, column), value in np.ndenumerate(values):
        if row != column:
            write(ax, row, column, _almost(value), on_dark=value > 0.6)
    what = {
        "buys_again": f"share buying again within {comparison.horizon:g} days",
        "prob_alive": "mean P(alive)",
    }[measure]
    dress(ax, f"Probability that the row has a lower\n{what} than the column", grid="")
    ax.set_xticks(range(n), [name.replace(", ", ",\n").replace(" ", "\n") for name in order])
    ax.set_yticks(range(n), order)
    return ax


def plot_value_at_risk(
    comparison: SegmentComparison, axes: ManyAxes | None = None
) -> NDArray[np.object_]:
    """Draw the value and the value at risk of each segment's customers, with their intervals.

    Value at risk is the value if all customers were alive, minus their expected value; the segment
    with the highest value at risk is on top.

    Parameters
    ----------
    comparison
        From ``Posterior.compare_segments`` of a model fitted with spend.
    axes
        Two axes to draw on; by default those of a new figure.

    Returns
    -------
    The two axes, ``(2,)``: value, value at risk.

    Raises
    ------
    InputError
        The model was fitted without spend, or ``axes`` are not two.

    Examples
    --------
    >>> import xarray as xr
    >>> by_draw = ("segment", "sample")
    >>> shares, worth = [[0.80, 0.84], [0.29, 0.33]], [[900.0, 940.0], [300.0, 320.0]]
    >>> draws = xr.Dataset(
    ...     {
    ...         "customers": ("segment", [700, 1300]),
    ...         "prob_alive": (by_draw, shares),
    ...         "buys_again": (by_draw, shares),
    ...         "expected_purchases": (by_draw, shares),
    ...         "value": (by_draw, worth),
    ...         "value_if_alive": (by_draw, [[1100.0, 1150.0], [990.0, 1000.0]]),
    ...     },
    ...     coords={"segment": ["regulars", "lapsed"]},
    ...     attrs={
    ...         "horizon": 90.0,
    ...         "value_horizon": 365.0,
    ...         "annual_discount_rate": 0.1,
    ...         "margin": 1.0,
    ...     },
    ... )
    >>> left, right = plot_value_at_risk(SegmentComparison(draws, level=0.9))
    >>> [label.get_text().splitlines()[0] for label in left.get_yticklabels()]
    ['lapsed', 'regulars']
    """
    arguments.instance("comparison", comparison, SegmentComparison)
    words = "this comparison holds no value: fit a log with amounts"
    arguments.require(comparison.has_value, words)
    terms = cast(ValueTerms, comparison.value_terms)
    table = comparison.table.sort_values("value_at_risk", ascending=False, kind="stable")
    pair = (
        given_axes(axes, 2) if axes is not None else new_axes(1, 2, height=1.5 + 0.72 * len(table))
    )
    panels = (
        _Panel("value", f"Value within {terms.horizon:g} days", BLUE),
        _Panel("value_at_risk", "Value at risk", VERMILION),
    )
    for ax, panel in zip(pair, panels, strict=True):
        _dots(ax, table, panel, "{:,.0f}")
        dress(ax, panel.label, grid="x")
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.xaxis.set_major_locator(MaxNLocator(4, prune="lower"))
        most = table[["value_upper", "value_at_risk_upper"]].to_numpy().max()
        ax.set_xlim(-0.12 * most, 1.12 * most)  # room for the numbers
        ax.set_ylim(len(table) - 0.5, -0.75)
    names = [f"{name}\n{people(n)}" for name, n in table["customers"].items()]
    pair[0].set_yticks(range(len(table)), names, fontsize=TEXT)
    pair[1].set_yticks(range(len(table)), [""] * len(table))
    if axes is None:
        pair[0].figure.supxlabel(
            f"All of a segment's customers, in the currency of the log; posterior mean and "
            f"{comparison.level:.0%} interval",
            fontsize=TEXT - 2,
            color=GREY,
        )
    return pair


def _by_share(comparison: SegmentComparison) -> pd.DataFrame:
    return comparison.table.sort_values("buys_again", ascending=False, kind="stable")


def _almost(probability: float) -> str:
    """Format as percent; never 0% or 100%, which a finite number of draws cannot show."""
    if probability < 0.005:
        return "<1%"
    return ">99%" if probability >= 0.995 else f"{probability:.0%}"


def _dots(ax: Axes, table: pd.DataFrame, panel: _Panel, form: str) -> None:
    """Draw means with their intervals, and write the means as numbers."""
    mean, lower, upper = (
        table[panel.measure + end].to_numpy(dtype=float) for end in ("", "_lower", "_upper")
    )
    rows = np.arange(len(table))
    ax.hlines(rows, lower, upper, color=panel.colour, linewidth=6, alpha=0.45, zorder=2)
    ax.plot(mean, rows, "o", color=panel.colour, markersize=7, zorder=3)
    for row, value in zip(rows, mean, strict=True):
        ax.annotate(
            form.format(value),
            (value, row),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=TEXT - 1,
        )


def _draw(ax: Axes, table: pd.DataFrame, panel: _Panel) -> None:
    _dots(ax, table, panel, "{:.0%}")
    dress(ax, panel.label, grid="x")
    ax.set_xlim(-0.04, 1.04)  # the same in both panels, so that they can be compared
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    in_percent(ax.xaxis)
    ax.set_ylim(len(table) - 0.5, -0.75)
