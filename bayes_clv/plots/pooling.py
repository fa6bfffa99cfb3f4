"""The effect of pooling: segments fitted alone against partially pooled."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, StrMethodFormatter
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.models.bgnbd import Parameters
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
    new_axes,
)
from bayes_clv.posterior.posterior import Posterior

_YEAR = 365.0


def shrinkage(alone: Parameters, posterior: Posterior, *, level: float = 0.9) -> pd.DataFrame:
    """Compare estimates of segments fitted alone with the partially pooled estimates.

    Parameters
    ----------
    alone
        ``(segment, draw)``, from :func:`bayes_clv.evaluation.unpooled.fit_alone`.
    posterior
        The hierarchical fit of the same table.
    level
        Mass of the intervals.

    Returns
    -------
    One row per segment, the population last. Columns for ``rate`` (r/α, mean purchases a year while
    alive) and ``leaving`` (a/(a+b), mean probability of leaving after a purchase): median, and
    interval with ``_lower`` and ``_upper``; all of them also for segments alone, with ``_alone``.
    """
    arguments.instance("alone", alone, Parameters)
    arguments.instance("posterior", posterior, Posterior)
    pooled, names = posterior.parameters, posterior.answerable
    no_population = np.full((1, alone.r.shape[1]), np.nan)
    columns = {}
    for end, parameters in (("", pooled), ("_alone", alone)):
        for name, values in (
            ("rate", _YEAR * parameters.r / parameters.alpha),
            ("leaving", parameters.a / (parameters.a + parameters.b)),
        ):
            rows = np.vstack([values, no_population]) if end else values
            quantiles = np.quantile(rows, (0.5, *arguments.tails(level)), axis=1)
            for tail, quantile in zip(("", "_lower", "_upper"), quantiles, strict=True):
                columns[f"{name}{end}{tail}"] = quantile
    return pd.DataFrame(columns, index=pd.Index(names, name="segment"))


def plot_shrinkage(table: pd.DataFrame, axes: ManyAxes | None = None) -> NDArray[np.object_]:
    """Draw how partial pooling changes the estimates of segments fitted alone.

    Hollow: the segment alone; filled: partially pooled; the dashed line is the population. The
    fewer data a segment has, the more its estimate moves and the more its interval narrows.

    Parameters
    ----------
    table
        From ``shrinkage``.
    axes
        Two axes to draw on; by default those of a new figure.

    Returns
    -------
    The two axes, ``(2,)``: purchase rate while alive, probability of leaving after a purchase.

    Examples
    --------
    >>> columns = [f"{name}{end}{tail}" for name in ("rate", "leaving") for end in ("", "_alone")
    ...            for tail in ("", "_lower", "_upper")]
    >>> values = [[9, 8, 10, 12, 7, 20, .2, .1, .3, .3, .1, .6], [5, 4, 6] * 2 + [.2, .1, .3] * 2]
    >>> table = pd.DataFrame(values, ["regulars", "population"], columns)
    >>> left, right = plot_shrinkage(table)
    >>> [label.get_text() for label in left.get_yticklabels()]
    ['regulars']
    """
    arguments.instance("table", table, pd.DataFrame)
    segments = table.iloc[:-1]
    rows = len(segments)
    pair = new_axes(1, 2, height=1.9 + 0.6 * rows) if axes is None else given_axes(axes, 2)
    for ax, name, colour in ((pair[0], "rate", BLUE), (pair[1], "leaving", VERMILION)):
        ax.axvline(table[name].iloc[-1], color=GREY, linewidth=1.5, linestyle="--", zorder=1)
        place = np.arange(rows)
        for end, shift, fill in (("_alone", -0.16, "white"), ("", 0.16, colour)):
            ax.hlines(
                place + shift, segments[f"{name}{end}_lower"], segments[f"{name}{end}_upper"],
                color=colour, linewidth=2 if end else 5, alpha=0.45, zorder=2,
            )  # fmt: skip
            ax.plot(
                segments[f"{name}{end}"], place + shift, "o", color=colour, markerfacecolor=fill,
                markersize=8, markeredgewidth=2, zorder=3,
            )  # fmt: skip
        ax.set_ylim(rows - 0.5, -0.5)
    _finish(pair[0], pair[1], [str(name) for name in segments.index])
    if axes is None:
        pair[0].figure.supxlabel(
            "hollow: each segment alone · filled: partially pooled · dashed: population",
            fontsize=TEXT - 2,
            color=GREY,
        )
    return pair


def _finish(left: Axes, right: Axes, names: list[str]) -> None:
    left.set_xscale("log")
    left.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    left.minorticks_off()
    dress(left, "Mean purchase rate while alive", grid="x")
    label(left, "purchases a year (log scale)")
    dress(right, "Mean probability of leaving after a purchase", grid="x")
    label(right, "probability")
    in_percent(right.xaxis)
    left.set_yticks(range(len(names)), names, fontsize=TEXT)
    right.set_yticks(range(len(names)), [""] * len(names))
