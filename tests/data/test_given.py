"""Logs and customers in the forms in which people hold them."""

import datetime as dt
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bayes_clv.data.given_customers import as_customers
from bayes_clv.data.given_log import as_log
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.rfm import customers, durations, summarise
from bayes_clv.errors import InputError

LOG = pd.DataFrame(
    {
        "customer_id": [1, 1, 1, 2],
        "date": ["2024-01-01", "2024-01-11", "2024-02-01", "2024-01-05"],
        "amount": [5.0, 7.0, 9.0, 1.0],
    }
)
SUMMARY = pd.DataFrame({"frequency": [2, 0], "recency": [31.0, 0.0], "T": [31.0, 27.0]})


@pytest.mark.parametrize("kind", ["path", "text", "frame", "ibis", "transactions"])
def test_a_log_may_be_given_in_every_form_that_reading_takes(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    LOG.to_csv(file, index=False)
    forms: dict[str, Any] = {
        "path": file,
        "text": str(file),
        "frame": LOG,
        "ibis": ibis.memtable(pa.Table.from_pandas(LOG, preserve_index=False)),
        "transactions": read_transactions(LOG),
    }
    log = as_log(forms[kind])
    assert (log.ledger.rows_kept, log.end) == (4, dt.date(2024, 2, 1))
    summary = customers(forms[kind])
    for name in SUMMARY:
        assert summary[name].tolist() == SUMMARY[name].tolist()


@pytest.mark.parametrize("value", [5, None, [LOG], {"date": []}, LOG.to_numpy(), b"a"], ids=type)
def test_what_is_no_log_is_refused_by_its_type(value: Any) -> None:
    for call in (as_log, customers, summarise):
        with pytest.raises(InputError, match=r"^transactions must be a path") as refused:
            call(value)
        assert str(refused.value).endswith(f"got {type(value).__name__}")


def test_a_summary_is_no_log_but_its_own_summary() -> None:
    with pytest.raises(InputError, match="one row per purchase"):
        as_log(SUMMARY)
    dated = SUMMARY.assign(T=pd.to_timedelta(SUMMARY["T"], unit="D"))
    pd.testing.assert_frame_equal(customers(dated), SUMMARY)
    with pytest.raises(InputError, match="recency must not exceed T"):
        customers(SUMMARY.assign(T=1.0))


def test_customers_may_be_a_log_or_a_table_of_another_kind() -> None:
    assert as_customers(SUMMARY) is SUMMARY
    assert as_customers(pa.Table.from_pandas(SUMMARY)).equals(SUMMARY)
    assert as_customers(read_transactions(LOG))["T"].tolist() == [31.0, 27.0]


@pytest.mark.parametrize("value", [5, None, [SUMMARY], SUMMARY.to_numpy(), "a.csv", Path("a.csv")])
def test_what_are_no_customers_is_refused_and_a_path_gets_advice(value: Any) -> None:
    with pytest.raises(InputError, match=r"^customers must be a pandas DataFrame") as refused:
        as_customers(value)
    assert f"got {type(value).__name__}" in str(refused.value)
    assert ("read_transactions('a.csv')" in str(refused.value)) == (str(value) == "a.csv")


@pytest.mark.parametrize(
    "end",
    [
        "2024-01-11",
        dt.date(2024, 1, 11),
        np.datetime64("2024-01-11"),
        pd.Timestamp("2024-01-11 09:00"),
    ],
)
def test_a_log_is_cut_at_a_day_in_any_form(end: Any) -> None:
    log = read_transactions(LOG).until(end)
    assert log.end == dt.date(2024, 1, 11)
    assert log.ledger.rows_kept == 3
    assert summarise(LOG, ["2024-01-11"]).count().execute() == 2


@pytest.mark.parametrize("end", [None, 5, "soon", "2024-02-30", pd.NaT, dt.timedelta(3), ["2024"]])
def test_what_is_no_day_is_refused(end: Any) -> None:
    with pytest.raises(InputError, match="end must be a date such as"):
        read_transactions(LOG).until(end)


@pytest.mark.parametrize("landmarks", ["2024-01-11", 3, dt.date(2024, 1, 11)])
def test_landmarks_are_a_list(landmarks: Any) -> None:
    with pytest.raises(InputError, match="landmarks must be a list of dates"):
        summarise(LOG, landmarks)


def test_durations_need_what_summarise_returns() -> None:
    with pytest.raises(InputError, match="states must be an Ibis table with first, last"):
        durations(SUMMARY)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("customer", 0),
        ("amount", ["amount"]),
        ("segment", True),
        ("table", 3),
        ("keep_zero_amounts", "no"),
        ("refunds", None),
        ("end", 5),
    ],
)
def test_options_of_reading_are_checked(option: str, value: Any) -> None:
    options: Any = {option: value}
    with pytest.raises(InputError, match=f"^{option} must be") as refused:
        read_transactions(LOG, **options)
    assert repr(value) in str(refused.value)
