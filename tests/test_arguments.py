"""Arguments: what has one plain meaning is converted, the rest is refused by name and value."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_clv import arguments
from bayes_clv.errors import InputError
from bayes_clv.models.bgnbd import Dropout

NO_NUMBERS = [
    True,
    np.True_,
    "90",
    b"90",
    None,
    np.nan,
    np.inf,
    -np.inf,
    1j,
    pd.NA,
    pd.NaT,
    [90],
    {90},
    np.array([90]),
    pd.Series([90]),
    dt.date(2024, 1, 1),
    Decimal("NaN"),
    10**400,
    int,
]
NINETIES = [90, 90.0, np.int32(90), np.float32(90), np.array(90), Decimal(90), Fraction(180, 2)]


def refusal(check: Any, *given: Any, **how: Any) -> str:
    with pytest.raises(InputError) as refused:
        check(*given, **how)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused_with_the_argument_and_the_value(value: Any) -> None:
    for check in (arguments.number, arguments.days, arguments.whole, arguments.whole_days):
        message = refusal(check, "horizon", value)
        assert message.startswith("horizon must be ")
        assert message.endswith(f": {arguments.shown(value)}")
    assert refusal(arguments.tails, value).startswith("level must lie between 0 and 1: ")
    assert refusal(arguments.seed, value).startswith("seed must ")


@pytest.mark.parametrize("value", NINETIES, ids=repr)
def test_a_number_of_any_kind_is_that_number(value: Any) -> None:
    for found in (arguments.number("x", value), arguments.days("x", value)):
        assert type(found) is float
        assert found == 90
    for whole in (arguments.whole("x", value), arguments.seed(value)):
        assert type(whole) is int
        assert whole == 90


@pytest.mark.parametrize("value", [2.5, Fraction(1, 2), np.float64(0.1)], ids=repr)
def test_a_fraction_is_no_whole_number(value: Any) -> None:
    assert refusal(arguments.whole, "draws", value).startswith("draws must be a whole number: ")


def test_bounds_are_part_of_the_rule() -> None:
    assert refusal(arguments.whole, "draws", 3, least=4) == "draws must be at least 4: 3"
    assert refusal(arguments.whole, "x", 9, most=4) == "x must be at most 4: 9"
    assert refusal(arguments.number, "margin", 0, above=0) == "margin must be a positive number: 0"
    assert refusal(arguments.number, "rate", -1, least=0) == "rate must be 0 or more: -1"
    words = "p must be a number above 0 and at most 1: 2"
    assert refusal(arguments.number, "p", 2, above=0, most=1) == words
    assert arguments.whole("draws", 2**60 + 1) == 2**60 + 1
    assert refusal(arguments.seed, -1) == "seed must not be negative: -1"


@given(days=st.integers(1, 10**6), unit=st.sampled_from(["D", "h", "m", "s", "ms", "us"]))
def test_a_timedelta_is_its_days(days: int, unit: str) -> None:
    duration = np.timedelta64(days, "D").astype(f"timedelta64[{unit}]")
    assert arguments.days("horizon", duration) == days
    assert arguments.days("horizon", dt.timedelta(days=days)) == days
    assert arguments.whole_days("period", duration) == days
    half = dt.timedelta(days=days, hours=12)
    assert arguments.days("horizon", half) == days + 0.5
    assert refusal(arguments.whole_days, "period", half).startswith("period must be a whole number")


def test_pandas_timedeltas_count_and_months_have_no_fixed_length() -> None:
    assert arguments.days("horizon", pd.Timedelta(weeks=2)) == 14
    for value in (np.timedelta64(1, "M"), np.timedelta64("NaT", "D"), dt.timedelta(0)):
        assert refusal(arguments.days, "horizon", value).startswith("horizon must be a positive")


@pytest.mark.parametrize("value", [0, 1, "yes", None, "True", [True]], ids=repr)
def test_only_true_and_false_are_flags(value: Any) -> None:
    words = f"fast must be True or False: {value!r}"
    assert refusal(arguments.flag, "fast", value) == words
    assert arguments.flag("fast", np.True_) is True


@pytest.mark.parametrize("value", ["nett", None, 1, ["net"], ""], ids=repr)
def test_a_choice_is_one_of_the_words(value: Any) -> None:
    words = f'refunds must be one of "ignore", "net": {value!r}'
    assert refusal(arguments.choice, "refunds", value, ("ignore", "net")) == words


def test_a_word_stands_for_the_member_of_an_enumeration() -> None:
    assert arguments.member("dropout", "after_any", Dropout) is Dropout.AFTER_ANY
    assert arguments.member("dropout", Dropout.AFTER_ANY, Dropout) is Dropout.AFTER_ANY
    assert "'never'" in refusal(arguments.member, "dropout", "never", Dropout)


def test_lists_hold_what_is_asked_for() -> None:
    assert arguments.wholes("n", [3, 5.0]) == (3, 5)
    assert "n must be a list of whole numbers: '35'" in refusal(arguments.wholes, "n", "35")
    assert refusal(arguments.wholes, "n", 3).startswith("n must be a list of whole numbers")
    assert arguments.instances("names", ["a"], str) == ("a",)
    for value in ("a", None, [1], []):
        assert refusal(arguments.instances, "names", value, int if value == "a" else str)


@pytest.mark.parametrize("value", ["", 5, None, ["a"]], ids=repr)
def test_a_path_is_text_or_a_path(value: Any) -> None:
    assert refusal(arguments.path, "path", value) == f"path must be the path of a file: {value!r}"
    assert arguments.path("path", Path("a") / "b") == "a/b"


def test_a_message_shows_neither_tables_nor_long_values() -> None:
    table = pd.DataFrame({"customer": ["Ada"]})
    assert arguments.shown(table) == "an object of type DataFrame"
    assert arguments.shown(pd.Series(["Ada"])) == "an object of type Series"
    assert len(arguments.shown("x" * 1000)) < 100
    assert arguments.shown("a\nb") == "'a\\nb'"
