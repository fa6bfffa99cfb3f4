"""The comparison of methods on several shops' logs: what is computed from the forecasts."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from benchmarks import shops
from benchmarks.shops import BOOSTING, Scored, averages, corner_of, of_corner, of_splits

ONE, OTHER = Split(dt.date(2024, 1, 1), 90), Split(dt.date(2024, 3, 1), 90)


def scored(method: str, split: Split, log_score: list[float], **others: object) -> Scored:
    n = len(log_score)
    given = {
        "log": "shop",
        "split": split,
        "method": method,
        "customer": np.arange(n),
        "chance": np.linspace(0.2, 0.8, n),
        "happened": np.arange(n) % 2 == 0,
        "log_score": np.array(log_score),
        "corner": {},
    }
    return Scored(**(given | others))


def test_the_interval_of_chances_without_draws_is_that_of_independent_events() -> None:
    chance = np.random.default_rng(0).uniform(0.1, 0.4, 30)
    found = corner_of(chance, np.zeros(30, dtype=bool), seed=0)
    happen = (np.random.default_rng(1).random((200_000, 30)) < chance).mean(axis=1)
    assert [found["lower"], found["upper"]] == pytest.approx(
        np.quantile(happen, [0.05, 0.95]), abs=1.5 / 30
    )
    assert found["forecast"] == pytest.approx(chance.mean())
    assert corner_of(np.zeros(0), np.zeros(0, dtype=bool), seed=0) == {}


def test_gains_are_paired_differences_from_pooled() -> None:
    rows = of_splits(
        [scored("pooled", ONE, [-1, -2, -3, -4]), scored("RFM", ONE, [-1, -1, -3, -3])]
    )
    assert rows[0]["gain"] == 0
    assert rows[1]["gain"] == 0.5
    assert rows[1]["gain_se"] == pytest.approx(0.25)  # sd 0.5 of four differences
    assert rows[1]["buying"] == 0  # the chances are the same


def test_the_score_of_buying_is_the_log_of_the_chance_of_what_happened_and_always_finite() -> None:
    happened = np.array([True, False, True, True])
    made = scored("pooled", ONE, [0] * 4, chance=np.array([0.25, 0.25, 0, 1]), happened=happened)
    expected = [np.log(0.25), np.log(0.75), np.log(1e-12), 0]
    np.testing.assert_allclose(made.log_score_of_buying, expected, atol=1e-11)


def test_averages_weight_splits_equally_and_take_a_customers_splits_together() -> None:
    pooled = [scored("pooled", it, [0.0] * n) for it, n in ((ONE, 2), (OTHER, 4))]
    rfm = [scored("RFM", ONE, [1, 3]), scored("RFM", OTHER, [0, 2, 0, 2])]
    row = averages([*pooled, *rfm])[1]
    assert (row["method"], row["over"]) == ("RFM", "2 splits")
    assert row["gain"] == pytest.approx((2 + 1) / 2)
    assert row["worst"] == pytest.approx(1)
    # Deviations over 2 splits: customers 0 and 1 have −1/4 − 1/8 and +1/4 + 1/8, 2 and 3 ∓1/8.
    assert row["gain_se"] == pytest.approx(np.sqrt(2 * 0.375**2 + 2 * 0.125**2))


def test_customers_of_two_logs_with_one_name_are_two_customers() -> None:
    pooled = [scored("pooled", ONE, [0.0, 0.0], log=it) for it in ("a", "b")]
    rfm = [scored("RFM", ONE, [1.0, -1.0], log=it) for it in ("a", "b")]
    assert averages([*pooled, *rfm])[1]["gain_se"] == pytest.approx(np.sqrt(4 * 0.25**2))


def test_where_boosting_has_no_forecast_all_are_averaged_again_over_its_splits() -> None:
    made = [scored("pooled", it, [0.0, 0.0]) for it in (ONE, OTHER)]
    made.append(scored(BOOSTING, OTHER, [1.0, 0.0]))
    rows = [(row["method"], row["over"]) for row in averages(made)]
    assert rows == [("pooled", "2 splits"), ("pooled", "1 split"), (BOOSTING, "1 split")]


def test_the_corners_rows_are_of_splits_that_have_one() -> None:
    corner = {"customers": 4, "observed": 0.5, "forecast": 0.2, "lower": 0.0, "upper": 0.25}
    made = scored("RFM", ONE, [0] * 9, corner=corner)
    (row,) = of_corner([made, scored("RFM", OTHER, [0.0])])
    assert (row["customers"], row["observed"], row["inside"]) == (4, 0.5, "no")
    (row,) = of_corner([scored("RFM", ONE, [0] * 9, corner=corner | {"upper": 0.5})])
    assert row["inside"] == "yes"


def test_files_that_are_missing_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "grocery.parquet").touch()
    arguments = shops.parser().parse_args(["--data", str(tmp_path)])
    found, missing = shops.chosen_logs(arguments)
    assert list(found) == ["CDNOW", "grocer"]
    assert missing == ["retailer", "apparel"]


def test_other_logs_are_added_and_one_may_be_measured_alone(tmp_path: Path) -> None:
    file = tmp_path / "wine.csv"
    file.touch()
    more = ["--data", str(tmp_path), "--log", "wine", str(file)]
    assert list(shops.chosen_logs(shops.parser().parse_args(more))[0]) == ["CDNOW", "wine"]
    alone = shops.parser().parse_args([*more, "--only", "wine"])
    assert shops.chosen_logs(alone) == ({"wine": file}, [])
    with pytest.raises(SystemExit, match="--only names no log: beer"):
        shops.chosen_logs(shops.parser().parse_args(["--only", "beer"]))
    absent = shops.parser().parse_args(["--data", str(tmp_path), "--only", "grocer"])
    with pytest.raises(SystemExit, match="no file of these logs was found: grocer"):
        shops.chosen_logs(absent)


def test_the_methods_are_the_backtests_and_pooled_is_the_first() -> None:
    names = [it.name for it in shops.METHODS]
    assert shops.chosen_methods(names) == shops.METHODS
    assert [it.name for it in shops.chosen_methods(["fit"])] == ["pooled", "fit"]
    fit, made = shops.chosen_methods(["fit"])[1], HierarchicalBetaGeo()
    assert (type(fit.segmenter), vars(fit.segmenter)) == (
        type(made.segmenter),
        vars(made.segmenter),
    )
    for option in ("landmarks", "dropout", "reactivation", "soft_fit"):
        assert getattr(fit, option) == getattr(made, option)
