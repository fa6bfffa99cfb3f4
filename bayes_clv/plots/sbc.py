"""Figure of a calibration study: a calibrated model has uniform ranks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayes_clv import arguments
from bayes_clv.evaluation.sbc.results import LEVEL, Calibration

# Okabe & Ito (2008) and ColorBrewer's PuOr, which colour-blind readers tell apart.
_BLUE, _VERMILION, _GREY = "#0072B2", "#D55E00", "#595959"
_FAR_APART = "PuOr_r"
_TEXT = 14  # points, on a figure 15 inches wide: 7 points at half size
_BINS = 20
_POINTS = 2.0  # tolerated deviation of coverage, percentage points


def plot_calibration(studies: Sequence[Calibration]) -> Figure:
    """Draw studies one below the other: rank histograms, their ECDFs, and coverage.

    Parameters
    ----------
    studies
        From :func:`bayes_clv.evaluation.sbc.study.calibrate`.

    Returns
    -------
    A figure that pyplot does not manage.
    """
    for study in studies:
        arguments.instance("studies", study, Calibration, "a list of Calibration")
    heights = [1.5 + 0.25 * it.ranks.shape[1] for it in studies]
    figure = Figure(figsize=(15, sum(heights)))
    figure.set_layout_engine("constrained", wspace=0.04, hspace=0.03)
    rows = figure.subplots(
        len(studies),
        3,
        squeeze=False,
        gridspec_kw={"height_ratios": heights, "width_ratios": [1.1, 1.2, 0.9]},
    )
    for (histograms, distribution, coverage), study in zip(rows, studies, strict=True):
        _draw_histograms(histograms, study)
        _draw_distributions(distribution, study)
        _draw_coverage(coverage, study)
    return figure


def _draw_histograms(ax: Axes, study: Calibration) -> None:
    """One row per quantity; the colour of a bin is its deviation in standard deviations."""
    n, n_ranks = study.n_replicates, study.design.n_draws + 1
    edges = np.linspace(0, n_ranks, _BINS + 1).round()
    share = np.diff(edges) / n_ranks
    counts = np.array([np.histogram(ranks, edges - 0.5)[0] for _, ranks in study.ranks.items()])
    deviation = (counts - n * share) / np.sqrt(n * share * (1 - share))
    image = ax.pcolormesh(
        edges / n_ranks, np.arange(len(counts) + 1), deviation, cmap=_FAR_APART, vmin=-4, vmax=4
    )
    ax.set_yticks(np.arange(len(counts)) + 0.5, list(map(str, study.ranks)), fontsize=_TEXT - 1)
    ax.set_ylim(len(counts), 0)
    ax.set_xlabel("rank of the true value among the draws", fontsize=_TEXT)
    bar = ax.figure.colorbar(image, ax=ax, aspect=40, pad=0.02)
    bar.set_label("bin count: standard deviations from uniform", fontsize=_TEXT - 1)
    bar.ax.tick_params(labelsize=_TEXT - 2)
    _dress(ax, study.design.name)


def _draw_distributions(ax: Axes, study: Calibration) -> None:
    """ECDFs of the ranks minus the uniform ECDF, with their simultaneous band."""
    n, n_draws = study.n_replicates, study.design.n_draws
    z = np.arange(1, n_draws + 1) / (n_draws + 1)
    lower, upper = (edge / n - z for edge in study.uniformity.band(LEVEL))
    ax.fill_between(z, lower, upper, step="mid", color="#e0e0e0", label=f"{LEVEL:.0%} band")
    outside = study.outside
    for name, ranks in study.ranks.items():
        line = study.uniformity.counts(ranks) / n - z
        if name in outside:
            ax.plot(z, line, color=_VERMILION, linewidth=2.5, zorder=3, label=f"outside: {name}")
        else:
            ax.plot(z, line, color=_BLUE, linewidth=0.9, alpha=0.6)
    ax.axhline(0, color=_GREY, linewidth=0.8)
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top + (0.1 + 0.05 * len(outside)) * (top - bottom))  # for the legend
    ax.set_xlim(0, 1)
    ax.set_xlabel("rank of the true value among the draws", fontsize=_TEXT)
    ax.set_ylabel("ECDF − uniform", fontsize=_TEXT)
    ax.legend(loc="upper right", fontsize=_TEXT - 2, frameon=False)
    _dress(
        ax, f"{study.n_replicates:,} replicates, {len(outside)} of {study.ranks.shape[1]} outside"
    )


def _draw_coverage(ax: Axes, study: Calibration) -> None:
    """Coverage minus its level in percentage points, with two standard errors."""
    table = 100 * study.coverage_table
    levels = 100 * table.index.get_level_values("level").to_numpy(dtype=float)
    off, error = table["coverage"].to_numpy() - levels, 2 * table["standard_error"].to_numpy()
    rows = np.arange(len(table))
    ax.axvspan(-_POINTS, _POINTS, color="#e0e0e0", zorder=0)
    ax.axvline(0, color=_GREY, linewidth=0.8, zorder=1)
    ax.errorbar(off, rows, xerr=error, fmt="o", color=_BLUE, markersize=7, elinewidth=2.5)
    labels = [f"{measure}, {level:.0%}" for measure, level in table.index]
    ax.set_yticks(rows, labels, fontsize=_TEXT)
    ax.set_ylim(len(table) - 0.5, -0.5)
    reach = max(2.5 * _POINTS, 1.1 * float(np.max(np.abs(off) + error)))
    ax.set_xlim(-reach, reach)
    ax.set_xlabel("coverage minus level, points", fontsize=_TEXT)
    _dress(ax, f"Intervals (grey: ± {_POINTS:g})")


def _dress(ax: Axes, title: str) -> None:
    ax.set_title(title, loc="left", fontsize=_TEXT, fontweight="bold", pad=8)
    ax.tick_params(length=0, labelsize=_TEXT - 1)
    ax.spines[:].set_visible(False)
