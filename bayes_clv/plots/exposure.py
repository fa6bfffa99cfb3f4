"""Customers as lines: from first to last purchase, and the idle time since."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_clv import arguments
from bayes_clv.data.given_customers import as_customers
from bayes_clv.data.states import States
from bayes_clv.plots.style import BLUE, PALE, VERMILION, dress, label, legend, new_axes


def plot_exposure(
    customers: pd.DataFrame, ax: Axes | None = None, *, most: int = 60, seed: int = 0
) -> Axes:
    """Draw customers as lines: first to last purchase, then idle time to the observation end.

    Parameters
    ----------
    customers
        frequency, recency and T (days). Of more than ``most`` customers, a random sample is drawn.
    ax
        Axes to draw on; by default those of a new figure.
    most
        Largest number of lines.
    seed
        Seed of the random sample.

    Examples
    --------
    >>> customers = pd.DataFrame({"frequency": [3, 0], "recency": [90, 0], "T": [100, 120]})
    >>> ax = plot_exposure(customers)
    >>> ax.get_title(loc="left")
    '2 customers, by recency'
    """
    customers, seed = as_customers(customers), arguments.seed(seed)
    most = arguments.whole("most", most, least=1)
    if ax is None:
        (ax,) = new_axes(height=5.4, width=9)
    states = States.from_frame(customers)
    some = np.random.default_rng(seed).permutation(len(states))[:most]
    some = some[np.lexsort((states.T[some], states.recency[some]))]
    recency, T, rows = states.recency[some], states.T[some], np.arange(len(some))
    ax.hlines(rows, recency, T, color="#b0b0b0", linewidth=2, label="idle time since")
    ax.hlines(rows, 0, recency, color=BLUE, linewidth=2, label="first to last purchase")
    ax.plot(recency, rows, "o", color=VERMILION, markersize=5, label="last purchase")
    dress(ax, f"{len(some)} customers, by recency", grid="x")
    label(ax, "days since the first purchase")
    ax.grid(axis="x", color=PALE)
    ax.set_yticks([])
    ax.margins(x=0.02, y=0.03)
    legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
    return ax
