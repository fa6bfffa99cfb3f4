import datetime as dt
import inspect
import math
import random
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.ledger import Ledger
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.rfm import customers, durations, sample_customers, summarise
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError

START = dt.date(2020, 2, 20)
ENDS = ("1997-03-31", "1997-09-30", "1998-06-30")
GOLDEN = Path(__file__).parent / "golden" / "cdnow_rfm_summary_pymc_marketing.csv.gz"


def _reference(log: list[tuple[Any, ...]], landmarks: list[dt.date]) -> list[tuple[Any, ...]]:
    """The definition in plain loops: customer, landmark, first, last, x, spend, total, segment."""
    states = []
    for landmark in landmarks:
        days: dict[str, dict[dt.date, float]] = defaultdict(lambda: defaultdict(float))
        segments: dict[tuple[str, dt.date], list[str]] = defaultdict(list)
        for customer, date, amount, segment in log:
            if date <= landmark:
                days[customer][date] += amount
                segments[customer, date].append(segment)
        for customer, spends in days.items():
            first, last = min(spends), max(spends)
            repeats = [spend for day, spend in spends.items() if day != first]
            value = math.fsum(repeats) / len(repeats) if repeats else 0.0
            segment = max(segments[customer, last])
            total = math.fsum(spends.values())
            states.append((customer, landmark, first, last, len(repeats), value, total, segment))
    return sorted(states)


def _summary(log: list[tuple[Any, ...]], landmarks: list[dt.date]) -> list[tuple[Any, ...]]:
    frame = pd.DataFrame(log, columns=["customer", "date", "amount", "shop"])
    states = summarise(read_transactions(frame, segment="shop"), landmarks)
    assert states.columns == (
        "customer_id",
        "landmark",
        "first",
        "last",
        "frequency",
        "monetary_value",
        "total_spend",
        "segment",
    )
    return sorted(tuple(row.values()) for row in states.to_pyarrow().to_pylist())


def _assert_equal(actual: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> None:
    assert [(*a[:5], a[7]) for a in actual] == [(*e[:5], e[7]) for e in expected]
    np.testing.assert_allclose([a[5:7] for a in actual], [e[5:7] for e in expected], rtol=1e-12)


rows = st.tuples(
    st.sampled_from(["ana", "Ёлка", "李", "z 1"]),
    st.integers(0, 40).map(lambda days: START + dt.timedelta(days)),
    st.integers(1, 10_000).map(lambda cents: cents / 100),
    st.sampled_from(["north", "south", "zürich"]),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    log=st.lists(rows, min_size=1, max_size=40),
    offsets=st.sets(st.integers(-3, 40), min_size=1, max_size=4),
)
def test_the_summary_is_its_definition_whatever_the_log_and_the_landmarks(log, offsets):
    end = max(date for _, date, _, _ in log)
    landmarks = sorted({min(START + dt.timedelta(days), end) for days in offsets})
    _assert_equal(_summary(log, landmarks), _reference(log, landmarks))


def test_the_summary_of_a_larger_log_is_its_definition_at_six_landmarks():
    rng = random.Random(20240)
    log = [
        (
            f"c{int(300 * rng.random() ** 2)}",
            START + dt.timedelta(rng.randrange(400)),
            rng.randrange(1, 9_999) / 100,
            rng.choice("ABC"),
        )
        for _ in range(4_000)
    ]
    end = max(date for _, date, _, _ in log)
    landmarks = [START + dt.timedelta(days) for days in (0, 50, 51, 200, 333)] + [end]
    expected = _reference(log, landmarks)
    assert len({landmark for _, landmark, *_ in expected}) == 6
    _assert_equal(_summary(log, landmarks), expected)


def net_of_refunds(log: pd.DataFrame, landmark: dt.date) -> dict[str, tuple[float, float]]:
    """Mean repeat spend and total of each customer at a landmark, net, in plain loops."""
    answer = {}
    for customer, rows in log[log.date <= landmark].groupby("customer"):
        spends: dict[dt.date, float] = defaultdict(float)
        for row in rows[rows.quantity > 0].itertuples():
            spends[row.date] += row.quantity * row.price
        if not spends:
            continue
        for row in rows[rows.quantity < 0].itertuples():
            before = [day for day in spends if day <= row.date]
            if before:
                spends[max(before)] += row.quantity * row.price
        first = min(spends)
        left = {day: max(spend, 0.0) for day, spend in spends.items()}
        repeats = [spend for day, spend in left.items() if day != first]
        mean = math.fsum(repeats) / len(repeats) if repeats else 0.0
        answer[customer] = mean, math.fsum(left.values())
    return answer


def test_net_of_refunds_a_purchase_day_is_worth_what_was_kept_of_it():
    rng = np.random.default_rng(12)
    n = 3000
    log = pd.DataFrame(
        {
            "customer": rng.integers(1, 200, n),
            "date": [START + dt.timedelta(days) for days in rng.integers(0, 200, n).tolist()],
            "quantity": rng.choice([1, 2, 3, -1, -4], n, p=[0.4, 0.2, 0.1, 0.2, 0.1]),
            "price": rng.integers(1, 50, n) / 4,  # exact sums
        }
    )
    transactions = read_transactions(log, refunds="net")
    gross = read_transactions(log)
    assert transactions.ledger == gross.ledger
    landmarks = [START + dt.timedelta(days) for days in (60, 120, 190)]
    states = summarise(transactions, landmarks).to_pandas()
    before = summarise(gross, landmarks).to_pandas()
    for landmark, rows in states.groupby("landmark"):
        expected = net_of_refunds(log, landmark.date())
        assert len(rows) == len(expected) > 100
        for row in rows.itertuples():
            mean, total = expected[row.customer_id]
            assert row.monetary_value == pytest.approx(mean, rel=1e-12)
            assert row.total_spend == pytest.approx(total, rel=1e-12)
    assert states.total_spend.sum() < 0.9 * before.total_spend.sum()
    key = ["customer_id", "landmark", "frequency", "last"]
    pd.testing.assert_frame_equal(
        states[key].sort_values(key, ignore_index=True),
        before[key].sort_values(key, ignore_index=True),
    )
    # A log that ends earlier knows of no later refund.
    earlier = customers(transactions.until(landmarks[0])).set_index("customer_id")
    then = states[states.landmark == str(landmarks[0])].set_index("customer_id")
    pd.testing.assert_series_equal(earlier.total_spend, then.total_spend.sort_index())


def test_refunds_are_ignored_or_netted():
    log = pd.DataFrame({"customer": ["a"], "date": [START], "amount": [1.0]})
    with pytest.raises(InputError, match='refunds must be "ignore" or "net": \'gross\''):
        read_transactions(log, refunds="gross")
    assert read_transactions(log).refunds is None


def test_the_order_of_rows_and_of_landmarks_does_not_matter():
    rng = random.Random(7)
    log = [
        (f"c{rng.randrange(30)}", START + dt.timedelta(rng.randrange(90)), float(i + 1), "s")
        for i in range(500)
    ]
    end = max(date for _, date, _, _ in log)
    landmarks = [START + dt.timedelta(30), end]
    expected = _summary(log, landmarks)
    rng.shuffle(log)
    _assert_equal(_summary(log, landmarks[::-1]), expected)


@pytest.mark.parametrize("end", ENDS)
def test_the_summary_of_cdnow_is_that_of_lifetimes_row_by_row(end):
    pytest.importorskip("lifetimes", exc_type=ImportError)
    from lifetimes.utils import summary_data_from_transaction_data

    path = Path(inspect.getfile(load_cdnow)).with_name("cdnow.parquet")
    expected = summary_data_from_transaction_data(
        pd.read_parquet(path).astype({"date": "datetime64[ns]"}),
        "customer_id",
        "date",
        monetary_value_col="amount",
        observation_period_end=end,
    ).reset_index()
    landmarks = [dt.date.fromisoformat(day) for day in ENDS]
    states = summarise(load_cdnow(), landmarks)
    _assert_states_equal(states.filter(states.landmark == dt.date.fromisoformat(end)), expected)


def test_the_summary_of_cdnow_is_that_of_pymc_marketing_row_by_row():
    expected = pd.read_csv(GOLDEN)
    assert len(expected) == 23_570
    _assert_states_equal(summarise(load_cdnow(), [dt.date(1997, 9, 30)]), expected)


def _assert_states_equal(states: Any, expected: pd.DataFrame) -> None:
    columns = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    actual = durations(states).select(*columns).order_by("customer_id").to_pandas()
    pd.testing.assert_frame_equal(
        actual,
        expected[columns].sort_values("customer_id", ignore_index=True),
        check_dtype=False,
        rtol=1e-11,
        atol=0,
    )
    assert (actual.frequency > 0).sum() > 1_000


def test_customers_are_summarised_at_the_end_in_the_order_of_their_ids():
    log = pd.DataFrame(
        {
            "customer": [9, 2, 9, 9, 2],
            "date": ["2020-01-01", "2020-01-05", "2020-01-04", "2020-01-04", "2020-01-05"],
            "amount": [100.0, 7.0, 2.0, 3.0, 8.0],
        }
    )
    expected = pd.DataFrame(
        {
            "customer_id": [2, 9],
            "frequency": [0, 1],
            "recency": [0.0, 3.0],
            "T": [5.0, 9.0],
            "monetary_value": [0.0, 5.0],
            "total_spend": [15.0, 105.0],
        }
    )
    actual = customers(read_transactions(log, end=dt.date(2020, 1, 10)))
    pd.testing.assert_frame_equal(actual, expected)


def test_a_log_without_amounts_has_a_summary_without_values():
    log = pd.DataFrame(
        {"customer": ["a", "a", "b"], "date": ["2020-01-01", "2020-01-02", "2020-01-02"]}
    )
    transactions = read_transactions(log)
    summary = customers(transactions)
    assert not transactions.has_amounts
    assert summary.frequency.tolist() == [1, 0]
    assert summary.monetary_value.dtype == np.float64
    assert summary.monetary_value.isna().all()


def test_small_repeat_purchases_survive_a_huge_first_one():
    log = pd.DataFrame(
        {
            "customer": "a",
            "date": ["2020-01-01", "2020-01-02", "2020-01-03"],
            "amount": [1e17, 0.1, 0.3],
        }
    )
    assert customers(read_transactions(log)).monetary_value[0] == pytest.approx(0.2, rel=1e-15)


def test_the_segment_is_that_of_the_latest_row_and_the_largest_of_its_day():
    log = pd.DataFrame(
        {
            "customer": "a",
            "date": ["2020-01-01", "2020-01-03", "2020-01-03", "2020-01-02"],
            "tier": ["gold", "iron", "silver", "tin"],
        }
    )
    transactions = read_transactions(log, segment="tier")
    states = summarise(transactions, [dt.date(2020, 1, day) for day in (1, 2, 3)])
    assert states.order_by("landmark").to_pandas().segment.tolist() == ["gold", "tin", "silver"]


def test_a_landmark_before_the_first_purchase_has_no_customers():
    states = summarise(load_cdnow(sample=True), [dt.date(1996, 12, 31), dt.date(1997, 1, 1)])
    assert set(states.to_pandas().landmark.astype(str)) == {"1997-01-01"}


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        ([], "at least one date"),
        ([dt.date(1998, 7, 1)], "must not be after the observation end, 1998-06-30"),
        ([dt.date(1998, 1, 1)] * 2, "landmarks must differ"),
        (["tomorrow"], "must be a date such as"),
    ],
)
def test_landmarks_that_make_no_sense_are_refused(landmarks, message):
    with pytest.raises(InputError, match=message):
        summarise(load_cdnow(sample=True), landmarks)


def test_durations_count_calendar_days_across_leap_days():
    day = dt.date
    states = ibis.memtable(
        {"first": [day(2020, 2, 28)], "last": [day(2020, 3, 1)], "landmark": [day(2021, 2, 28)]}
    )
    assert durations(states).select("recency", "T").to_pandas().values.tolist() == [[2.0, 366.0]]


def _keys(states: Any) -> list[tuple[Any, ...]]:
    frame = states.select("customer_id", "landmark").to_pandas()
    return sorted(frame.astype(str).itertuples(index=False, name=None))


def _cdnow_states() -> Any:
    return summarise(load_cdnow(), [dt.date.fromisoformat(day) for day in ENDS]).cache()


def test_a_sample_holds_every_state_of_its_customers_and_about_as_many_as_asked_for():
    states = _cdnow_states()
    everything = _keys(states)
    for wanted in (600, 7_000, 50_000):
        kept = _keys(sample_customers(states, wanted, seed=4))
        assert len(kept) == pytest.approx(wanted, rel=0.02, abs=6)
        chosen = {customer for customer, _ in kept}
        assert kept == [key for key in everything if key[0] in chosen]


def test_a_sample_of_as_many_states_as_there_are_is_everybody():
    states = _cdnow_states()
    everything = _keys(states)
    assert _keys(sample_customers(states, len(everything), seed=0)) == everything


def test_a_sample_depends_on_the_seed_and_not_on_the_order_of_rows():
    states = _cdnow_states()
    first = _keys(sample_customers(states, 5_000, seed=1))
    assert _keys(sample_customers(states, 5_000, seed=1)) == first
    shuffled = ibis.memtable(states.to_pandas().sample(frac=1, random_state=2))
    assert _keys(sample_customers(shuffled, 5_000, seed=1)) == [
        (customer, f"{landmark[:10]}") for customer, landmark in first
    ]
    assert _keys(sample_customers(states, 5_000, seed=2)) != first


@pytest.mark.parametrize("period", [2, 3, 4, 7, 10, 100])
def test_a_sample_is_fair_to_every_residue_of_the_ids(period):
    n, wanted = 100_000, 10_000
    states = ibis.memtable({"customer_id": list(range(n)), "landmark": [START] * n})
    kept = sample_customers(states, wanted, seed=3).to_pandas()["customer_id"]
    assert stats.binomtest(len(kept), n, wanted / n).pvalue > 1e-3
    assert stats.chisquare(np.bincount(kept % period, minlength=period)).pvalue > 1e-3
    assert stats.chisquare(np.histogram(kept, 50, (0, n))[0]).pvalue > 1e-3


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "snowflake", "bigquery", "trino"])
def test_the_query_can_be_written_for_other_engines(dialect):
    table = ibis.table(
        {"customer_id": "int64", "date": "date", "amount": "float64", "segment": "string"},
        name="log",
    )
    end = dt.date(2020, 1, 1)
    transactions = Transactions(table, Ledger(1), START, end, has_amounts=True, source="log")
    sql = ibis.to_sql(durations(summarise(transactions, [dt.date(2019, 1, 1), end])), dialect)
    # However many landmarks, the log itself appears once: no copy of it per landmark.
    assert len(re.findall(r"FROM [`\"]?log", sql)) == 1
