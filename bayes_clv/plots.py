"""The figures to show: which segments are leaving, how sure we are, and whether to believe it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from bayes_clv.backtest import Backtest
from bayes_clv.backtest.methods import POOLED, Method
from bayes_clv.comparison import SegmentComparison
from bayes_clv.errors import InputError

# Blue and vermilion of Okabe & Ito (2008), which colour-blind readers tell apart.
_BLUE, _VERMILION, _GREY = "#0072B2", "#D55E00", "#595959"
_LINES = ((_GREY, "s"), (_BLUE, "o"), (_VERMILION, "^"))
_TEXT = 14  # points, on a figure 12 inches wide: 7 when it is shown at half size


@dataclass(frozen=True, slots=True)
class _Panel:
    measure: str
    label: str
    colour: str


def plot_segment_comparison(
    comparison: SegmentComparison, axes: Sequence[Axes] | NDArray[np.object_] | None = None
) -> NDArray[np.object_]:
    """Draw each segment's mean P(alive) and the share that buys again, with their intervals.

    A row is a segment, with its number of customers; the segment that buys again most is on top.

    Parameters
    ----------
    comparison
        From ``Posterior.compare_segments``.
    axes
        Two axes to draw on; by default those of a new figure, which belongs to no window: show it
        with ``axes[0].figure`` in a notebook, keep it with ``axes[0].figure.savefig(path)``.

    Returns
    -------
    The two axes, ``(2,)``: mean P(alive), share that buys again within the horizon.

    Raises
    ------
    InputError
        When ``axes`` are not two.

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
    table = comparison.table.sort_values("buys_again", ascending=False, kind="stable")
    panels = (
        _Panel("prob_alive", "Mean P(alive)", _BLUE),
        _Panel("buys_again", f"Share buying again within {comparison.horizon:g} days", _VERMILION),
    )
    pair = _new_axes(len(table), comparison.level) if axes is None else _given(axes)
    for ax, panel in zip(pair, panels, strict=True):
        _draw(ax, table, panel)
    names = [f"{name}\n{_customers(n)}" for name, n in table["customers"].items()]
    pair[0].set_yticks(range(len(table)), names, fontsize=_TEXT)
    pair[1].set_yticks(range(len(table)), [""] * len(table))
    return pair


def plot_reliability(
    result: Backtest, axes: Sequence[Axes] | NDArray[np.object_] | None = None
) -> NDArray[np.object_]:
    """Draw how many came back against the chance that was given to them, a panel for each split.

    A mark is a twentieth of the customers, by their chance to buy again; on the diagonal, what was
    said is what happened. Drawn are pooled, the best of the other methods, and the worst of those
    fitted to their own past.

    Parameters
    ----------
    result
        From ``backtest``.
    axes
        One for each split; by default those of a new figure.

    Returns
    -------
    The axes, ``(split,)``.

    Raises
    ------
    InputError
        When ``axes`` are not as many as the splits.
    """
    splits = result.splits
    panels = _grid(len(splits)) if axes is None else np.ravel(np.asarray(axes, dtype=object))
    if len(panels) != len(splits):
        raise InputError(f"axes must be {len(splits)}, one for each split: {len(panels)}")
    methods = _to_show(result)
    every = result.reliability[result.reliability["method"].isin(methods)]
    for ax, split in zip(panels, splits, strict=True):
        bins = every[(every["origin"] == split.origin) & (every["horizon"] == split.horizon)]
        most = 1.08 * bins[["said", "came"]].to_numpy().max()
        ax.plot([0, most], [0, most], color="#b0b0b0", linewidth=1, zorder=1)
        for name, (colour, marker) in zip(methods, _LINES, strict=False):
            mine = bins[bins["method"] == name]
            ax.plot(
                mine["said"], mine["came"], color=colour, marker=marker, label=name,
                linewidth=1.5, markersize=6, alpha=0.9, zorder=2,
            )  # fmt: skip
        title = f"{split.origin}, next {split.horizon} days"
        ax.set_title(title, loc="left", fontsize=_TEXT, fontweight="bold")
        ax.set_xlim(0, most)
        ax.set_ylim(0, most)
        ax.set_aspect("equal")
        ax.locator_params(nbins=4)
        ax.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        ax.tick_params(length=0, labelsize=_TEXT - 1)
        ax.grid(color="#e0e0e0", zorder=0)
        ax.set_axisbelow(True)
        ax.spines[:].set_visible(False)
    panels[0].legend(fontsize=_TEXT - 2, frameon=False, loc="upper left")
    return panels


def _to_show(result: Backtest) -> list[str]:
    gains = result.overall["gain"]

    def extreme(chosen: Callable[[Method], bool], *, best: bool) -> list[str]:
        names = [method.name for method in result.methods if chosen(method)]
        return [str(gains[names].idxmax() if best else gains[names].idxmin())] if names else []

    others = extreme(lambda it: not it.own_past and it.segmenter is not None, best=True)
    return [POOLED.name, *others, *extreme(lambda it: it.own_past, best=False)]


def _grid(n: int) -> NDArray[np.object_]:
    columns = min(n, 3)
    rows = -(-n // columns)
    figure = Figure(figsize=(1 + 4.3 * columns, 0.8 + 4.3 * rows))
    figure.set_layout_engine("constrained")
    figure.supxlabel("Chance to buy again that was given", fontsize=_TEXT)
    figure.supylabel("Share that bought again", fontsize=_TEXT)
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for unused in axes[n:]:
        unused.remove()
    return axes[:n]


def _new_axes(n_segments: int, level: float) -> NDArray[np.object_]:
    figure = Figure(figsize=(12, 1.5 + 0.72 * n_segments))
    figure.set_layout_engine("constrained", wspace=0.08)
    figure.supxlabel(
        f"Posterior mean and {level:.0%} interval of each segment's average",
        fontsize=_TEXT - 2,
        color=_GREY,
    )
    axes: NDArray[np.object_] = figure.subplots(1, 2)
    return axes


def _given(axes: Sequence[Axes] | NDArray[np.object_]) -> NDArray[np.object_]:
    pair: NDArray[np.object_] = np.ravel(np.asarray(axes, dtype=object))
    if len(pair) != 2:
        raise InputError(f"axes must be two, one for each panel: {len(pair)}")
    return pair


def _draw(ax: Axes, table: pd.DataFrame, panel: _Panel) -> None:
    mean, lower, upper = (
        table[panel.measure + end].to_numpy(dtype=float) for end in ("", "_lower", "_upper")
    )
    rows = np.arange(len(table))
    ax.hlines(rows, lower, upper, color=panel.colour, linewidth=6, alpha=0.45, zorder=2)
    ax.plot(mean, rows, "o", color=panel.colour, markersize=7, zorder=3)
    for row, value in zip(rows, mean, strict=True):
        ax.annotate(
            f"{value:.0%}",
            (value, row),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=_TEXT - 1,
        )
    ax.set_title(panel.label, loc="left", fontsize=_TEXT, fontweight="bold", pad=10)
    ax.set_xlim(-0.04, 1.04)  # the same on both: the gap between the panels is the message
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    ax.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    ax.set_ylim(len(table) - 0.5, -0.75)
    ax.tick_params(length=0, labelsize=_TEXT - 1)
    ax.grid(axis="x", color="#e0e0e0", zorder=0)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)


def _customers(count: int) -> str:
    return f"{count:,} customer{'' if count == 1 else 's'}"
