"""What is drawn, from inputs made by hand: where marks stand, how far bars and bands reach."""

import datetime as dt
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import beta, gamma

from bayes_clv import RFMSegmenter, plots
from bayes_clv.evaluation.backtest.methods import POOLED, Method
from bayes_clv.evaluation.backtest.purchases import Backtest
from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.evaluation.predictive_checks import Tracking
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.models.bgnbd import Parameters
from bayes_clv.models.priors import COMPONENTS
from bayes_clv.plots.style import BLUE, VERMILION
from bayes_clv.segments.rules import PooledRule


def spans(ax, which=0):
    """Both ends of each line of a collection."""
    return [[tuple(end) for end in it.tolist()] for it in ax.collections[which].get_segments()]


def edges(ax, which=0):
    """Lower and upper edge of a band, by x."""
    corners = np.unique(ax.collections[which].get_paths()[0].vertices, axis=0)
    by_x = pd.DataFrame(corners, columns=["x", "y"]).groupby("x")["y"]
    return by_x.min().tolist(), by_x.max().tolist()


# Segments and customers


def test_of_how_many_segments_there_are_each_measure_has_its_panel():
    table = pd.DataFrame(
        {
            "inertia": [3.0, 2.0, 1.5],
            "silhouette": [0.4, 0.6, 0.5],
            "stability": [0.9, 0.95, 0.7],
            "stability_lower": [0.8, 0.9, 0.3],
            "stability_upper": [0.95, 1.0, 0.9],
        },
        index=[2, 3, 5],
    )
    silhouette, inertia, stability = plots.plot_n_segments(table)
    for ax, heights in (
        (silhouette, [0.4, 0.6, 0.5]),
        (inertia, [3.0, 2.0, 1.5]),
        (stability, [0.9, 0.95, 0.7]),
    ):
        assert ax.lines[0].get_xydata().tolist() == [
            [n, it] for n, it in zip([2, 3, 5], heights, strict=True)
        ]
        assert ax.get_xticks().tolist() == [2, 3, 5]
    assert spans(stability) == [
        [(2, 0.8), (2, 0.95)],
        [(3, 0.9), (3, 1.0)],
        [(5, 0.3), (5, 0.9)],
    ]
    assert inertia.get_ylim()[0] == 0
    assert stability.get_ylim()[0] < 0.3, "the lowest interval is seen whole"


def test_lives_are_lines_to_the_last_purchase_and_on_in_silence_by_recency():
    customers = pd.DataFrame(
        {"frequency": [3, 0, 2, 1], "recency": [90, 0, 20, 20], "T": [100, 120, 200, 50]}
    )
    ax = plots.plot_exposure(customers)
    assert spans(ax, 0) == [
        [(0, 0), (120, 0)],
        [(20, 1), (50, 1)],
        [(20, 2), (200, 2)],
        [(90, 3), (100, 3)],
    ]
    assert spans(ax, 1) == [[(0, row), (it, row)] for row, it in enumerate([0, 20, 20, 90])]
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [20, 1], [20, 2], [90, 3]]
    some = plots.plot_exposure(customers, most=2, seed=1)
    drawn = [ends[1][0] for ends in spans(some, 0)]
    assert len(drawn) == 2
    assert set(drawn) < {100, 120, 200, 50}
    assert some.get_title(loc="left") == "2 customers, by recency"


def test_distributions_of_customers_are_histograms_of_the_right_columns():
    customers = pd.DataFrame(
        {
            "frequency": [0, 0, 0, 1, 1, 2, 9, 10, 11, 40],
            "recency": [0, 0, 0, 40, 90, 90, 70, 99, 10, 100],
            "T": [100] * 10,
            "monetary_value": [0, 0, 0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 100.0],
        }
    )
    idle, frequency, spend = plots.plot_customers(customers)
    assert [bar.get_height() for bar in frequency.patches] == pytest.approx(
        [0.3, 0.2, 0.1, 0, 0, 0, 0, 0, 0, 0.1, 0.3]
    )
    # 24 bins from 0 to 100 days without a purchase: 0, 1 | 10, 10 | 30 | 60 | 90 | 100 three times.
    bins = np.array([bar.get_height() for bar in idle.patches])
    places = [int(days * 24 / 100) for days in (0, 1, 10, 10, 30, 60, 90)] + [23] * 3
    np.testing.assert_allclose(bins, np.bincount(places, minlength=24) / 10)
    money = [bar.get_height() for bar in spend.patches]
    assert money[0] == pytest.approx(6 / 7), "of those who came back"
    assert sum(money[1:-1]) == 0
    assert spend.get_xscale() == "log"


# Purchases


def test_counts_are_bars_with_the_forecasts_interval_on_a_square_root_scale():
    table = pd.DataFrame(
        {
            "actual": [400, 25, 1],
            "mean": [390, 30, 2],
            "lower": [380, 20, 0],
            "upper": [410, 36, 4],
        },
        index=["0", "1", "2+"],
    )
    ax = plots.plot_purchase_counts(table)
    assert [bar.get_height() for bar in ax.patches] == [400, 25, 1]
    assert spans(ax) == [[(0, 380), (0, 410)], [(1, 20), (1, 36)], [(2, 0), (2, 4)]]
    assert ax.lines[0].get_xydata().tolist() == [[0, 390], [1, 30], [2, 2]]
    assert [it.get_text() for it in ax.get_xticklabels()] == ["0", "1", "2+"]
    heights = ax.transData.transform([(0, y) for y in (0, 25, 100, 400)])[:, 1]
    assert np.diff(heights / (heights[3] - heights[0])) == pytest.approx([1 / 4, 1 / 4, 1 / 2])
    assert ax.get_yticks().tolist() == [0, 10, 30, 100, 300]


def test_purchases_by_state_stand_side_by_side_over_the_bounds_of_their_bins():
    table = pd.DataFrame(
        {
            "customers": [1_800, 700, 30],
            "actual": [0.2, 0.9, 2.0],
            "mean": [0.1, 1.0, 3.0],
            "lower": [0.05, 0.8, 2.5],
            "upper": [0.15, 1.2, 3.5],
        },
        index=pd.Index([0.0, 10.0, 30.0], name="idle_time"),
    )
    ax = plots.plot_purchases_by_state(table)
    expected, happened = ax.lines
    assert expected.get_ydata().tolist() == [0.1, 1.0, 3.0]
    assert happened.get_ydata().tolist() == [0.2, 0.9, 2.0]
    assert (expected.get_xdata() < happened.get_xdata()).all()
    assert [[end[1] for end in it] for it in spans(ax)] == [[0.05, 0.15], [0.8, 1.2], [2.5, 3.5]]
    marks = [it.get_text() for it in ax.get_xticklabels()]
    assert marks == ["0–10\n1,800", "10–30\n700", "30–\n30"]
    assert "days since last purchase" in ax.get_xlabel()


def test_tracking_draws_forecast_and_truth_of_either_kind_with_their_bands():
    ends = [dt.date(2024, 1, day) for day in (7, 14, 21)]
    table = pd.DataFrame(
        {
            "held_out": [False, False, True],
            "actual": [5, 9, 2],
            "mean": [6, 7, 3],
            "lower": [4, 5, 1],
            "upper": [8, 9, 6],
            "cumulative_actual": [5, 14, 16],
            "cumulative_mean": [6, 13, 16],
            "cumulative_lower": [4, 10, 11],
            "cumulative_upper": [8, 17, 21],
        },
        index=pd.Index(ends, name="end"),
    )
    weekly, total = plots.plot_tracking(Tracking(table, ends[1], 7, 0.8))
    for ax, kind in ((weekly, ""), (total, "cumulative_")):
        mean, actual, border = ax.lines
        assert mean.get_ydata().tolist() == table[f"{kind}mean"].tolist()
        assert actual.get_ydata().tolist() == table[f"{kind}actual"].tolist()
        assert edges(ax) == (table[f"{kind}lower"].tolist(), table[f"{kind}upper"].tolist())
        assert border.get_xdata() == [mpl.dates.date2num(ends[1])] * 2
    words = [it.get_text() for it in weekly.get_legend().get_texts()]
    assert words == ["forecast, 80% band", "forecast, mean", "observed"]


def test_a_new_customer_is_drawn_with_the_band_of_the_table():
    days = pd.Index([0.0, 30.0, 60.0], name="days")
    table = pd.DataFrame(
        {"mean": [0.0, 0.4, 0.7], "lower": [0.0, 0.3, 0.5], "upper": [0.0, 0.6, 1.0]}, index=days
    )
    ax = plots.plot_new_customer(table)
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [30, 0.4], [60, 0.7]]
    assert edges(ax) == ([0, 0.3, 0.5], [0, 0.6, 1.0])
    assert ax.get_xlim() == (0, 60)


# What was learnt


def with_draws(posterior, *columns):
    made = replace(posterior)
    made.__dict__["parameters"] = Parameters(*map(np.array, columns))
    return made


def test_heterogeneity_is_scipys_densities_and_its_band_their_extremes(
    posterior_by_hand,
):
    """Two draws: the mean is half of either, and an interval's ends lie near them."""
    r, alpha, a, b = [0.5, 2.0], [40.0, 90.0], [0.7, 1.5], [2.0, 4.0]
    posterior = with_draws(
        posterior_by_hand(PooledRule()), *([column, column] for column in (r, alpha, a, b))
    )
    found = plots.heterogeneity(posterior, level=0.8)
    rate = found.rate / 365
    of_rate = [rate * gamma.pdf(rate, r[d], scale=1 / alpha[d]) for d in range(2)]
    p = found.chance
    of_chance = [p * (1 - p) * beta.pdf(p, a[d], b[d]) for d in range(2)]
    for seen, draws in ((found.of_rate[0], of_rate), (found.of_chance[0], of_chance)):
        low, high = np.sort(draws, axis=0)
        for curve, part in zip(seen, (0.5, 0.1, 0.9), strict=True):
            np.testing.assert_allclose(curve, low + part * (high - low), rtol=1e-9)
    left, right = plots.plot_heterogeneity(found)
    most = np.max(found.of_rate)
    for row, line in enumerate(left.lines):
        heights = row - np.array(line.get_ydata())
        np.testing.assert_allclose(heights, 0.9 * np.mean(of_rate, axis=0) / most, atol=1e-12)
        np.testing.assert_allclose(line.get_xdata(), found.rate)
    assert expit(right.lines[0].get_xdata()) == pytest.approx(p)
    assert right.get_xticks() == pytest.approx(logit([0.01, 0.1, 0.5, 0.9, 0.99]))


def test_shrinkage_is_of_rates_and_chances_and_the_population_is_the_dashed_line(
    posterior_by_hand,
):
    ones = [1.0] * 5
    posterior = with_draws(
        posterior_by_hand(PooledRule()),
        [[1.0, 2.0, 3.0, 4.0, 5.0], [2.0] * 5],
        [[365.0] * 5, [73.0] * 5],
        [[1.0, 2.0, 3.0, 4.0, 5.0], ones],
        [[9.0, 8.0, 7.0, 6.0, 5.0], [3.0] * 5],
    )
    alone = Parameters(*(np.array([it]) for it in ([6.0] * 5, [73.0] * 5, ones, ones)))
    table = plots.shrinkage(alone, posterior, level=0.5)
    segment = table.iloc[0]
    assert segment[["rate", "rate_lower", "rate_upper"]].tolist() == pytest.approx([3, 2, 4])
    leaving = segment[["leaving", "leaving_lower", "leaving_upper"]]
    assert leaving.tolist() == pytest.approx([0.3, 0.2, 0.4])
    assert segment[["rate_alone", "leaving_alone"]].tolist() == pytest.approx([30, 0.5])
    left, right = plots.plot_shrinkage(table)
    for ax, population, alone_at, together, ends in (
        (left, 10, 30, 3, (2, 4)),
        (right, 0.25, 0.5, 0.3, (0.2, 0.4)),
    ):
        dashed, hollow, filled = ax.lines
        assert dashed.get_xdata() == pytest.approx([population] * 2)
        assert hollow.get_xdata() == pytest.approx([alone_at])
        assert (hollow.get_markerfacecolor(), filled.get_xdata()) == (
            "white",
            pytest.approx([together]),
        )
        assert [end[0] for end in spans(ax, 1)[0]] == pytest.approx(ends)


def test_priors_are_the_records_normals_and_the_posterior_what_was_drawn(
    posterior_by_hand,
):
    """Of a density's line, mean and spread: near those of 8,000 draws."""
    posterior = posterior_by_hand(draws=4_000)
    lines = plots.plot_prior_posterior(posterior).viz["dist"]["μ"]
    drawn = posterior.tree["posterior"]["mu"].to_numpy()
    for c, name in enumerate(COMPONENTS):
        prior = getattr(posterior.record.priors, name)
        for group, mean, sd in (
            ("prior", prior.mean, prior.sd),
            ("posterior", drawn[..., c].mean(), drawn[..., c].std()),
        ):
            x, height = lines.sel(group=group).to_numpy()[c].get_data()
            weight = height / height.sum()
            centre = weight @ x
            assert centre == pytest.approx(mean, abs=0.06 * sd), (name, group)
            assert np.sqrt(weight @ (x - centre) ** 2) == pytest.approx(sd, rel=0.06), (name, group)


# The backtest


EARLY, LATE = Split(dt.date(2024, 1, 31), 30), Split(dt.date(2024, 6, 30), 60)
METHODS = (
    POOLED,
    Method("better", RFMSegmenter(), options="--segments rfm"),
    Method("worse", RFMSegmenter(), options="--segments rfm"),
    Method("wrong", RFMSegmenter(), own_past=True),
    Method("far off", RFMSegmenter(), own_past=True),
)


@pytest.fixture
def result():
    gains = {"pooled": 0.0, "better": 0.03, "worse": -0.02, "wrong": -0.04, "far off": -3.0}
    overall = pd.DataFrame(
        {"gain": gains, "gain_se": {name: 0.005 * (name != "pooled") for name in gains}}
    )
    bins = [
        {
            "origin": split.origin,
            "horizon": split.horizon,
            "method": name,
            "forecast": 0.1 * k + 0.01 * m,
            "observed": 0.1 * k + 0.02 * m + 0.3 * (split is LATE),
        }
        for split in (EARLY, LATE)
        for m, name in enumerate(gains)
        for k in (1, 2, 3)
    ]
    nothing = pd.DataFrame()
    return Backtest(
        table=nothing,
        overall=overall,
        segments=nothing,
        reliability=pd.DataFrame(bins),
        corner=nothing,
        cells=nothing,
        stacking=nothing,
        source="by hand",
        n_customers=0,
        sampled=None,
        methods=METHODS,
        splits=(EARLY, LATE),
        settings=SamplerSettings(),
        seconds=0.0,
    )


def test_reliability_is_that_of_pooled_the_best_of_the_others_and_the_worst_of_the_wrong(
    result,
):
    for ax, lift in zip(plots.plot_reliability(result), (0.0, 0.3), strict=True):
        diagonal, *lines = ax.lines
        assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
        assert [line.get_label() for line in lines] == ["pooled", "better", "far off"]
        for line, m in zip(lines, (0, 1, 4), strict=True):
            steps = np.array([0.1, 0.2, 0.3])
            np.testing.assert_allclose(line.get_xdata(), steps + 0.01 * m)
            np.testing.assert_allclose(line.get_ydata(), steps + 0.02 * m + lift)


def test_gains_stand_from_best_to_worst_with_two_standard_errors(result):
    ax = plots.plot_gains(result)
    names = [it.get_text() for it in ax.get_yticklabels()]
    assert names == ["better", "pooled", "worse", "wrong", "far off"]
    assert ax.get_ylim() == (4.5, -0.5), "the best is on top"
    marks = [it.lines[0] for it in ax.containers]
    assert [(float(it.get_xdata()[0]), int(it.get_ydata()[0])) for it in marks] == [
        (0.03, 0),
        (0.0, 1),
        (-0.02, 2),
        (-0.04, 3),
    ]
    reach = [[end[0] for end in it.lines[2][0].get_segments()[0]] for it in ax.containers]
    np.testing.assert_allclose(reach, [[0.02, 0.04], [0, 0], [-0.03, -0.01], [-0.05, -0.03]])
    assert [it.get_color() for it in marks] == [BLUE, BLUE, BLUE, VERMILION]
    assert [it.get_text() for it in ax.texts if it.get_text()] == ["-3.00"], "an arrow says so"
