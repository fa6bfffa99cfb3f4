"""Criteria for the number of segments."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.plots.style import (
    BLUE,
    GREY,
    TEXT,
    VERMILION,
    ManyAxes,
    dress,
    given_axes,
    label,
    new_axes,
)


def plot_n_segments(table: pd.DataFrame, axes: ManyAxes | None = None) -> NDArray[np.object_]:
    """Draw silhouette, inertia and stability against the number of segments.

    Parameters
    ----------
    table
        From :func:`bayes_clv.segments.n_segments.compare_n_segments`.
    axes
        Three axes to draw on; by default those of a new figure.

    Returns
    -------
    The three axes, ``(3,)``.

    Examples
    --------
    >>> from bayes_clv import customers, load_cdnow
    >>> from bayes_clv.segments.n_segments import compare_n_segments
    >>> states = customers(load_cdnow(sample=True))
    >>> axes = plot_n_segments(compare_n_segments(states, [3, 4], resamples=2))
    >>> [ax.get_title(loc="left") for ax in axes]
    ['Silhouette', 'Inertia', 'Stability']
    """
    arguments.instance("table", table, pd.DataFrame)
    three = new_axes(1, 3, height=4.2) if axes is None else given_axes(axes, 3)
    _draw(three[0], table["silhouette"], "Silhouette", "mean silhouette: 1 is best", GREY)
    _draw(three[1], table["inertia"], "Inertia", "mean squared distance", BLUE)
    _draw(three[2], table["stability"], "Stability", "adjusted Rand index of refits", VERMILION)
    three[2].vlines(
        table.index, table["stability_lower"], table["stability_upper"],
        color=VERMILION, linewidth=6, alpha=0.35, zorder=2,
    )  # fmt: skip
    three[1].set_ylim(bottom=0)
    three[2].set_ylim(min(0.5, 0.95 * table["stability_lower"].min()), 1.02)
    return three


def _draw(ax: Axes, values: pd.Series, title: str, what: str, colour: str) -> None:
    ax.plot(values.index, values, "o-", color=colour, linewidth=1.5, markersize=7, zorder=3)
    dress(ax, title)
    label(ax, "number of segments", what)
    ax.set_xticks(values.index)
    ax.tick_params(labelsize=TEXT - 1)
