"""What the other plots show: the numbers behind them, and that they draw those and nothing else."""

import datetime as dt
import io
import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy.special import logit

from bayes_clv import customers, load_cdnow, plots, read_transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation.predictive_checks import Tracking
from bayes_clv.evaluation.simulate.landmarks import draw_latents
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.plots import style
from bayes_clv.posterior.comparison import SegmentComparison
from bayes_clv.segments.rules import PooledRule
from tests.evaluation.test_predictive_checks import WEEKS, same


@pytest.fixture(scope="module")
def log():
    return load_cdnow(sample=True)


@pytest.fixture(scope="module")
def posterior(posterior_by_hand):
    return posterior_by_hand()


def given(posterior, parameters: Parameters):
    """The same posterior with other draws."""
    made = replace(posterior)
    made.__dict__["parameters"] = parameters
    return made


# Over frequency and recency


def test_the_matrix_holds_what_the_posterior_answers(posterior):
    matrix = plots.state_matrix(posterior, T=200, max_frequency=6, steps=5, level=0.8)
    assert matrix.mean.shape == matrix.width.shape == (5, 7)
    assert matrix.mean.index.tolist() == [0, 50, 100, 150, 200]
    one = pd.DataFrame({"frequency": [4], "recency": [150.0], "T": [200.0]})
    answer = posterior.probability_alive(one, level=0.8).iloc[0]
    assert matrix.mean.loc[150, 4] == pytest.approx(answer["mean"])
    assert matrix.width.loc[150, 4] == pytest.approx(answer["upper"] - answer["lower"])


def test_who_bought_once_has_no_recency_but_0(posterior):
    mean = plots.state_matrix(posterior, steps=5).mean
    assert mean.loc[0, 0] == 1
    assert mean[0].isna().sum() == 4
    assert mean.loc[:, 1:].notna().all(axis=None)


@pytest.mark.parametrize("measure", ["prob_alive", "prob_purchase", "expected_purchases"])
def test_the_matrix_is_drawn_with_its_width_beside(posterior, measure):
    matrix = plots.state_matrix(posterior, measure, steps=6, segment="population", horizon=30)
    left, right = plots.plot_state_matrix(matrix)
    for ax, values in ((left, matrix.mean), (right, matrix.width)):
        drawn = ax.collections[0].get_array()
        np.testing.assert_allclose(drawn.filled(np.nan), values.to_numpy())
    assert ("30 days" in left.get_title(loc="left")) == (measure != "prob_alive")
    assert "90%" in right.get_title(loc="left")


def test_a_matrix_without_states_is_refused(posterior):
    with pytest.raises(InputError, match="T must be a positive number of days"):
        plots.state_matrix(posterior, T=0)


# One customer


def test_a_history_ends_in_what_is_said_today(posterior, log):
    everyone = customers(log)
    one = everyone[everyone["frequency"] == 5].iloc[[0]]
    who = int(one["customer_id"].iloc[0])
    history = plots.alive_history(posterior, log, who)
    today = posterior.probability_alive(one).iloc[0]
    assert history.table.index[-1].date() == log.end
    last = history.table.iloc[-1]
    assert [last["alive"], last["alive_lower"], last["alive_upper"]] == pytest.approx(
        today[["mean", "lower", "upper"]].tolist()
    )
    buys = posterior.probability_of_purchase(one, 90).iloc[0]
    assert last["purchase"] == pytest.approx(buys["mean"])
    assert last["segment"] == today["segment"]
    assert len(history.purchases) == 6
    assert len(history.table) == one["T"].iloc[0] + 1


def test_a_history_knows_no_more_than_its_day(posterior, log):
    everyone = customers(log)
    who = int(everyone.loc[everyone["frequency"] == 5, "customer_id"].iloc[0])
    then = dt.date(1997, 12, 31)
    known = customers(log.until(then)).set_index("customer_id").loc[[who]]
    history = plots.alive_history(posterior, log, who)
    told = posterior.probability_alive(known)["mean"].iloc[0]
    assert history.table.loc[pd.Timestamp(then), "alive"] == pytest.approx(told)


def test_a_history_is_drawn_with_a_tick_for_each_purchase(posterior, log):
    history = plots.alive_history(posterior, log, 4)
    ax = plots.plot_alive_history(history)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), history.table["alive"])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), history.table["purchase"])
    ticks = ax.collections[-1].get_segments()
    assert len(ticks) == len(history.purchases) == 4


def test_a_customer_who_is_not_in_the_log_has_no_history(posterior, log):
    with pytest.raises(InputError, match="customer must be in the log: -1"):
        plots.alive_history(posterior, log, -1)


# How customers differ


@pytest.mark.parametrize("dropout", list(Dropout), ids=str)
@pytest.mark.parametrize("state", [(0, 0.0, 0.0), (4, 60.0, 200.0)], ids=str)
def test_heterogeneity_is_the_law_of_simulated_customers(posterior_by_hand, state, dropout):
    values = (1.3, 50.0, 0.8, 2.5)
    made = given(posterior_by_hand(PooledRule(), dropout=dropout), same(values, 20))
    frame = None
    if state[0]:
        frame = pd.DataFrame([state] * 3, columns=["frequency", "recency", "T"])
    densities = plots.heterogeneity(made, frame)
    n = 100_000
    columns = (np.full(n, it) for it in state)
    one = Parameters(*(np.full(n, value) for value in values))
    rate, chance, _ = draw_latents(np.random.default_rng(0), one, *columns, dropout)
    for drawn, x, curve in (
        (np.log(365 * rate), np.log(densities.rate), densities.of_rate[0, 0]),
        (logit(chance), logit(densities.chance), densities.of_chance[0, 0]),
    ):
        step = np.diff(x, prepend=2 * x[0] - x[1])
        distribution = np.cumsum(curve * step)
        for point in (30, 60, 80, 100):
            share = np.mean(drawn <= x[point] + step[point] / 2)
            below = np.mean(drawn <= x[0] - step[0] / 2)
            assert distribution[point] == pytest.approx(share - below, abs=0.006)


def test_heterogeneity_has_a_row_for_each_segment_that_somebody_is_in(posterior, make_customers):
    everybody = plots.heterogeneity(posterior)
    assert everybody.names == (*posterior.segment_names, "population")
    once = make_customers(50).assign(frequency=0, recency=0.0)
    assert plots.heterogeneity(posterior, once).names == ("passers-by · été",)
    with pytest.raises(InputError, match="at least one row"):
        plots.heterogeneity(posterior, once.iloc[:0])
    left, right = plots.plot_heterogeneity(everybody)
    assert [it.get_text() for it in left.get_yticklabels()] == list(everybody.names)
    for ax in (left, right):
        assert len(ax.lines) == 4


def test_a_profile_holds_medians_and_shares():
    frame = pd.DataFrame(
        {
            "frequency": [4, 6, 0, 0],
            "recency": [100, 90, 0, 0],
            "T": [110, 120, 300, 400],
            "monetary_value": [10.0, 30.0, 0.0, 0.0],
        }
    )
    profile = plots.segment_profile(frame, ["good", "good", "lost", "lost"])
    assert profile.index.tolist() == ["good", "lost"]
    assert profile.loc["good"].tolist() == [2, 0.5, 1, 20, 5, 20]
    assert profile.loc["lost"].tolist()[:5] == [2, 0.5, 0, 350, 0]
    assert np.isnan(profile.loc["lost", "monetary_value"])
    heat_map, sizes = plots.plot_segment_profile(profile)
    words = [text.get_text() for text in heat_map.texts]
    assert words == ["20", "5", "20", "350", "0", "–"]
    np.testing.assert_allclose([bar.get_width() for bar in sizes.patches], [0.5, 0.5, 1, 0])
    colours = heat_map.images[0].get_array()
    assert colours[0, 0] > 0 > colours[1, 0]  # bought lately: better, though the number is less


# What was learnt


def test_shrinkage_holds_medians_and_intervals(posterior):
    alone = Parameters(
        *(np.array([[1.0], [2.0], [np.nan]]) * np.full(5, it) for it in (1, 36.5, 1, 3))
    )
    table = plots.shrinkage(alone, posterior, level=0.5)
    assert table.index.tolist() == [*posterior.segment_names, "population"]
    assert table["rate_alone"].tolist()[:2] == pytest.approx([10, 10])
    assert table["leaving_alone"].tolist()[:2] == pytest.approx([0.25, 0.25])
    assert table["rate_alone"].isna().tolist() == [False, False, True, True]
    draws = posterior.parameters
    rates = 365 * draws.r[1] / draws.alpha[1]
    expected = np.quantile(rates, [0.5, 0.25, 0.75])
    assert table.loc[table.index[1], ["rate", "rate_lower", "rate_upper"]].tolist() == (
        pytest.approx(expected.tolist())
    )
    left, right = plots.plot_shrinkage(table)
    np.testing.assert_allclose(left.lines[2].get_xdata(), table["rate"][:-1])
    np.testing.assert_allclose(right.lines[1].get_xdata(), table["leaving_alone"][:-1])


def test_priors_stand_beside_the_posterior(posterior):
    drawn = plots.plot_prior_posterior(posterior)
    assert set(drawn.viz["dist"]["μ"].dims) == {"of", "group"}
    assert mpl.pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("weeks", "published"), [(1, 0.0532), (3, 0.1506), (31.8571, 1.0405), (52, 1.444004)]
)
def test_a_new_customer_is_expected_to_buy_as_published(posterior, weeks, published):
    """Hardie's spreadsheet to four digits, and BTYD's walkthrough at its own estimates to seven."""
    estimates = (0.2425967, 4.413659, 0.7929869, 2.426164)
    table = plots.new_customer(given(posterior, same(estimates, 3)), weeks)
    assert table["mean"].iloc[-1] == pytest.approx(published, abs=5e-5 if weeks < 52 else 5e-7)
    assert table["lower"].iloc[-1] == pytest.approx(table["upper"].iloc[-1])
    assert table["mean"].iloc[0] == 0


def test_a_new_customer_of_lifetimes_is_ours(posterior):
    lifetimes = pytest.importorskip("lifetimes")
    fitter = lifetimes.BetaGeoFitter()
    fitter.params_ = pd.Series(WEEKS, ["r", "alpha", "a", "b"])
    table = plots.new_customer(given(posterior, same(WEEKS, 3)), 78)
    theirs = fitter.expected_number_of_purchases_up_to_time(table.index.to_numpy()[1:])
    np.testing.assert_allclose(table["mean"].to_numpy()[1:], theirs, rtol=1e-9)


@pytest.mark.parametrize(("days", "level"), [(0, 0.9), (np.inf, 0.9), (10, 1)])
def test_a_new_customer_without_a_future_is_refused(posterior, days, level):
    with pytest.raises(InputError, match="must"):
        plots.new_customer(posterior, days, level=level)


# All of them


NAMES = (
    "calendar", "cohorts", "customers",
    "comparison", "pairwise", "profile", "choice", "matrix", "history", "exposure",
    "heterogeneity", "shrinkage", "tracking", "newcomer", "counts", "by state",
)  # fmt: skip


def tracking() -> Tracking:
    ends = [dt.date(2024, 1, 7) + dt.timedelta(days=7 * k) for k in range(6)]
    table = pd.DataFrame({"end": ends, "held_out": [False] * 4 + [True] * 2})
    for kind, growing in (("", np.ones(6)), ("cumulative_", np.arange(1, 7))):
        for name, value in (("actual", 9), ("mean", 10), ("lower", 8), ("upper", 12)):
            table[kind + name] = value * growing
    return Tracking(table.set_index("end"), ends[3], 7, 0.9)


def counts(index: pd.Index) -> pd.DataFrame:
    columns = {"customers": [50, 20, 3], "actual": [5, 2, 1], "mean": [4, 3, 1]}
    return pd.DataFrame(columns | {"lower": [3, 2, 0], "upper": [6, 4, 2]}, index=index)


def comparison() -> SegmentComparison:
    draws = np.random.default_rng(0).beta(2, 2, (3, 2, 50))
    measures = ("prob_alive", "buys_again", "expected_purchases")
    return SegmentComparison(
        xr.Dataset(
            {"customers": ("segment", [10, 20])}
            | {
                name: (("segment", "sample"), values)
                for name, values in zip(measures, draws, strict=True)
            },
            coords={"segment": ["a", "b"]},
            attrs={"horizon": 90.0},
        ),
        level=0.9,
    )


def choice() -> pd.DataFrame:
    names = ["inertia", "silhouette", "stability", "stability_lower", "stability_upper"]
    return pd.DataFrame(np.full((2, 5), 0.9), index=[2, 3], columns=names)


def every_plot(posterior, log) -> dict[str, tuple[object, int]]:
    """Each plot as a function of its axes, and how many those are."""
    profile = plots.segment_profile(customers(log), ["x"] * 2357)
    matrix = plots.state_matrix(posterior, steps=4)
    history = plots.alive_history(posterior, log, 4)
    differing = plots.heterogeneity(posterior)
    shrunk = plots.shrinkage(posterior.parameters[:-1], posterior)
    newcomer = plots.new_customer(posterior, 90)
    numbered = counts(pd.Index(["0", "1", "2+"]))
    grouped = counts(pd.Index([0, 10, 30], name="idle_time"))
    return {
        "calendar": (lambda ax: plots.plot_calendar(plots.calendar(log), ax), 2),
        "cohorts": (lambda ax: plots.plot_cohorts(plots.cohorts(log), ax), 1),
        "customers": (lambda ax: plots.plot_customers(customers(log), ax), 3),
        "comparison": (lambda ax: plots.plot_segment_comparison(comparison(), ax), 2),
        "pairwise": (lambda ax: plots.plot_pairwise_churn(comparison(), ax=ax), 1),
        "profile": (lambda ax: plots.plot_segment_profile(profile, ax), 2),
        "choice": (lambda ax: plots.plot_n_segments(choice(), ax), 3),
        "matrix": (lambda ax: plots.plot_state_matrix(matrix, ax), 2),
        "history": (lambda ax: plots.plot_alive_history(history, ax), 1),
        "exposure": (lambda ax: plots.plot_exposure(customers(log), ax), 1),
        "heterogeneity": (lambda ax: plots.plot_heterogeneity(differing, ax), 2),
        "shrinkage": (lambda ax: plots.plot_shrinkage(shrunk, ax), 2),
        "tracking": (lambda ax: plots.plot_tracking(tracking(), ax), 2),
        "newcomer": (lambda ax: plots.plot_new_customer(newcomer, ax), 1),
        "counts": (lambda ax: plots.plot_purchase_counts(numbered, ax), 1),
        "by state": (lambda ax: plots.plot_purchases_by_state(grouped, ax), 1),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_plot_draws_on_the_axes_it_is_given_and_changes_nothing_else(name, posterior, log):
    draw, n = every_plot(posterior, log)[name]
    before = dict(mpl.rcParams)
    own = np.ravel(draw(None))
    assert len(own) == n
    figure = Figure()
    mine = np.ravel(figure.subplots(1, n, squeeze=False))
    returned = np.ravel(draw(mine if n > 1 else mine[0]))
    assert [*returned] == [*mine]
    for ax in (*own, *mine):
        assert ax.get_title(loc="left")
        assert ax.has_data()
        assert not ax.spines["top"].get_visible()
    for drawn in (own[0].figure, figure):
        drawn.savefig(io.BytesIO())
    assert dict(mpl.rcParams) == before
    assert mpl.pyplot.get_fignums() == []
    if n > 1:
        with pytest.raises(InputError, match=f"axes must be {n}, one for each panel: {n - 1}"):
            draw(mine[1:])


def test_letters_are_legible_at_half_size(posterior, log):
    """14 points on 12 inches; nothing smaller than 12, unless the reader asks for it."""
    for draw, _ in every_plot(posterior, log).values():
        axes = np.ravel(draw(None))
        axes[0].figure.draw_without_rendering()
        for ax in axes:
            words = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
            words += [*ax.get_xticklabels(), *ax.get_yticklabels()]
            sizes = [it.get_fontsize() for it in words if it.get_text()]
            assert min(sizes) >= style.TEXT - 2


def test_everything_that_is_drawn_is_exported_and_can_be_imported():
    modules = Path(plots.__file__).parent.glob("*.py")
    drawn = {
        name
        for path in modules
        for name in re.findall(r"^def (plot_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(drawn) > 15
    assert drawn == {name for name in plots.__all__ if name.startswith("plot_")}
    for name in plots.__all__:
        assert callable(getattr(plots, name))


def test_tracking_marks_where_the_fit_ends():
    weekly, total = plots.plot_tracking(tracking())
    np.testing.assert_allclose(weekly.lines[1].get_ydata(), 9)
    np.testing.assert_allclose(total.lines[0].get_ydata(), 10 * np.arange(1, 7))
    for ax in (weekly, total):
        assert {"fitted", "held out"} <= {text.get_text() for text in ax.texts}
        assert ax.lines[-1].get_xdata()[0] == mpl.dates.date2num(tracking().end)
    seen = replace(tracking(), table=tracking().table.assign(held_out=False))
    assert len(plots.plot_tracking(seen)[0].texts) == 0


def test_pairs_never_claim_certainty():
    certain = comparison()
    certain.draws["buys_again"][:] = np.add([[0.9], [0.1]], np.zeros(50))
    ax = plots.plot_pairwise_churn(certain)
    assert [text.get_text() for text in ax.texts] == ["<1%", ">99%"]
    assert [it.get_text() for it in ax.get_yticklabels()] == ["a", "b"]


# The log


def test_weeks_and_weekdays_count_a_day_once():
    rows = [
        ("a", "2024-01-01"), ("a", "2024-01-01"), ("a", "2024-01-08"), ("b", "2024-01-07"),
        ("b", "2024-01-15"), ("b", "2024-01-20"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["customer", "date"])
    counted = plots.calendar(read_transactions(frame, end="2024-01-20"))
    # The third week has six days only.
    assert counted.weeks["first"].tolist() == [2, 0]
    assert counted.weeks["repeat"].tolist() == [0, 1]
    assert counted.weeks.index[0] == pd.Timestamp("2024-01-07")
    assert counted.weekdays["Mon"] == pytest.approx(2 / 3)
    assert counted.weekdays["Sat"] == pytest.approx(1 / 3)
    weekly, weekdays = plots.plot_calendar(counted)
    assert weekly.lines[1].get_ydata().tolist() == [0, 1]
    assert sum(bar.get_height() for bar in weekdays.patches) == pytest.approx(1)


def test_cohorts_are_shares_of_those_who_began_and_end_with_the_last_whole_month():
    rows = [
        ("a", "2023-11-03"), ("a", "2023-12-09"), ("a", "2023-12-10"), ("b", "2023-11-20"),
        ("c", "2023-12-01"), ("c", "2024-01-02"), ("a", "2024-02-03"), ("d", "2024-02-03"),
    ]  # fmt: skip
    log = read_transactions(pd.DataFrame(rows, columns=["customer", "date"]), end="2024-02-15")
    table = plots.cohorts(log)
    assert table.index.tolist() == ["2023-11", "2023-12", "2024-02"]
    assert table["customers"].tolist() == [2, 1, 1]
    assert table.columns.tolist() == ["customers", 1, 2]
    assert table.loc["2023-11", [1, 2]].tolist() == [0.5, 0]
    assert table.loc["2023-12", 1] == 1
    assert np.isnan(table.loc["2023-12", 2])  # February is not over
    assert [text.get_text() for text in plots.plot_cohorts(table).texts] == ["50", "0", "100"]


def test_the_published_cohort_is_the_one_of_cdnow(log):
    table = plots.cohorts(log)
    assert table["customers"].sum() == 2357
    assert table.shape == (3, 18)


def test_distributions_add_up_to_everybody_and_need_no_spend(log):
    everyone = customers(log)
    idle, frequency, spend = plots.plot_customers(everyone)
    for ax in (idle, frequency):
        assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1)
    assert frequency.patches[0].get_height() == pytest.approx((everyone["frequency"] == 0).mean())
    assert sum(bar.get_height() for bar in spend.patches) > 0.99
    without = plots.plot_customers(everyone.drop(columns="monetary_value"))
    assert len(without[2].patches) == 0
