"""Results of a backtest: gains over pooled, and reliability of the forecasts."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.evaluation.backtest.methods import POOLED, Method
from bayes_clv.evaluation.backtest.purchases import Backtest
from bayes_clv.plots.style import (
    BLUE,
    GREY,
    TEXT,
    VERMILION,
    ManyAxes,
    dress,
    given_axes,
    in_percent,
    label,
    legend,
    new_axes,
)

_LINES = ((GREY, "s"), (BLUE, "o"), (VERMILION, "^"))


def plot_reliability(result: Backtest, axes: ManyAxes | None = None) -> NDArray[np.object_]:
    """Draw the observed share that bought again by forecast probability, a panel for each split.

    A mark is a twentieth of the customers, grouped by forecast probability; on the diagonal the
    forecast equals the observed share. Three methods are drawn: pooled, the best of the other
    methods, and the worst of the methods fitted to their own past.

    Parameters
    ----------
    result
        From ``backtest``.
    axes
        Axes, one for each split; by default those of a new figure.

    Returns
    -------
    The axes, ``(split,)``.

    Raises
    ------
    InputError
        The number of ``axes`` differs from the number of splits.

    Examples
    --------
    >>> from bayes_clv import load_cdnow
    >>> from bayes_clv.evaluation.backtest.purchases import backtest
    >>> from bayes_clv.evaluation.backtest.splits import Split
    >>> log = load_cdnow(sample=True)
    >>> split = Split(log.end.replace(month=3, day=31), horizon=90)
    >>> result = backtest(log, methods=[POOLED], splits=[split], draws=50)
    >>> (ax,) = plot_reliability(result)
    >>> ax.get_title(loc="left")
    '1998-03-31, next 90 days'
    """
    arguments.instance("result", result, Backtest)
    splits = result.splits
    panels = _grid(len(splits)) if axes is None else given_axes(axes, len(splits), "split")
    methods = _to_show(result)
    every = result.reliability[result.reliability["method"].isin(methods)]
    for ax, split in zip(panels, splits, strict=True):
        bins = every[(every["origin"] == split.origin) & (every["horizon"] == split.horizon)]
        most = 1.08 * bins[["forecast", "observed"]].to_numpy().max()
        ax.plot([0, most], [0, most], color="#b0b0b0", linewidth=1, zorder=1)
        for name, (colour, marker) in zip(methods, _LINES, strict=False):
            marks = bins[bins["method"] == name]
            ax.plot(
                marks["forecast"], marks["observed"], color=colour, marker=marker, label=name,
                linewidth=1.5, markersize=6, alpha=0.9, zorder=2,
            )  # fmt: skip
        dress(ax, f"{split.origin}, next {split.horizon} days", grid="both")
        ax.set_xlim(0, most)
        ax.set_ylim(0, most)
        ax.set_aspect("equal")
        ax.locator_params(nbins=4)
        in_percent(ax.xaxis, ax.yaxis)
    legend(panels[0], loc="upper left")
    return panels


def plot_gains(result: Backtest, ax: Axes | None = None) -> Axes:
    """Draw each method's gain over pooled, over all splits.

    The gain is in log score per customer, with two standard errors; right of 0 is better. The best
    method is on top. Methods fitted to their own past are drawn in vermilion; a gain so low that it
    would squeeze the other methods together is drawn as an arrow with its value.

    Parameters
    ----------
    result
        From ``backtest``.
    ax
        Axes to draw on; by default those of a new figure.

    Examples
    --------
    >>> from bayes_clv import load_cdnow
    >>> from bayes_clv.evaluation.backtest.purchases import backtest
    >>> from bayes_clv.evaluation.backtest.splits import Split
    >>> log = load_cdnow(sample=True)
    >>> split = Split(log.end.replace(month=3, day=31), horizon=90)
    >>> ax = plot_gains(backtest(log, methods=[POOLED], splits=[split], draws=50))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['pooled']
    """
    arguments.instance("result", result, Backtest)
    table = result.overall.sort_values("gain", ascending=False, kind="stable")
    own_past = {method.name for method in result.methods if method.own_past}
    if ax is None:
        (ax,) = new_axes(height=1.6 + 0.45 * len(table))
    near = table[~table.index.isin(own_past)]
    reach = 1.4 * max((near["gain"].abs() + 2 * near["gain_se"]).max(), 1e-3)
    ax.axvline(0, color=GREY, linewidth=1, zorder=1)
    for row, (name, gain, error) in enumerate(
        zip(table.index, table["gain"], table["gain_se"], strict=True)
    ):
        colour = VERMILION if name in own_past else BLUE
        if gain < -reach:
            ax.annotate(
                "", (-reach, row), (-0.8 * reach, row),
                arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2},
            )  # fmt: skip
            ax.text(-0.78 * reach, row, f"{gain:.2f}", va="center", fontsize=TEXT - 1, color=colour)
        else:
            ax.errorbar(
                gain, row, xerr=2 * error, fmt="o", color=colour, markersize=7, elinewidth=3
            )
    dress(ax, "Gain in log score per customer over pooled, ± two standard errors", grid="x")
    label(ax, "worse ←   gain   → better")
    ax.set_xlim(-reach, reach)
    ax.set_yticks(range(len(table)), list(map(str, table.index)), fontsize=TEXT)
    ax.set_ylim(len(table) - 0.5, -0.5)
    return ax


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
    axes = new_axes(rows, columns, width=1 + 4.3 * columns, height=0.8 + 4.3 * rows)
    figure = axes[0].figure
    figure.supxlabel("Forecast probability of buying again", fontsize=TEXT)
    figure.supylabel("Observed share that bought again", fontsize=TEXT)
    for unused in axes[n:]:
        unused.remove()
    return axes[:n]
