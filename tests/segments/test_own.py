"""The user's own segments match by value; what does not match is counted and named."""

import datetime as dt
import warnings
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bayes_clv.data.reading import read_transactions
from bayes_clv.data.rfm import customers
from bayes_clv.data.states import States
from bayes_clv.errors import InputError, SegmentWarning
from bayes_clv.segments import own
from bayes_clv.segments.expressions import key_expression, segment_code
from bayes_clv.segments.rules import (
    POPULATION,
    ColumnRule,
    RFMRule,
    assign_named,
    code_of,
)

NAMES = ("1", "2", "01", "true", "web", "2024-05-01", "1.50", "north east")
RULE = ColumnRule(NAMES)
# A value, and the name that it stands for.
MATCHES = [
    (1, "1"),
    (1.0, "1"),
    ("1", "1"),
    ("1.0", "1"),
    (" 1.00 ", "1"),
    (np.int8(1), "1"),
    (np.float32(2), "2"),
    (Decimal("2.00"), "2"),
    ("01", "01"),
    (True, "true"),
    (np.True_, "true"),
    ("True", "true"),
    ("TRUE", "true"),
    ("web", "web"),
    (" web\t", "web"),
    (dt.date(2024, 5, 1), "2024-05-01"),
    (pd.Timestamp("2024-05-01"), "2024-05-01"),
    (np.datetime64("2024-05-01"), "2024-05-01"),
    ("2024-05-01 00:00:00", "2024-05-01"),
    ("2024-05-01T00:00:00.000", "2024-05-01"),
    ("1.50", "1.50"),
]
STRANGERS = ["Web", "001", 1.5, "1.5", False, "2024-05-01 10:00:00", 11, -1, "web 1", "1,0", "+1"]


def states(values: list[Any] | None) -> States:
    n = 3 if values is None else len(values)
    frame = pd.DataFrame({"frequency": 1, "recency": 5.0, "T": 9.0}, index=range(n))
    if values is not None:
        frame["segment"] = pd.Series(values, dtype=object)
    return States.from_frame(frame)


@pytest.mark.parametrize(("value", "name"), MATCHES, ids=repr)
def test_a_segment_is_matched_by_its_value(value: Any, name: str) -> None:
    code = NAMES.index(name)
    assert own.match(value, NAMES) == name
    assert RULE.assign(states([value])).tolist() == [code]
    assert code_of(RULE, value) == code


@pytest.mark.parametrize("value", STRANGERS, ids=repr)
def test_another_text_is_another_segment(value: Any) -> None:
    assert own.match(value, NAMES) is None
    assert RULE.assign(states([value])).tolist() == [POPULATION]
    with pytest.raises(InputError, match="segment must be one of 1, 2, 01"):
        code_of(RULE, value)


@pytest.mark.parametrize("value", [None, np.nan, pd.NA, pd.NaT, "", "  "], ids=repr)
def test_a_missing_segment_is_none(value: Any) -> None:
    assert own.text_of(value) is None
    assert RULE.assign(states([value, "web"])).tolist() == [POPULATION, NAMES.index("web")]


def test_a_name_itself_wins_over_another_of_its_value() -> None:
    names = ("1.0", "1")
    assert own.match("1.0", names) == "1.0"
    assert own.match(1.0, names) == "1"
    assert own.match("1.00", names) is None, "it may be either"
    assert own.match(1, ("1.0",)) == "1.0", "as older versions named it"


def test_the_engine_matches_as_python_does() -> None:
    texts = [own.text_of(value) for value, _ in MATCHES] + [own.text_of(it) for it in STRANGERS]
    table = ibis.memtable(pa.table({"segment": texts, "row": list(range(len(texts)))}))
    ordered = table.order_by("row")
    keys = ordered.select(key=key_expression(table.segment)).to_pyarrow()["key"].to_pylist()
    assert keys == [own.key(text or "") for text in texts]
    coded = table.select("row", code=segment_code(RULE, table)).order_by("row")
    assert coded.to_pyarrow()["code"].to_pylist() == RULE.assign(states(texts)).tolist()


@pytest.mark.parametrize("dtype", ["category", "Int64", "float64", "string", "str", object])
def test_columns_of_every_type_match(dtype: Any) -> None:
    frame = pd.DataFrame({"frequency": 1, "recency": 5.0, "T": 9.0}, index=range(2))
    frame["segment"] = pd.Series([1, 2]).astype(dtype)
    assert RULE.assign(States.from_frame(frame)).tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["int", "float", "csv", "csv of floats", "bool", "decimal"])
def test_reading_names_a_number_alike_whatever_its_type(kind: str, tmp_path: Any) -> None:
    values: Any = {
        "int": [1, 2],
        "float": [1.0, 2.0],
        "csv": ["1", "2"],
        "csv of floats": ["1.0", "2.0"],
        "bool": [True, False],
        "decimal": pd.Series([1, 2], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
    }[kind]
    log = pd.DataFrame({"customer": ["a", "b"], "date": "2024-01-01", "amount": 1.0, "g": values})
    source: Any = log
    if kind.startswith("csv"):
        source = tmp_path / "log.csv"
        log.to_csv(source, index=False)
    found = customers(read_transactions(source, segment="g"))["segment"].tolist()
    assert found == (["true", "false"] if kind == "bool" else ["1", "2"])


def test_a_number_that_is_missing_is_no_segment_called_nan() -> None:
    log = pd.DataFrame({"customer": ["a", "b", "c"], "date": "2024-01-01", "amount": 1.0})
    found = customers(read_transactions(log.assign(g=[1.0, np.nan, 2.5]), segment="g"))
    assert found["segment"].tolist() == ["1", "missing", "2.5"]


def test_unmatched_segments_are_counted_and_named_at_the_callers_line() -> None:
    values = ["web"] * 4 + ["shop"] * 3 + ["phone"] * 2 + [None] + [7.0]
    with pytest.warns(SegmentWarning) as warned:
        codes = assign_named(RULE, states(values))
    assert codes.tolist() == [NAMES.index("web")] * 4 + [POPULATION] * 7
    assert str(warned[0].message) == (
        "7 of 11 customers have a segment that the model does not know, 'shop' (3), 'phone' (2), "
        "missing (1), '7' (1), and are answered with the population's parameters; the model's "
        "segments are '1', '2', '01', 'true', 'web' and 3 more"
    )
    assert warned[0].filename == __file__


def test_a_missing_column_is_said_with_the_option_that_names_it() -> None:
    with pytest.warns(SegmentWarning, match=r"no segments were given, so all 3 .*--segment COLUMN"):
        assert set(assign_named(RULE, states(None))) == {POPULATION}
    with pytest.warns(SegmentWarning, match="no segments were given, so all 2 customers"):
        assign_named(RULE, states([None, np.nan]))


def test_a_column_of_strangers_is_refused() -> None:
    with pytest.raises(InputError, match=r"none of 2 customers has one: theirs are 'Web' \(2\)"):
        assign_named(RULE, states(["Web", "Web"]))


def test_nobody_is_warned_of_what_matches_or_of_the_population_by_name() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assign_named(RULE, states([1.0, "web", "population"]))
        assign_named(RULE, states(["population"]))
        assign_named(RULE, states([]))
        rfm = RFMRule((1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0), ())
        assign_named(rfm, states(None))


def test_long_names_and_many_names_stay_one_short_line() -> None:
    strangers = ["x" * 10_000 + str(it) for it in range(1000)]
    with pytest.warns(SegmentWarning) as warned:
        assign_named(
            ColumnRule(tuple("n" * 5000 + str(it) for it in range(99))),
            states([*strangers, "n" * 5000 + "1"]),
        )
    assert len(str(warned[0].message)) < 1200


def test_what_can_be_no_name_is_refused() -> None:
    with pytest.raises(InputError, match="segment must hold names"):
        RULE.assign(states([["web"], {}]))
