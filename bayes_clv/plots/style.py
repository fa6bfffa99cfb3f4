"""Common style of all figures: colours, font sizes, axes. No global setting is changed.

Colours are those of Okabe & Ito (2008), which colour-blind readers tell apart, and perceptually
even colour maps. Text has 14 points on figures 12 inches wide: 7 points at half size.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from bayes_clv import arguments

type ManyAxes = Sequence[Axes] | NDArray[np.object_]

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#595959"
PALE = "#e0e0e0"
TEXT = 14
WIDTH = 12.0  # inches
BAND = 0.25  # opacity of an interval's area


def new_axes(
    rows: int = 1, columns: int = 1, *, height: float, width: float = WIDTH, **how: Any
) -> NDArray[np.object_]:
    """Return the axes of a new figure, ``(rows · columns,)``; pyplot does not manage it."""
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", wspace=0.08, hspace=0.06)
    return np.ravel(figure.subplots(rows, columns, squeeze=False, **how))


def given_axes(axes: ManyAxes, n: int, each: str = "panel") -> NDArray[np.object_]:
    """Return the caller's axes; raise InputError unless there are ``n``, one for each panel."""
    many: NDArray[np.object_] = np.ravel(np.asarray(axes, dtype=object))
    arguments.require(len(many) == n, f"axes must be {n}, one for each {each}: {len(many)}")
    return many


def dress(ax: Axes, title: str, *, grid: str = "y") -> None:
    """Set the title, font sizes and grid of axes, and remove their frame."""
    ax.set_title(title, loc="left", fontsize=TEXT, fontweight="bold", pad=10)
    ax.tick_params(length=0, labelsize=TEXT - 1)
    if grid:
        ax.grid(axis=cast(Any, grid), color=PALE, zorder=0)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)


def label(ax: Axes, x: str = "", y: str = "") -> None:
    """Set the labels of the axes."""
    ax.set_xlabel(x, fontsize=TEXT - 1)
    ax.set_ylabel(y, fontsize=TEXT - 1)


def in_percent(*axes: Axis) -> None:
    """Format shares as percentages."""
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def over_time(ax: Axes, marks: int = 7) -> None:
    """Format dates in short form, with at most ``marks`` labels."""
    locator = dates.AutoDateLocator(maxticks=marks)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.xaxis.get_offset_text().set_fontsize(TEXT - 2)


def legend(ax: Axes, **how: Any) -> None:
    """Add a legend without a frame."""
    ax.legend(**({"fontsize": TEXT - 2, "frameon": False} | how))


def band(
    ax: Axes, x: ArrayLike, lower: ArrayLike, upper: ArrayLike, colour: str, name: str
) -> None:
    """Fill the area between the ends of an interval."""
    ax.fill_between(x, lower, upper, color=colour, alpha=BAND, linewidth=0, label=name)


def cells(
    ax: Axes, values: NDArray[np.float64], *, colours: str, least: float, most: float
) -> None:
    """Draw a table, ``(row, column)``, as coloured cells; the first row is on top."""
    ax.imshow(values, cmap=colours, vmin=least, vmax=most, aspect="auto")
    ax.set_xticks(np.arange(values.shape[1] + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(values.shape[0] + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="minor", length=0)


def write(ax: Axes, row: int, column: int, words: str, *, on_dark: bool) -> None:
    """Write text in a cell, white on a dark colour."""
    ax.text(
        column, row, words, ha="center", va="center", fontsize=TEXT - 1,
        color="white" if on_dark else "black",
    )  # fmt: skip


def people(count: int) -> str:
    """Return the number of customers as text: "1 customer", "2,000 customers"."""
    return f"{count:,} customer{'' if count == 1 else 's'}"
