"""`bayes-clv backtest` from end to end: its JSON against the log, its tables against its JSON."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from bayes_clv.cli.commands import app
from bayes_clv.cli.terminal import out
from bayes_clv.data.datasets import load_cdnow
from bayes_clv.evaluation.backtest import methods, purchases
from bayes_clv.evaluation.backtest.methods import POOLED
from bayes_clv.evaluation.backtest.purchases import Backtest

ORIGIN = pd.Timestamp("1997-09-30")
HORIZONS = (90, 180)
NAMES = {
    "pooled", "pooled, MBG/NBD", "RFM, own past", "RFM", "RFM, hard", "RFM, no return",
    "RFM, MBG/NBD", "KMeans 2, own past", "KMeans 2", "KMeans 2, idle + frequency",
    "KMeans 2, idle", "KMeans 2, MBG/NBD", "stacked",
}  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """300 customers of CDNOW; three of them paid nothing."""
    frame = load_cdnow(sample=True).table.to_pandas()
    return frame[frame["customer_id"].isin(frame["customer_id"].unique()[:300])]


@pytest.fixture(scope="module")
def log(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "orders.csv"
    rows.to_csv(path, index=False)
    return path


def run(log: Path | str, *options: object, width: int = 200) -> Result:
    arguments = ["backtest", str(log), "--end", "1998-06-30", *map(str, options)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(out, "width", width)  # a console reads $COLUMNS when it is made, no later
        return CliRunner().invoke(app, arguments)


def facts(log: Path, *options: object) -> dict[str, Any]:
    result = run(log, *options, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def whole(log: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Backtest, dict[str, Any]]:
    """All methods of the command, once: what it computed, and the JSON that it printed."""
    kept: list[Backtest] = []
    real = purchases.backtest

    def keeping(*given: Any, **options: Any) -> Backtest:
        kept.append(real(*given, **options))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(purchases, "backtest", keeping)
        options = ["--origin", ORIGIN.date(), "--n-segments", 2, "--landmarks", 2, "--draws", 20]
        options += [word for days in HORIZONS for word in ("--horizon", days)]
        found = facts(log, *options, "--seed", 3)
    return kept[0], found


@pytest.fixture
def printed(whole: tuple[Backtest, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Print a result without fitting it again."""

    def show(log: Path, *options: object, result: Backtest | None = None, width: int = 200) -> str:
        monkeypatch.setattr(purchases, "backtest", lambda *a, **k: result or whole[0])
        answer = run(log, *options, width=width)
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    return show


@pytest.fixture
def only_pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "default_methods", lambda *given: (POOLED,))


def cells(text: str, title: str) -> dict[str, list[str]]:
    """Rows of the table under a title by their first column; cells are two blanks apart."""
    found = re.search(r"\s+".join(map(re.escape, title.split())), text)  # it may be wrapped
    assert found, title
    lines = text[found.start() :].splitlines()
    rule = next(i for i, line in enumerate(lines) if set(line.strip()) == {"─"})
    body = lines[rule + 1 :]
    end = next(i for i, line in enumerate(body) if not line.strip())
    split = [re.split(r"\s{2,}", line.strip()) for line in body[:end]]
    return {row[0]: row[1:] for row in split}


# Purchases


def test_the_json_holds_every_method_on_every_split_with_the_outcomes_of_the_log(
    whole: tuple[Backtest, dict[str, Any]], rows: pd.DataFrame
) -> None:
    _, found = whole
    splits = pd.DataFrame(found["splits"])
    assert sorted(zip(splits["horizon"], splits["method"], strict=True)) == sorted(
        (days, name) for days in HORIZONS for name in NAMES
    )
    assert set(splits["origin"]) == {"1997-09-30"}
    assert (found["customers"], found["fast"], found["draws"], found["seed"]) == (297, False, 80, 3)
    days = rows[rows["amount"] > 0].assign(date=lambda it: pd.to_datetime(it["date"]))
    days = days[["customer_id", "date"]].drop_duplicates()
    known = days.loc[days["date"] <= ORIGIN, "customer_id"].unique()
    for horizon, here in splits.groupby("horizon"):
        later = (days["date"] > ORIGIN) & (days["date"] <= ORIGIN + pd.Timedelta(days=horizon))
        bought = days[later & days["customer_id"].isin(known)]
        assert set(here["customers"]) == {len(known)}
        assert set(here["actual"]) == {len(bought)}
        assert here["active"].to_numpy() == pytest.approx(
            bought["customer_id"].nunique() / len(known)
        )
        assert (here["expected_lower"] < here["actual"]).all()
        assert (here["actual"] < here["expected_upper"]).all()


def test_the_watched_groups_and_the_weights_are_printed_and_in_the_json(
    whole: tuple[Backtest, dict[str, Any]], printed: Any, log: Path
) -> None:
    result, found = whole
    text = printed(log)
    for name in ("corner", "cells", "stacking"):
        assert len(found[name]) == len(getattr(result, name)), name
    weights = pd.DataFrame(found["stacking"])
    for name, row in cells(text, "Weights (%) of the methods in the mixture").items():
        if name in set(weights["method"]):
            here = weights[weights["method"] == name].sort_values("horizon")["weight"]
            assert row == [f"{100 * it:.0f}" for it in here]
    assert "cells of the RFM grid" in " ".join(text.split())
    gone = pd.DataFrame(
        {
            "origin": [ORIGIN.date()],
            "horizon": [90],
            "method": ["pooled"],
            "customers": [40],
            "bought": [6],
            "observed": [0.15],
            "forecast": [0.015],
            "lower": [0.0],
            "upper": [0.05],
            "z": [5.1],
        }
    )
    worst = gone.assign(idle_row=4, value_column=3, method=result.best.name)
    text = printed(log, result=replace(result, corner=gone, cells=worst))
    (row,) = [line for line in text.splitlines() if "1.5% (0–5) (!)" in line and "pooled" in line][
        :1
    ]
    assert "6 (15%)" in row
    assert "+5.1" in text


def test_scores_follow_from_the_bins_and_segments_that_stand_beside_them(
    whole: tuple[Backtest, dict[str, Any]],
) -> None:
    _, found = whole
    splits, segments, bins = (
        pd.DataFrame(found[name]).set_index(["horizon", "method"]).sort_index()
        for name in ("splits", "segments", "reliability")
    )
    for key, row in splits.iterrows():
        mine = bins.loc[key]
        weight = mine["customers"] / mine["customers"].sum()
        off = (mine["forecast"] - mine["observed"]).abs()
        assert row["calibration_error"] == pytest.approx((off * weight).sum())
        assert row["active"] == pytest.approx((mine["observed"] * weight).sum())
        mine = segments.loc[key]
        assert len(mine) > 3
        missed = (mine["expected"] - mine["actual"]).abs().sum()
        assert row["segment_error"] == pytest.approx(missed / row["actual"])
        assert row["expected"] == pytest.approx(mine["expected"].sum())
        pooled = splits.loc[(key[0], "pooled")]
        assert row["gain"] == pytest.approx(row["log_score"] - pooled["log_score"])
    overall = pd.DataFrame(found["overall"]).set_index("method")
    for name, row in overall.iterrows():
        both = splits.xs(name, level="method")
        for score in ("gain", "log_score", "crps", "mae", "rmse", "brier", "auc", "coverage_90"):
            assert row[score] == pytest.approx(both[score].mean()), (name, score)
        assert row["sound"] == both["sound"].all()


def test_another_horizon_changes_no_split_and_the_same_seed_repeats_every_figure(
    whole: tuple[Backtest, dict[str, Any]], log: Path, only_pooled: None
) -> None:
    options = ["--origin", ORIGIN.date(), "--horizon", 90, "--draws", 20]
    again = facts(log, *options, "--seed", 3)
    (row,) = again["splits"]
    (before,) = (it for it in whole[1]["splits"] if (it["method"], it["horizon"]) == ("pooled", 90))
    del row["seconds"], before["seconds"]
    assert row == before
    assert again["best"] == {
        "method": "pooled",
        "options": "--segments none --dropout after_repeat",
    }
    (other,) = facts(log, *options, "--seed", 4)["splits"]
    assert other["log_score"] != row["log_score"]


def test_the_tables_print_what_the_json_holds_and_more_of_it_where_there_is_room(
    whole: tuple[Backtest, dict[str, Any]], printed: Any, log: Path
) -> None:
    _, found = whole
    wide, narrow = printed(log), printed(log, width=100)
    for horizon in HORIZONS:
        mine = {row["method"]: row for row in found["splits"] if row["horizon"] == horizon}
        first = mine["pooled"]
        title = (
            f"Origin 1997-09-30, forecast for {horizon} days: {first['customers']} customers, "
            f"{first['active']:.0%} bought again, {first['actual']} orders"
        )
        table = cells(wide, title)
        assert set(table) == {f"{name} (!)" for name in NAMES}
        for name, row in mine.items():
            gain = "·" if name == "pooled" else f"{row['gain']:+.4f} ± {row['gain_se']:.4f}"
            orders = [row[it] for it in ("expected", "expected_lower", "expected_upper")]
            assert table[f"{name} (!)"] == [
                f"{row['log_score']:.4f}",
                gain,
                f"{row['crps']:.4f}",
                f"{row['mae']:.3f}",
                "{:,.0f} ({:,.0f}–{:,.0f})".format(*orders),
                f"{row['calibration_error']:.3f}",
                f"{row['coverage_50']:.0%}",
                f"{row['coverage_90']:.0%}",
                f"{row['segment_error']:.0%}",
                f"{row['rmse']:.3f}",
                f"{row['brier']:.4f}",
                f"{row['auc']:.3f}",
            ], name
    for text in (wide, narrow):
        overall = cells(text, "All splits together")
        for row in found["overall"]:
            gain = (
                "·" if row["method"] == "pooled" else f"{row['gain']:+.4f} ± {row['gain_se']:.4f}"
            )
            seen = overall[f"{row['method']} (!)"]
            assert seen[:2] == [gain, f"{row['crps']:.4f}"]
            assert seen[3] == f"{row['coverage_90']:.0%}"
        assert " ".join(found["recommendation"].split()) in " ".join(text.split())
        assert "FAST" not in text
    heading = narrow[: narrow.index("All splits together")]
    assert "RMSE" in wide
    assert "RMSE" not in heading
    assert "MAE" in heading


def test_only_methods_that_are_not_sound_are_marked_and_named(
    whole: tuple[Backtest, dict[str, Any]], printed: Any, log: Path
) -> None:
    result = whole[0]
    assert not result.table["sound"].any(), "of so few draws"
    assert (
        "Do not rely on methods with an unsound fit: pooled, pooled, MBG/NBD"
        in result.recommendation
    )
    mended = replace(
        result,
        table=result.table.assign(sound=result.table["method"] != "RFM"),
        overall=result.overall.assign(sound=result.overall.index != "RFM"),
    )
    text = printed(log, result=mended)
    for title in ("forecast for 90 days", "forecast for 180 days", "All splits together"):
        marked = {name for name in cells(text, title) if name.endswith("(!)")}
        assert marked == {"RFM (!)"}
    assert "Do not rely on methods with an unsound fit: RFM." in " ".join(text.split())


@pytest.mark.usefixtures("only_pooled")
def test_without_days_there_are_three_origins_and_with_horizons_only_the_middle(log: Path) -> None:
    found = facts(log, "--draws", 4)
    assert [(it["origin"], it["horizon"]) for it in found["splits"]] == [
        ("1997-09-30", 91),
        ("1997-09-30", 182),
        ("1997-09-30", 273),
        ("1997-12-30", 91),
        ("1997-12-30", 182),
        ("1998-03-31", 91),
    ]
    (one,) = facts(log, "--horizon", 60, "--draws", 4)["splits"]
    assert (one["origin"], one["horizon"]) == ("1997-09-30", 60)


@pytest.mark.usefixtures("only_pooled")
def test_a_fast_run_takes_some_customers_and_half_the_draws_and_says_so(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchases, "FAST_CUSTOMERS", 120)
    found = facts(log, "--fast", "--origin", "1997-12-31", "--horizon", 90)
    assert (found["fast"], found["sampled"], found["customers"]) == (True, 120, 297)
    assert found["draws"] == 4 * 500
    assert found["splits"][0]["customers"] == pytest.approx(120, abs=20), "by a hash of each"
    text = run(log, "--fast", "--origin", "1997-12-31", "--horizon", 90, "--draws", 4).stdout
    assert "FAST: 120 of 297 customers" in text
    assert "Run without --fast before you decide." in " ".join(text.split())


def test_the_figure_is_written_where_it_was_asked_for(
    printed: Any, log: Path, tmp_path: Path
) -> None:
    printed(log, "--plot", tmp_path / "it.png")
    printed(log, "--plot", tmp_path / "it.svg", "--json")
    assert (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "it.svg").read_text()


# Money


@pytest.fixture(scope="module")
def money(log: Path) -> dict[str, Any]:
    return facts(log, "--money", "--draws", 20, "--seed", 5)


def test_money_is_forecast_from_the_middle_of_the_log_and_held_against_what_was_paid(
    money: dict[str, Any], rows: pd.DataFrame
) -> None:
    assert (money["origin"], money["horizon_days"]) == ("1997-09-30", 273)
    dates = pd.to_datetime(rows["date"])
    known = rows.loc[(dates <= ORIGIN) & (rows["amount"] > 0), "customer_id"].unique()
    paid = rows[(dates > ORIGIN) & rows["customer_id"].isin(known)]["amount"].sum()
    assert [row["method"] for row in money["methods"]] == ["pooled", "RFM"]
    deciles = pd.DataFrame(money["deciles"])
    for row in money["methods"]:
        assert row["customers"] == len(known)
        assert row["actual"] == pytest.approx(paid)
        assert row["lower"] < row["expected"] < row["upper"]
        mine = deciles[deciles["method"] == row["method"]]
        assert mine["decile"].tolist() == list(range(1, 11))
        assert np.ptp(mine["customers"]) <= 1
        for name in ("expected", "actual"):
            assert (mine[name] * mine["customers"]).sum() == pytest.approx(row[name])
        assert mine["expected"].is_monotonic_increasing


def test_the_tables_of_money_print_what_the_json_holds(money: dict[str, Any], log: Path) -> None:
    result = run(log, "--money", "--draws", 20, "--seed", 5)
    assert result.exit_code == 0, result.output
    table = cells(result.stdout, "Origin 1997-09-30: spend in the next 273 days")
    for row in money["methods"]:
        assert table[row["method"] + ("" if row["sound"] else " (!)")] == [
            f"{row['expected']:,.0f} ({row['lower']:,.0f}–{row['upper']:,.0f})",
            f"{row['actual']:,.0f}",
            f"{row['mae']:,.2f}",
            f"{row['gini']:.3f}",
            f"{row['coverage_50']:.0%}",
            f"{row['coverage_90']:.0%}",
        ]
    groups = cells(result.stdout, "Customers in ten groups by forecast spend")
    deciles = money["deciles"]
    for decile in range(1, 11):
        mine = [row for row in deciles if row["decile"] == decile]
        assert [row["method"] for row in mine] == ["pooled", "RFM"]
        figures = [row[name] for row in mine for name in ("expected", "actual")]
        assert groups[str(decile)] == [f"{figure:,.2f}" for figure in figures]


# What is refused


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--origin", "soon"], "an origin"),
        (["--origin", "1996-12-31"], "an origin must lie after 1997-01-01 and before 1998-06-30"),
        (["--origin", "1998-06-30"], "an origin must lie after 1997-01-01 and before 1998-06-30"),
        (["--horizon", "0"], "a horizon must be at least 1 day: 0"),
        (["--horizon", "274"], "at least one horizon must end by 1998-06-30"),
        (["--draws", "3"], "draws must be at least 4: 3"),
        (["--draws", "0"], "draws must be at least 4: 0"),
        (["--money", "--draws", "0"], "draws must be at least 4: 0"),
        (["--seed", "-1"], "seed must be at least 0: -1"),
        (["--customer", "nobody"], "nobody"),
        (["--plot", "it.xyz"], "--plot it.xyz must end in one of"),
        (
            ["--money", "--origin", "1997-06-30", "--origin", "1997-09-30"],
            "takes at most one --origin",
        ),
        (
            ["--money", "--horizon", "30", "--horizon", "60"],
            "one --origin and one --horizon: got 0 and 2",
        ),
        (["--money", "--horizon", "274"], "origin and horizon must lie within 1997-01-01 and"),
    ],
)
def test_what_cannot_be_backtested_is_refused_in_one_line(
    log: Path, options: list[str], reason: str
) -> None:
    result = run(log, *options)
    assert result.exit_code == 2, result.output
    (error,) = (line for line in result.stderr.splitlines() if line.startswith("Error"))
    assert reason in error
    assert result.stdout == ""


def test_logs_that_are_absent_short_or_without_amounts_are_refused(
    rows: pd.DataFrame, tmp_path: Path
) -> None:
    few_days, plain = tmp_path / "few.csv", tmp_path / "plain.csv"
    rows[pd.to_datetime(rows["date"]) < "1997-01-10"].to_csv(few_days, index=False)
    rows[["customer_id", "date"]].to_csv(plain, index=False)
    for answer, reason in (
        (run(tmp_path / "absent.csv"), "absent.csv"),
        (
            run(few_days, "--end", "1997-01-09"),
            "a backtest needs a log of at least 12 days: it has 8",
        ),
        (run(plain, "--money"), "a backtest of money needs a log with amounts"),
    ):
        assert answer.exit_code == 2, answer.output
        (error,) = (line for line in answer.stderr.splitlines() if line.startswith("Error"))
        assert reason in error
