"""The backtest: nothing of the future leaks, outcomes are the log's, and its word is followed."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from bayes_clv import RFMSegmenter, load_cdnow, read_transactions
from bayes_clv.cli.commands import app
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation.backtest import purchases as module
from bayes_clv.evaluation.backtest.methods import POOLED, Method, default_methods
from bayes_clv.evaluation.backtest.purchases import SCORES, Backtest, backtest
from bayes_clv.evaluation.backtest.splits import Split, check_splits, default_splits
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.plots import plot_reliability

ORIGIN = dt.date(1997, 9, 30)
SPLITS = (Split(ORIGIN, 90), Split(ORIGIN, 273))
RFM = Method("RFM", RFMSegmenter(), 4, options="--segments rfm --landmarks 4")
METHODS = (
    POOLED,
    Method("RFM, own past", RFMSegmenter(), own_past=True),
    RFM,
    Method("stacked", bases=(POOLED, RFM)),
)


@pytest.fixture(scope="module")
def result() -> Backtest:
    """A tenth of CDNOW."""
    return backtest(load_cdnow(sample=True), methods=METHODS, splits=SPLITS, draws=100)


def log_of(frame: pd.DataFrame, end: dt.date) -> Transactions:
    return read_transactions(frame, end=end, keep_zero_amounts=True)


def cdnow_frame() -> pd.DataFrame:
    return load_cdnow(sample=True).table.to_pandas()


# What is forecast


def test_outcomes_are_the_days_on_which_customers_bought_after_the_origin(result: Backtest) -> None:
    days = cdnow_frame().assign(date=lambda it: pd.to_datetime(it["date"]))
    days = days[["customer_id", "date"]].drop_duplicates()
    known = days[days["date"] <= pd.Timestamp(ORIGIN)]["customer_id"].unique()
    for split in SPLITS:
        later = (days["date"] > pd.Timestamp(ORIGIN)) & (days["date"] <= pd.Timestamp(split.end))
        bought = days[later & days["customer_id"].isin(known)]
        row = result.at(split).iloc[0]
        assert row["customers"] == len(known) == 2357
        assert row["actual"] == len(bought)
        assert row["active"] == pytest.approx(bought["customer_id"].nunique() / len(known))
    # Fader, Hardie & Lee's holdout of 39 weeks: 684 customers came back.
    assert result.at(SPLITS[1])["active"].iloc[0] == pytest.approx(684 / 2357)


@pytest.mark.long
def test_what_happens_after_the_origin_reaches_no_forecast() -> None:
    frame = cdnow_frame().assign(date=lambda it: pd.to_datetime(it["date"]))
    past = frame[frame["date"] <= pd.Timestamp(ORIGIN)]
    other = past.drop_duplicates("customer_id").assign(date=pd.Timestamp("1997-12-24"), amount=9e4)
    end = dt.date(1998, 6, 30)
    made = [
        backtest(log_of(log, end), methods=METHODS, splits=SPLITS[:1], draws=50).table
        for log in (frame, pd.concat([past, other]))
    ]
    assert (made[0]["actual"] != made[1]["actual"]).all()
    for name in ("customers", "expected", "expected_lower", "expected_upper"):
        pd.testing.assert_series_equal(made[0][name], made[1][name])


@pytest.mark.long
def test_the_same_seed_gives_the_same_table(result: Backtest) -> None:
    again = backtest(load_cdnow(sample=True), methods=METHODS, splits=SPLITS, draws=100)
    pd.testing.assert_frame_equal(
        again.table.drop(columns="seconds"), result.table.drop(columns="seconds")
    )


def test_a_log_until_an_earlier_day_counts_the_rows_that_came_later() -> None:
    log = load_cdnow(sample=True)
    past = log.until(ORIGIN)
    later = int((pd.to_datetime(cdnow_frame()["date"]) > pd.Timestamp(ORIGIN)).sum())
    assert dict(past.ledger.rejected) == {"after the end": later}
    assert past.end == ORIGIN
    assert past.table.count().execute() == past.ledger.rows_kept
    with pytest.raises(InputError, match="the log covers 1997-01-01 … 1997-09-30, not 1998-01-01"):
        past.until(dt.date(1998, 1, 1))


# What is said of it


def test_every_method_is_scored_on_every_split_against_pooled(result: Backtest) -> None:
    table = result.table
    assert list(table.columns) == list(SCORES)
    assert len(table) == len(METHODS) * len(SPLITS)
    pooled = table[table["method"] == "pooled"]
    assert (pooled["gain"] == 0).all()
    assert (pooled["gain_se"] == 0).all()
    others = table[table["method"] != "pooled"].merge(
        pooled, on=["origin", "horizon"], suffixes=("", "_of_pooled")
    )
    np.testing.assert_allclose(others["gain"], others["log_score"] - others["log_score_of_pooled"])
    assert (others["gain_se"] > 0).all()


def test_segments_and_bins_lose_nobody(result: Backtest) -> None:
    for part in (result.segments, result.reliability):
        counted = part.groupby(["origin", "horizon", "method"])["customers"].sum()
        assert (counted == 2357).all()
    actual = result.segments.groupby(["origin", "horizon", "method"])["actual"].sum()
    expected = result.table.set_index(["origin", "horizon", "method"])["actual"]
    pd.testing.assert_series_equal(actual, expected.sort_index(), check_dtype=False)


def test_pooled_forecasts_the_published_holdout(result: Backtest) -> None:
    row = result.at(SPLITS[1]).set_index("method").loc["pooled"]
    # 1,653.9 at the published maximum-likelihood estimates; the posterior's mean is not far off.
    assert row["expected"] == pytest.approx(1653.9, rel=0.06)
    assert row["expected_lower"] < row["expected"] < row["expected_upper"]


@pytest.mark.long
def test_on_cdnow_landmarks_beat_pooled_and_segments_fitted_to_their_own_past_do_not() -> None:
    made = backtest(load_cdnow(), methods=METHODS, splits=SPLITS[1:], draws=750)
    rows = made.table.set_index("method")
    assert rows.loc["RFM", "gain"] > max(0.012, 3 * rows.loc["RFM", "gain_se"])
    assert rows.loc["RFM", "calibration_error"] < rows.loc["pooled", "calibration_error"]
    assert rows.loc["RFM, own past", "gain"] < -0.1
    assert rows.loc["RFM, own past", "coverage_90"] < 0.8
    assert made.best.name == "RFM"


def test_a_mixture_is_scored_with_the_weights_that_stand_beside_it(result: Backtest) -> None:
    weights = result.stacking
    assert set(weights["method"]) == {"pooled", "RFM"}
    np.testing.assert_allclose(weights.groupby(["origin", "horizon"])["weight"].sum(), 1)
    assert weights["inner_horizon"].tolist() == [90, 90, 136, 136], "half of the past at most"
    for split in SPLITS:
        rows = result.at(split).set_index("method")
        here = weights[weights["horizon"] == split.horizon].set_index("method")["weight"]
        mixed = sum(here[name] * rows.loc[name, "expected"] for name in here.index)
        assert rows.loc["stacked", "expected"] == pytest.approx(mixed, rel=1e-4)
        bases = rows.loc[["pooled", "RFM"], "log_score"]
        # By Jensen's inequality never below the weighted mean of its bases.
        assert rows.loc["stacked", "log_score"] >= here @ bases - 1e-9


@pytest.mark.parametrize("name", ["pooled", "stacked"])
def test_the_watched_groups_are_those_of_the_log(name: str, result: Backtest) -> None:
    days = cdnow_frame().assign(date=lambda it: pd.to_datetime(it["date"]))
    days = days[["customer_id", "date"]].drop_duplicates()
    origin = pd.Timestamp(ORIGIN)
    past = days[days["date"] <= origin].groupby("customer_id")["date"].agg(["min", "max", "count"])
    repeats, span = past["count"] - 1, (past["max"] - past["min"]).dt.days
    silent = (repeats >= 8) & ((origin - past["max"]).dt.days >= 10 * span / repeats.clip(lower=1))
    for split in SPLITS:
        later = days[(days["date"] > origin) & (days["date"] <= pd.Timestamp(split.end))]
        came_back = past.index[silent].isin(later["customer_id"])
        here = (result.corner["method"] == name) & (result.corner["horizon"] == split.horizon)
        (row,) = result.corner[here].to_dict(orient="records")
        assert (row["customers"], row["bought"]) == (silent.sum(), came_back.sum())
        assert row["lower"] <= row["upper"] <= 1
        here = (result.cells["method"] == name) & (result.cells["horizon"] == split.horizon)
        cells = result.cells[here]
        assert cells["customers"].sum() == len(past)
        assert cells["bought"].sum() == past.index.isin(later["customer_id"]).sum()
        bins = result.reliability[
            (result.reliability["method"] == name)
            & (result.reliability["horizon"] == split.horizon)
        ]
        forecast = cells["forecast"] @ cells["customers"]
        assert forecast == pytest.approx(bins["forecast"] @ bins["customers"])


def test_without_an_inner_split_weights_are_equal() -> None:
    """Until the inner origin nobody has bought twice."""
    rows = [(c, f"2024-01-{1 + c % 9:02}") for c in range(40)]
    rows += [(c, f"2024-01-{day}") for c in range(40) for day in (17, 19)[: 1 + c % 2]]
    frame = pd.DataFrame(rows, columns=["customer_id", "date"]).assign(amount=1.0)
    made = backtest(
        log_of(frame, dt.date(2024, 1, 31)),
        methods=(POOLED, Method("stacked", bases=(POOLED, replace(POOLED, name="again")))),
        splits=[Split(dt.date(2024, 1, 20), 11)],
        draws=50,
    )
    assert made.stacking["weight"].tolist() == [0.5, 0.5]
    assert made.stacking["inner_origin"].tolist() == [None, None]
    assert made.corner.empty


# Splits and methods


def test_cdnow_is_split_at_its_published_half_among_others() -> None:
    log = load_cdnow()
    splits = default_splits(log.start, log.end)
    assert SPLITS[1] in splits
    assert len({split.origin for split in splits}) == 3
    assert all(split.end <= log.end for split in splits)
    assert sum(split.end == log.end for split in splits) == 3


def test_own_splits_are_those_that_the_log_covers() -> None:
    log = load_cdnow(sample=True)
    late = dt.date(1998, 5, 31)
    assert check_splits(log, [late, ORIGIN], [30, 60]) == (
        Split(ORIGIN, 30),
        Split(ORIGIN, 60),
        Split(late, 30),
    )
    assert check_splits(log, [late], []) == (Split(late, 30),)
    for origins, horizons, words in (
        ([dt.date(1996, 1, 1)], [], "an origin must lie after 1997-01-01"),
        ([ORIGIN], [0], "a horizon must be at least 1 day: 0"),
        ([late], [31], "must end by 1998-06-30, the observation end: 31 days after 1998-05-31"),
    ):
        with pytest.raises(InputError, match=words):
            check_splits(log, origins, horizons)


def test_a_log_of_a_few_days_is_refused() -> None:
    with pytest.raises(InputError, match="at least 12 days: it has 5"):
        default_splits(dt.date(2024, 1, 1), dt.date(2024, 1, 6))


def test_the_default_methods_cover_both_models_and_fit_offers_all_but_the_wrong_ones() -> None:
    methods = default_methods((3, 5), (2, 4))
    assert len({method.name for method in methods}) == len(methods)
    assert {method.dropout for method in methods} == set(Dropout)
    for method in methods:
        assert bool(method.options) != (method.own_past or bool(method.bases))
    assert [it.name for it in methods[-1].bases] == [
        "pooled",
        "pooled, MBG/NBD",
        "RFM × 2",
        "KMeans 5 × 2",
        "RFM × 2, MBG/NBD",
        "KMeans 5 × 2, MBG/NBD",
    ]


class Asked(InputError):
    """Raised in place of a fit."""


def test_every_recommendation_makes_fit_fit_the_method_that_it_is_made_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[object, ...]] = []

    def stand_in(segmenter: object, landmarks: int, **options: object) -> None:
        asked.append((type(segmenter), vars(segmenter) if segmenter else {}, landmarks, options))
        raise Asked("as it was asked for")

    monkeypatch.setattr("bayes_clv.inference.estimator.HierarchicalBetaGeo", stand_in)
    offered = [method for method in default_methods((3, 5), (2, 4)) if method.options]
    assert len(offered) == 20
    for method in offered:
        answer = CliRunner().invoke(app, ["fit", "cdnow", *method.options.split()])
        assert "as it was asked for" in answer.stderr, method.options
        kind, settings, landmarks, options = asked.pop()
        assert (kind, settings) == (
            type(method.segmenter),
            vars(method.segmenter) if method.segmenter else {},
        ), method.name
        wanted = {
            "dropout": method.dropout,
            "spend": True,
            "reactivation": method.reactivation,
            "soft_fit": method.soft_fit,
        }
        assert options == wanted
        if method.segmenter is not None:  # landmarks cannot matter to who pools everybody
            assert landmarks == method.landmarks, method.name


# What follows


STACKED = {"stacked": (0.03, 0.002)}


def told(gains: dict[str, tuple[float, float]], result: Backtest) -> Backtest:
    overall = result.overall.assign(
        gain=[gains[name][0] for name in result.overall.index],
        gain_se=[gains[name][1] for name in result.overall.index],
        sound=True,
    )
    return replace(result, overall=overall)


@pytest.mark.parametrize(
    ("rfm", "best"), [((0.02, 0.002), "RFM"), ((0.02, 0.015), "pooled"), ((-0.1, 0.01), "pooled")]
)
def test_pooled_is_recommended_unless_another_is_clearly_better(
    rfm: tuple[float, float], best: str, result: Backtest
) -> None:
    # However good it looks, nobody is sent to the method that uses the data twice.
    others = {"RFM, own past": (0.5, 0.001), "stacked": (0.4, 0.001)}
    made = told({"pooled": (0, 0), "RFM": rfm} | others, result)
    assert made.best.name == best
    assert made.best.options in made.recommendation


def test_nobody_is_sent_to_a_fit_that_is_not_sound(result: Backtest) -> None:
    made = told(
        {"pooled": (0, 0), "RFM": (0.02, 0.002), "RFM, own past": (-1, 0.1)} | STACKED, result
    )
    unsound = made.overall.assign(sound=made.overall.index != "RFM")
    made = replace(made, overall=unsound)
    assert made.best.name == "pooled"
    assert "Do not rely on methods with an unsound fit: RFM." in made.recommendation


def test_where_pooled_was_better_the_recommendation_says_so(result: Backtest) -> None:
    made = told(
        {"pooled": (0, 0), "RFM": (0.02, 0.002), "RFM, own past": (-1, 0.1)} | STACKED, result
    )
    table = made.table.assign(gain_se=0.001)
    table.loc[(table["method"] == "RFM") & (table["horizon"] == 90), "gain"] = -0.05
    table.loc[(table["method"] == "RFM") & (table["horizon"] == 273), "gain"] = 0.05
    words = replace(made, table=table).recommendation
    assert "pooled was clearly better at 1997-09-30 + 90 days" in words
    assert "273" not in words


def test_the_figure_has_a_panel_for_each_split(result: Backtest) -> None:
    axes = plot_reliability(result)
    assert [ax.get_title(loc="left") for ax in axes] == [
        "1997-09-30, next 90 days",
        "1997-09-30, next 273 days",
    ]
    for ax in axes:
        assert len(ax.get_lines()) == 1 + 3, "the diagonal, and three methods"
    with pytest.raises(InputError, match="axes must be 2, one for each split: 1"):
        plot_reliability(result, axes[:1])


# The command


def test_a_fast_run_looks_at_some_customers_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAST_CUSTOMERS", 500)
    made = backtest(
        load_cdnow(sample=True), methods=METHODS[:1], splits=SPLITS[:1], draws=50, fast=True
    )
    assert made.n_customers == 2357
    assert 450 <= made.table["customers"].iloc[0] <= 550
    assert made.to_dict()["fast"] is True


def test_the_command_prints_tables_or_json_and_writes_the_figure(
    tmp_path: Path, result: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def stand_in(log: Transactions, **options: object) -> Backtest:
        on_step: Callable[[str, int, int], None] = options.pop("on_step")  # type: ignore[assignment]
        on_step("pooled", 0, 2)
        asked.update(options, source=log.source)
        return result

    monkeypatch.setattr(module, "backtest", stand_in)
    cdnow_frame().to_csv(tmp_path / "log.csv", index=False)
    command = ["backtest", str(tmp_path / "log.csv"), "--keep-zero"]
    options = ["--origin", "1997-09-30", "--horizon", "90", "--n-segments", "4", "--fast"]
    figure = tmp_path / "figure.png"
    tables = CliRunner().invoke(app, [*command, "--plot", str(figure)], env={"COLUMNS": "200"})
    assert tables.exit_code == 0, tables.output
    for words in ("Origin 1997-09-30, forecast for 273 days", "RFM, own past"):
        assert words in tables.stdout
    assert asked["splits"] is None
    assert figure.read_bytes().startswith(b"\x89PNG")
    printed = CliRunner().invoke(app, [*command, *options, "--json"])
    assert asked["splits"] == (Split(ORIGIN, 90),)
    assert asked["fast"] is True
    assert any(method.name == "KMeans 4" for method in asked["methods"])  # type: ignore[attr-defined]
    made = json.loads(printed.stdout)
    assert len(made["splits"]) == len(result.table)
    assert {row["method"] for row in made["overall"]} == {method.name for method in METHODS}
    assert made["best"]["options"] == result.best.options


@pytest.mark.parametrize(
    ("plot", "words"),
    [("no/such/folder/it.png", "there is no folder"), ("it.xyz", "must end in one of")],
)
def test_a_figure_that_cannot_be_written_is_refused_before_hours_of_work(
    plot: str, words: str
) -> None:
    answer = CliRunner().invoke(app, ["backtest", "cdnow", "--plot", plot])
    assert answer.exit_code == 2
    assert words in answer.stderr


def test_the_command_refuses_a_day_outside_of_the_log() -> None:
    answer = CliRunner().invoke(app, ["backtest", "cdnow", "--origin", "2005-01-01"])
    assert answer.exit_code == 2
    assert "an origin must lie after 1997-01-01" in answer.stderr
