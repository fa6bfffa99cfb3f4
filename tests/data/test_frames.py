"""DataFrames: every kind of column is handed on exactly, and the caller's frame is not changed."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bayes_clv.data.reading import read_transactions
from bayes_clv.data.sources import open_source
from bayes_clv.errors import InputError


def _frame(customer: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer": customer, "date": pd.Timestamp("2020-01-01")})


def _ids(frame: pd.DataFrame) -> list[Any]:
    kept = frame.copy(deep=True)
    source = open_source(frame, None)
    roles = {"customer": source.columns.index("customer"), "date": source.columns.index("date")}
    found = source.load(roles).table.to_pyarrow()["customer"].to_pylist()
    pd.testing.assert_frame_equal(frame, kept)
    return found


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pd.Series([123, "123", "00123"], dtype=object), ["123", "123", "00123"]),
        (pd.Series([1.0, "x", None], dtype=object), ["1", "x", None]),
        (pd.Series([2**70 + 1, 2**70, -1], dtype=object), [str(2**70 + 1), str(2**70), "-1"]),
        (pd.Series([2**63, 1], dtype=object), [2**63, 1]),
        (pd.Series([2**62 + 1, None], dtype=object), [2**62 + 1, None]),
        (pd.array([2**53 + 1, None], dtype="Int64"), [2**53 + 1, None]),
        (np.array([2**64 - 1, 1], dtype="uint64"), [2**64 - 1, 1]),
        (pd.array(["a", None], dtype="string"), ["a", None]),
        (pd.array([7, None], dtype=pd.ArrowDtype(pa.int32())), [7, None]),
        (pd.Series(["a", "b"], dtype=pd.ArrowDtype(pa.dictionary("int8", "string"))), ["a", "b"]),
        (pd.Categorical([3, 1, None]), [3, 1, None]),
        (pd.Categorical(["b", "a"]), ["b", "a"]),
        (pd.Series([b"x", "y"], dtype=object), ["b'x'", "y"]),
    ],
)
def test_columns_of_every_kind_are_exact(ids, expected):
    found = _ids(_frame(ids))
    assert [str(v) if v is not None else None for v in found] == [
        str(v) if v is not None else None for v in expected
    ]


def test_an_index_with_a_name_is_a_column():
    frame = _frame(["a", "b"]).set_index("customer")
    assert open_source(frame, None).columns == ("customer", "date")
    assert _ids(frame) == ["a", "b"]
    both = _frame(["a", "b"]).assign(amount=1.0).set_index(["customer", "date"])
    assert sorted(read_transactions(both).table.customer_id.execute()) == ["a", "b"]
    twice = _frame(["a", "b"]).set_index("customer", drop=False)
    assert open_source(twice, None).columns == ("customer", "date")


def test_columns_of_several_levels_are_refused():
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    with pytest.raises(InputError, match=r"one level of labels.* have 2, such as \('a', 'x'\)"):
        read_transactions(frame)


def test_repeated_and_odd_labels_are_handed_on():
    frame = pd.DataFrame([["a", "2020-01-01", 1, 2, 3]], columns=["customer", "date", "x", "x", 0])
    assert open_source(frame, None).columns == ("customer", "date", "x", "x", "0")
    assert read_transactions(frame).ledger.rows_kept == 1


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "UTC", dt.timezone(dt.timedelta(hours=2))])
def test_the_day_of_a_zoned_column_is_its_own(zone):
    local = pd.to_datetime(["2020-01-01 00:30", "2020-01-02 23:30"]).tz_localize(zone)
    for dates in (local, local.as_unit("ns").astype(object)):
        frame = pd.DataFrame({"customer": ["a", "b"], "date": dates})
        days = sorted(read_transactions(frame).table.date.execute().astype(str))
        assert days == ["2020-01-01", "2020-01-02"]
