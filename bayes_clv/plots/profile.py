"""Profile of segments: recency, frequency and spend side by side, and sizes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.given_customers import as_customers
from bayes_clv.data.states import States
from bayes_clv.plots.style import (
    BLUE,
    GREY,
    TEXT,
    ManyAxes,
    cells,
    dress,
    given_axes,
    in_percent,
    label,
    new_axes,
    write,
)

_COLUMNS = {
    "idle_time": "days since\nlast purchase",
    "frequency": "repeat\npurchases",
    "monetary_value": "spend per\nrepeat purchase",
}
_WIDEST = 1.5  # standard deviations at the ends of the colour scale


def segment_profile(customers: pd.DataFrame, segments: Sequence[str] | pd.Series) -> pd.DataFrame:
    """Summarise segments: sizes, and medians of idle time, frequency and spend.

    Parameters
    ----------
    customers
        frequency, recency, T (days) and optionally monetary_value.
    segments
        ``(customer,)`` names.

    Returns
    -------
    One row per segment, in ascending order of idle_time: ``customers``, ``share`` (of all
    customers), ``purchases`` (share of all repeat purchases), and medians of idle_time (days),
    frequency and, if any customer's is known, monetary_value (of repeat buyers).
    """
    customers = as_customers(customers)
    of_each = "one name for each customer"
    arguments.require(np.shape(segments) == (len(customers),), f"segments must hold {of_each}")
    states = States.from_frame(customers)
    frame = pd.DataFrame(
        {
            "segment": np.asarray(segments, dtype=object),
            "idle_time": states.idle_time,
            "frequency": states.frequency,
            "monetary_value": states.repeat_spend,
        }
    )
    grouped = frame.groupby("segment")
    table = pd.DataFrame({"customers": grouped.size()})
    table["share"] = table["customers"] / len(frame)
    table["purchases"] = grouped["frequency"].sum() / max(float(states.frequency.sum()), 1.0)
    medians = grouped[list(_COLUMNS)].median().dropna(axis=1, how="all")
    return table.join(medians).sort_values("idle_time", kind="stable")


def plot_segment_profile(
    profile: pd.DataFrame, axes: ManyAxes | None = None
) -> NDArray[np.object_]:
    """Draw an RFM heat map of segments, and their sizes beside it.

    A cell holds the segment's median. Its colour compares it with the other segments, on a log
    scale: violet is good for the shop (recent, frequent or large purchases), brown is bad.

    Parameters
    ----------
    profile
        From ``segment_profile``.
    axes
        Two axes to draw on; by default those of a new figure.

    Returns
    -------
    The two axes, ``(2,)``: the heat map; shares of customers and of repeat purchases.

    Examples
    --------
    >>> customers = pd.DataFrame(
    ...     {"frequency": [9, 8, 0], "recency": [300, 280, 0], "T": [310, 310, 310]}
    ... )
    >>> profile = segment_profile(customers, ["loyal", "loyal", "lost"])
    >>> heat_map, sizes = plot_segment_profile(profile)
    >>> [text.get_text() for text in heat_map.texts]
    ['20', '8.5', '310', '0']
    """
    arguments.instance("profile", profile, pd.DataFrame)
    rows = len(profile)
    pair = (
        new_axes(1, 2, height=1.9 + 0.55 * rows, width_ratios=[1.5, 1])
        if axes is None
        else given_axes(axes, 2)
    )
    heat_map, sizes = pair
    columns = [name for name in _COLUMNS if name in profile]
    values = profile[columns].to_numpy(dtype=float)
    scores = _scores(values, columns)
    cells(heat_map, scores, colours="PuOr", least=-_WIDEST, most=_WIDEST)
    for (row, column), value in np.ndenumerate(values):
        dark = bool(abs(scores[row, column]) > 0.8 * _WIDEST)
        write(heat_map, row, column, _short(value), on_dark=dark)
    dress(heat_map, "Medians", grid="")
    heat_map.set_xticks(range(len(columns)), [_COLUMNS[name] for name in columns])
    heat_map.set_yticks(range(rows), list(map(str, profile.index)), fontsize=TEXT)
    place = np.arange(rows)
    sizes.barh(place - 0.19, profile["share"], 0.36, color=GREY, label="customers")
    sizes.barh(place + 0.19, profile["purchases"], 0.36, color=BLUE, label="repeat purchases")
    for row, count in enumerate(profile["customers"]):
        sizes.annotate(
            f"{count:,}", (profile["share"].iloc[row], row - 0.19), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=TEXT - 2, color=GREY,
        )  # fmt: skip
    dress(sizes, "Share of all", grid="x")
    in_percent(sizes.xaxis)
    label(sizes)
    sizes.set_yticks(place, [""] * rows)
    sizes.set_ylim(rows - 0.5, -0.5)
    sizes.margins(x=0.16)
    sizes.legend(
        fontsize=TEXT - 2, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2
    )
    return pair


def _scores(values: NDArray[np.float64], columns: Sequence[str]) -> NDArray[np.float64]:
    """Standardised logarithms; those of idle_time negated, because less is better."""
    logs = np.log1p(values)
    spread = np.nanstd(logs, axis=0)
    scores = (logs - np.nanmean(logs, axis=0)) / np.where(spread > 0, spread, 1)
    return scores * np.where(np.array(columns) == "idle_time", -1, 1)


def _short(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
