import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest

from bayes_clv.data import suspicions as judge
from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.suspicions import Largest
from bayes_clv.errors import InputError
from bayes_clv.evaluation.simulate.logs import Scenario, Spend, simulate_transactions
from bayes_clv.models.bgnbd import Parameters

DEVELOPING = Path(__file__).resolve().parents[3] / "shared" / "data"
START = dt.date(2015, 1, 1)
KINDS = ("plain", "season", "opening", "lognormal", "whales", "business", "lines")


@dataclass(frozen=True)
class World:
    """A clean shop: its log has nothing wrong with it."""

    kind: str
    customers: int
    days: int
    log: pd.DataFrame


def world(seed: int) -> World:
    """Simulate a shop with 30 to 3,000 customers and two months to five years."""
    rng = np.random.default_rng([16, seed])
    kind = KINDS[seed % len(KINDS)]
    n, days = (int(np.exp(rng.uniform(*np.log(r)))) for r in ((30, 3000), (60, 1825)))
    r, gap = rng.choice([0.25, 0.5, 1, 2, 5]), np.exp(rng.uniform(*np.log([15, 300])))
    parameters = Parameters(r, r * gap, rng.choice([0.3, 0.8, 2]), rng.choice([2.4, 5.0]))
    arrivals = max(1, int((days + 1) * rng.choice([1, 0.5, 0.17])))
    spend = Spend(p=rng.choice([1.5, 6.25]), q=rng.choice([2.5, 3.74]), v=15)
    scenario = Scenario(parameters, START, START + dt.timedelta(days), arrivals, spend=spend)
    log = simulate_transactions(scenario, n, seed=seed).log
    return World(kind, n, days, _changed(log, kind, rng, n, days))


def _changed(
    log: pd.DataFrame, kind: str, rng: np.random.Generator, n: int, days: int
) -> pd.DataFrame:
    day = (log["date"] - pd.Timestamp(START)).dt.days.to_numpy()
    if kind == "season":  # eight times as many orders before Christmas as in June
        likely = 0.15 + 0.85 * np.exp(3 * np.cos(2 * np.pi * (day - 350) / 365) - 3)
        return log[(rng.random(len(log)) < likely) | (log.index < 10)]
    if kind == "opening":  # on some days of the week only
        open_days = rng.choice([1, 3, 6])
        day = np.minimum(day - day % 7 + day % 7 % open_days, days)
        return log.assign(date=pd.Timestamp(START) + pd.to_timedelta(day, unit="D"))
    if kind == "lognormal":
        own = rng.normal(0, 0.7, n + 1)[log["customer_id"].to_numpy()]
        return log.assign(amount=np.exp(3.5 + own + rng.normal(0, 1, len(log))).round(2))
    if kind == "whales":
        large = log["customer_id"].isin(rng.choice(n, max(1, n // 50)) + 1)
        return log.assign(amount=np.where(large, 10 * log["amount"], log["amount"]))
    if kind == "business":
        firm = log["customer_id"].isin(rng.choice(n, max(1, n // 20)) + 1)
        times = np.where(firm, 1 + 5 * rng.pareto(3, len(log)), 1)
        return log.assign(amount=(log["amount"] * times).round(2))
    if kind == "lines":  # about ten lines of an order
        log = log.loc[log.index.repeat(rng.geometric(0.1, len(log)))]
        return log.assign(amount=(log["amount"] * rng.lognormal(0, 1, len(log))).round(2) + 0.01)
    return log


def alarms(seeds: range) -> list[tuple[int, str]]:
    found = []
    for seed in seeds:
        clean = world(seed)
        read = read_transactions(clean.log)
        lost = [f"{rows} {reason}" for reason, rows in read.ledger.rejected]
        found += [(seed, f"{clean.kind}: {what}") for what in (*read.report.warnings, *lost)]
    return found


def test_clean_shops_raise_no_suspicion_and_lose_no_row():
    assert alarms(range(21)) == []


@pytest.mark.long
def test_of_a_thousand_clean_shops_none_raises_a_suspicion_or_loses_a_row():
    assert alarms(range(1000)) == []


@pytest.mark.parametrize("name", ["apparel", "grocery", "online_retail_II_2009_2010"])
def test_the_developing_logs_raise_no_suspicion(name):
    path = DEVELOPING / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the repository")
    assert read_transactions(path).report.warnings == ()


def test_cdnow_raises_no_suspicion():
    assert load_cdnow().report.warnings == load_cdnow(sample=True).report.warnings == ()


# ---- values that cannot be read


def shop(rows: int = 1000, **columns: Any) -> pd.DataFrame:
    """A log of 100 customers, ten rows each, over 250 days; every row costs 10."""
    k = np.arange(rows)
    dates = pd.Timestamp("2023-01-01") + pd.to_timedelta(k % 250, unit="D")
    frame = {"customer": [f"c{i}" for i in k % 100], "date": dates.strftime("%Y-%m-%d")}
    return pd.DataFrame(frame | {"amount": np.full(rows, "10")} | columns)


def spoilt(n: int, column: str, value: str, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    frame = shop() if frame is None else frame
    frame.loc[frame.index[:n], column] = value
    return frame


def warnings(frame: pd.DataFrame, **options: Any) -> tuple[str, ...]:
    return read_transactions(frame, **options).report.warnings


def test_one_row_in_a_hundred_may_be_unreadable_without_a_word():
    assert warnings(spoilt(10, "amount", "abc")) == ()


def test_more_unreadable_rows_are_a_warning_with_share_values_and_option():
    frame = spoilt(11, "amount", "abc")
    frame.loc[[3, 4, 5], "amount"] = "x y"
    frame.loc[[6, 7], "amount"] = "12 or 13"
    frame.loc[8, "amount"] = "fourth"
    (line,) = warnings(frame)
    assert line.startswith("11 rows cannot be read (for example ")
    for words in ("'abc'", "'x y'", "'12 or 13'", "1.1% of 1,000 rows, more than 1%", "--amount"):
        assert words in line
    assert "fourth" not in line


def test_up_to_a_fifth_of_the_rows_a_warning_suffices():
    assert len(warnings(spoilt(200, "date", "soon"))) == 1


def test_more_than_a_fifth_is_refused_unless_it_is_allowed():
    frame = spoilt(201, "date", "soon")
    with pytest.raises(InputError, match=r"201 rows .*'soon'.*20% of 1,000.*--allow-rejected"):
        read_transactions(frame)
    log = read_transactions(frame, allow_rejected=True)
    assert log.ledger.rejected == (("unreadable date", 201),)
    assert "more than 20%" in log.report.warnings[0]


def test_a_handful_of_rows_is_no_share():
    frame = shop(90)
    assert len(warnings(spoilt(19, "date", "soon", frame))) == 1
    with pytest.raises(InputError, match="20 rows cannot be read"):
        read_transactions(spoilt(20, "date", "soon", frame))


def test_customers_who_lose_every_row_count_too():
    frame = pd.concat([shop(), shop(2, customer=["p", "q"], amount=["a", "b"])])
    (line,) = warnings(frame.reset_index(drop=True))
    assert "2.0% of the customers, who lose every row" in line


def test_money_in_rows_without_a_readable_date_counts_too():
    frame = shop()
    frame.loc[[0, 1, 2], ["date", "amount"]] = ["soon", "50"]
    (line,) = warnings(frame)
    assert "1.5% of the money" in line
    frame = shop()
    frame.loc[[0, 1], ["date", "amount"]] = ["Total", "9980"]  # two rows may be totals
    assert warnings(frame) == ()


def test_rows_without_a_customer_are_usual_up_to_a_half():
    assert warnings(spoilt(500, "customer", "")) == ()
    (line,) = warnings(spoilt(501, "customer", ""))
    assert '501 of 1,000 rows (50%, more than 50%) are left out as "no customer"' in line
    assert "--customer" in line


def test_the_model_file_is_told_no_value_of_the_log():
    report = read_transactions(spoilt(50, "amount", "secret")).report
    assert "'secret'" in report.warnings[0]
    assert report.without_values == (report.warnings[0].replace(" (for example 'secret')", ""),)


# ---- one value that dominates


def test_a_value_is_compared_with_the_root_mean_square_of_all_others():
    it = Largest(value=50, total=50 + 3 + 4, squares=2500 + 9 + 16, n=3)
    assert it.share == pytest.approx(50 / 57)
    assert it.times == pytest.approx(50 / 12.5**0.5)
    huge = Largest(value=1e9, total=1e9 + 1900, squares=1e18, n=20)  # the others' squares are lost
    assert huge.times == pytest.approx(1e7)


@pytest.mark.parametrize(("n", "expected"), [(19, None), (20, (0.25, 3))])
def test_few_values_are_not_compared(n, expected):
    it = Largest(value=100, total=100 + (n - 1), squares=100**2 + n - 1, n=n)
    assert it.beyond(((0.25, 3),)) == expected


@pytest.mark.parametrize("limit", [(0.5, 3), (0.25, 30)])
def test_a_value_must_exceed_both_limits(limit):
    it = Largest(value=20, total=40, squares=400 + 20, n=21)  # a share of 0.5, 20 times the others
    assert it.beyond((limit,)) is None
    assert it.beyond((limit, (0.49, 19))) == (0.49, 19)


def test_a_customer_who_stands_for_many_is_named_with_the_option():
    # Beside 100 customers with ten rows each.
    few = pd.concat([shop(), shop(330, customer="web")], ignore_index=True)
    assert warnings(few) == ()
    many = pd.concat([shop(), shop(340, customer="web")], ignore_index=True)
    (line,) = warnings(many)
    assert line.startswith("one customer ('web') has 25% of the rows, 34 times a typical one")
    assert "--no-customer ID" in line
    assert "web" not in read_transactions(many).report.without_values[0]


def test_an_id_that_is_a_number_may_dominate_too():
    frame = shop().assign(customer=np.arange(1000) % 100 + 1)
    many = pd.concat([frame, shop(900, customer=0)], ignore_index=True)
    (line,) = warnings(many)
    assert "one customer ('0') has 47% of the rows" in line


@pytest.mark.parametrize(("rows", "told"), [(10, False), (12, True)])
def test_a_word_for_nobody_needs_a_hundredth_of_the_rows_only(rows, told):
    frame = pd.concat([shop(), shop(rows, customer="Walk-in")], ignore_index=True)
    lines = warnings(frame)
    assert len(lines) == told
    if told:
        assert "('Walk-in')" in lines[0]
        assert "1.2% of the rows" in lines[0]


def test_one_purchase_that_is_most_of_the_money_is_named_and_kept():
    frame = spoilt(1, "amount", "1000000000")
    log = read_transactions(frame)
    (line,) = log.report.warnings
    assert line.startswith("one row of 2023-01-01 (1,000,000,000.00) makes up 99.999% of all money")
    assert "--no-spend" in line
    assert log.ledger.rejected == ()


@pytest.mark.parametrize(("amount", "told"), [("3300", False), ("3400", True)])
def test_a_purchase_is_absurd_from_a_quarter_of_the_money_and_300_typical_ones(amount, told):
    # Beside 999 rows of 10, a quarter of all money is 3,330.
    assert len(warnings(spoilt(1, "amount", amount))) == told


def test_a_customer_with_most_of_the_money_in_many_rows_is_named():
    frame = shop()
    frame.loc[frame["customer"] == "c7", "amount"] = "2000"
    (line,) = warnings(frame)
    assert line.startswith("one customer ('c7') has 67% of the money, 200 times a typical one")


@pytest.mark.parametrize(("rows", "told"), [(325, False), (332, True)])
def test_a_day_with_more_than_a_quarter_of_the_rows_is_named(rows, told):
    frame = pd.concat([shop(), shop(rows, date="2023-03-03")], ignore_index=True)
    lines = warnings(frame)
    assert len(lines) == told
    assert all("2023-03-03" in line and "--date" in line for line in lines)


def test_an_id_that_dominates_does_not_hide_another_that_stands_for_nobody():
    ids = [f"c{i}" for i in range(300)] * 2 + ["kiosk"] * 400 + ["guest"] * 100
    log = pd.DataFrame(
        {
            "customer": ids,
            "date": pd.date_range("2023-01-01", periods=365).take(
                [i % 365 for i in range(len(ids))]
            ),
        }
    )
    told = " ".join(read_transactions(log).report.warnings)
    assert "'kiosk'" in told
    assert "'guest'" in told


def test_the_questions_to_the_engine_are_few():
    connection = ibis.duckdb.connect()
    table = connection.create_table("orders", shop().assign(amount=10.0))
    asked = []
    answer = connection.to_pyarrow

    def count(*args: Any, **options: Any) -> Any:
        asked.append(args)
        return answer(*args, **options)

    connection.to_pyarrow = count
    read_transactions(table)
    assert 2 <= len(asked) <= 5  # by day, by customer; dates take one or two, ids one or two


def test_the_thresholds_of_the_table_are_those_of_the_code():
    words = judge.__doc__ or ""
    for share, times in (*judge.CUSTOMER_ROWS, *judge.CUSTOMER_MONEY, *judge.DAY_ROWS):
        assert f"{share * 100:g} %," in words
        assert f"\n                        {times} " in words
