"""Columns of numbers: timedeltas become days, dates and truth values are refused."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_clv.data.floats import floats
from bayes_clv.data.states import States
from bayes_clv.errors import InputError

HOURS = [0, 36, 24 * 400]
DAYS = [0.0, 1.5, 400.0]
DURATIONS = pd.Series(pd.to_timedelta(HOURS, unit="h"))
DATES = pd.Series(pd.to_datetime(["2024-01-31"] * 3))


def arrow(column: pd.Series, kind: Any) -> pd.Series:
    return column.astype(pd.ArrowDtype(kind))


def refusal(column: pd.Series, *, is_duration: bool = True) -> str:
    with pytest.raises(InputError) as refused:
        floats(column, "recency", is_duration=is_duration)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    "column",
    [
        *(DURATIONS.astype(f"timedelta64[{unit}]") for unit in ("s", "ms", "us", "ns")),
        DURATIONS.astype(object),
        pd.Series([dt.timedelta(hours=it) for it in HOURS], dtype=object),
        pd.Series([np.timedelta64(it, "h") for it in HOURS], dtype=object),
        arrow(DURATIONS.astype("timedelta64[us]"), pa.duration("us")),
        DURATIONS.astype("category"),
    ],
    ids=lambda it: str(it.dtype),
)
def test_timedeltas_of_every_kind_are_days(column: pd.Series) -> None:
    assert floats(column, "recency", is_duration=True).tolist() == DAYS
    assert refusal(column, is_duration=False).endswith("but the column holds timedeltas")


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 20_000)), min_size=1, max_size=8))
def test_states_made_by_subtracting_dates_are_those_made_from_days(
    days: list[tuple[int, int]],
) -> None:
    recency, silent = np.array(days).T
    frame = pd.DataFrame({"frequency": (recency > 0).astype(int), "recency": recency})
    frame["T"] = recency + silent
    first = pd.Series(np.full(len(frame), np.datetime64("1900-01-01", "s")))
    dated = frame.assign(
        recency=(first + pd.to_timedelta(recency, unit="D")) - first,
        T=(first + pd.to_timedelta(frame["T"], unit="D")) - first,
    )
    assert str(dated["T"].dtype).startswith("timedelta64")
    expected, found = States.from_frame(frame), States.from_frame(dated)
    np.testing.assert_array_equal(found.recency, expected.recency)
    np.testing.assert_array_equal(found.T, expected.T)


@pytest.mark.parametrize(
    "column",
    [
        DATES,
        DATES.dt.tz_localize("UTC"),
        DATES.dt.date,
        DATES.astype(object),
        DATES.dt.to_period("M"),
        DATES.astype("category"),
        arrow(DATES, pa.timestamp("us")),
        arrow(DATES.dt.date, pa.date32()),
    ],
    ids=lambda it: str(it.dtype),
)
def test_dates_are_no_durations(column: pd.Series) -> None:
    words = refusal(column)
    assert words.startswith("recency must be a number of days or a timedelta; it is ")
    assert words.endswith("subtract the date of the first purchase")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pd.Series([True, False]), "holds true and false"),
        (pd.Series([1, True], dtype=object), "holds true and false"),
        (pd.Series([True, None], dtype="boolean"), "holds true and false"),
        (pd.Series([1j, 2.0]), "holds complex numbers"),
        (pd.Series([1, 2j], dtype=object), "holds complex numbers"),
        (pd.Series([dt.timedelta(1), 3.0], dtype=object), "mixes timedeltas with other values"),
        (pd.Series(["5 days"]), "'5 days'"),
        (pd.Series([[1], [2]]), "must be a number"),
    ],
)
def test_what_is_no_number_is_refused_by_name(column: pd.Series, words: str) -> None:
    message = refusal(column)
    assert message.startswith("recency must be a number")
    assert words in message


def test_missing_values_are_nan_and_numbers_of_all_kinds_are_numbers() -> None:
    gap = DURATIONS.where([True, False, True])
    np.testing.assert_array_equal(floats(gap, "T", is_duration=True), [0.0, np.nan, 400.0])
    for column in (
        pd.Series([1, 2], dtype="Int64"),
        pd.Series(["1", "2"]),
        pd.Series([Decimal(1), 2], dtype=object),
        pd.Series([1, 2], dtype="category"),
        arrow(pd.Series([1.0, 2.0]), pa.float64()),
    ):
        assert floats(column, "T").tolist() == [1.0, 2.0]


def test_frequency_and_spend_are_no_durations() -> None:
    frame = pd.DataFrame({"frequency": [1], "recency": [2.0], "T": [3.0]})
    for name in ("frequency", "monetary_value"):
        with pytest.raises(InputError, match=f"{name} must be a number, but the column holds time"):
            States.from_frame(frame.assign(**{name: pd.to_timedelta([5], unit="D")}))


def test_a_column_that_is_there_twice_is_refused() -> None:
    frame = pd.DataFrame([[1, 2.0, 2.0, 3.0]], columns=["frequency", "recency", "recency", "T"])
    with pytest.raises(InputError, match="must have one column recency"):
        States.from_frame(frame)
