"""Posterior mean and interval width of a measure, over frequency and recency."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.described import Described
from bayes_clv.plots.style import (
    TEXT,
    ManyAxes,
    dress,
    given_axes,
    label,
    new_axes,
)
from bayes_clv.posterior.posterior import COMPARISON_HORIZON, Posterior

type Measure = Literal["prob_alive", "prob_purchase", "expected_purchases"]


@dataclass(frozen=True, repr=False)
class StateMatrix(Described):
    """A measure over frequency and recency.

    Attributes
    ----------
    mean, width
        ``(recency, frequency)`` posterior mean, and upper minus lower end of the interval; NaN for
        impossible states, which have frequency 0 and recency above 0.
    measure, T, horizon, level
        Arguments of `state_matrix`; T and horizon in days.
    """

    mean: pd.DataFrame
    width: pd.DataFrame
    measure: Measure
    T: float
    horizon: float
    level: float

    def _facts(self) -> Mapping[str, object]:
        rows, columns = self.mean.shape
        return {"measure": self.measure, "recencies": rows, "frequencies": columns, "T": self.T}


def state_matrix(
    posterior: Posterior,
    measure: Measure = "prob_alive",
    *,
    T: float = 365.0,
    max_frequency: int = 20,
    steps: int = 50,
    horizon: float = COMPARISON_HORIZON,
    segment: str | None = None,
    level: float = 0.9,
) -> StateMatrix:
    """Evaluate a measure over frequency and recency.

    Parameters
    ----------
    posterior
        Posterior that gives the measure.
    measure
        P(alive), P(at least one purchase within the horizon), or expected purchases within it.
    T
        Days since the first purchase, the same for all states.
    max_frequency
        Largest number of repeat purchases.
    steps
        Number of recencies, evenly spaced from 0 to T.
    horizon
        Days ahead.
    segment
        Name of the segment whose parameters are used for all states, or ``"population"``; by
        default each state's own segment. Spend is unknown.
    level
        Mass of the interval.
    """
    arguments.instance("posterior", posterior, Posterior)
    measure = cast(Measure, arguments.choice("measure", measure, get_args(Measure.__value__)))
    T, horizon = arguments.days("T", T), arguments.days("horizon", horizon)
    max_frequency = arguments.whole("max_frequency", max_frequency, least=1)
    steps = arguments.whole("steps", steps, least=2)
    recencies, frequencies = np.linspace(0, T, steps), np.arange(max_frequency + 1)
    states = pd.MultiIndex.from_product([recencies, frequencies], names=["recency", "frequency"])
    frame = states.to_frame(index=False).assign(T=float(T))
    frame = frame[(frame["frequency"] > 0) | (frame["recency"] == 0)]
    if segment is not None:
        frame["segment"] = segment
    answers = {
        "prob_alive": lambda: posterior.probability_alive(frame, level=level),
        "prob_purchase": lambda: posterior.probability_of_purchase(frame, horizon, level=level),
        "expected_purchases": lambda: posterior.expected_purchases(frame, horizon, level=level),
    }[measure]()
    values = pd.DataFrame({"mean": answers["mean"], "width": answers["upper"] - answers["lower"]})
    table = frame.join(values)
    mean, width = (
        table.pivot_table(name, index="recency", columns="frequency", dropna=False)
        for name in values
    )
    return StateMatrix(mean, width, measure, float(T), float(horizon), level)


def plot_state_matrix(matrix: StateMatrix, axes: ManyAxes | None = None) -> NDArray[np.object_]:
    """Draw a measure over frequency and recency, and the width of its interval beside it.

    Parameters
    ----------
    matrix
        From ``state_matrix``.
    axes
        Two axes to draw on; by default those of a new figure.

    Returns
    -------
    The two axes, ``(2,)``; each has a colour bar beside it.

    Examples
    --------
    >>> from bayes_clv import HierarchicalBetaGeo, load_cdnow
    >>> model = HierarchicalBetaGeo(segmenter=None)
    >>> posterior = model.fit(load_cdnow(sample=True), draws=50, tune=50)
    >>> left, right = plot_state_matrix(state_matrix(posterior, T=300))
    >>> left.get_title(loc="left")
    'P(alive)'
    """
    arguments.instance("matrix", matrix, StateMatrix)
    pair = new_axes(1, 2, height=5.4) if axes is None else given_axes(axes, 2)
    ahead = f" in the next {matrix.horizon:g} days"
    what = {
        "prob_alive": "P(alive)",
        "prob_purchase": f"P(purchase{ahead})",
        "expected_purchases": f"Expected purchases{ahead}",
    }[matrix.measure]
    is_share = matrix.measure != "expected_purchases"
    _draw(pair[0], matrix.mean, what, "viridis", 1.0 if is_share else None)
    _draw(pair[1], matrix.width, f"Width of the {matrix.level:.0%} interval", "magma", None)
    for ax in pair:
        ax.set_xlabel("repeat purchases", fontsize=TEXT - 1)
        bar = ax.images[0].colorbar if ax.images else ax.collections[0].colorbar
        if is_share:
            bar.ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    label(pair[0], "repeat purchases", "recency: first to last purchase, days")
    return pair


def _draw(ax: Axes, table: pd.DataFrame, title: str, colours: str, most: float | None) -> None:
    recency, frequency = table.index.to_numpy(float), table.columns.to_numpy(float)
    half = recency[1] / 2
    image = ax.pcolormesh(
        np.append(frequency, frequency[-1] + 1) - 0.5,
        np.append(recency - half, recency[-1] + half),
        np.ma.masked_invalid(table.to_numpy(dtype=float)),
        cmap=colours,
        vmin=0,
        vmax=most,
        rasterized=True,
    )
    bar = ax.figure.colorbar(image, ax=ax, aspect=30, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=TEXT - 2, length=0)
    dress(ax, title, grid="")
    ax.set_ylim(-half, recency[-1] + half)
