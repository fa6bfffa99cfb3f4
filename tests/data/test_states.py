"""The door: what a frame of customers must hold, and what is said when it does not."""

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.states import States
from bayes_clv.errors import InputError

GOOD = {
    "frequency": [0, 2, 5],
    "recency": [0.0, 30.0, 80.5],
    "T": [10.0, 30.0, 90.0],
    "monetary_value": [0.0, 12.5, 7.25],
}


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({**GOOD, **columns})


def refusal(customers: pd.DataFrame) -> str:
    with pytest.raises(InputError) as caught:
        States.from_frame(customers)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_valid_frame_becomes_float_arrays_in_the_order_of_its_rows() -> None:
    customers = frame().sample(frac=1, random_state=1)
    states = States.from_frame(customers[["T", "monetary_value", "recency", "frequency"]])
    assert len(states) == 3
    assert states.segment is None
    for name in GOOD:
        values = getattr(states, name)
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, customers[name])


def test_idle_time_is_the_time_since_the_last_purchase() -> None:
    np.testing.assert_array_equal(States.from_frame(frame()).idle_time, [10.0, 0.0, 9.5])


def test_spend_is_unknown_of_one_time_buyers_and_segments_do_not_see_one_of_zero() -> None:
    states = States(
        frequency=np.array([0.0, 0.0, 1.0, 1.0, 1.0]),
        recency=np.zeros(5),
        T=np.ones(5),
        monetary_value=np.array([0.0, 9.0, 0.0, np.nan, 9.0]),
    )
    np.testing.assert_array_equal(states.repeat_spend, [np.nan, np.nan, np.nan, np.nan, 9.0])
    np.testing.assert_array_equal(states.known_spend, [np.nan, np.nan, 0.0, np.nan, 9.0])


def test_states_read_a_frame_without_altering_it() -> None:
    customers = frame(segment=["a", "b", "c"])
    before = customers.copy(deep=True)
    States.from_frame(customers)
    pd.testing.assert_frame_equal(customers, before)


def test_an_empty_frame_holds_no_states() -> None:
    assert len(States.from_frame(frame().iloc[:0])) == 0


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_a_missing_monetary_value_is_allowed_and_read_as_nan(missing: object) -> None:
    states = States.from_frame(frame(monetary_value=[1.0, missing, 2.0]))
    np.testing.assert_array_equal(states.monetary_value, [1.0, np.nan, 2.0])


def test_monetary_value_is_unknown_for_everybody_where_there_is_no_such_column() -> None:
    states = States.from_frame(frame().drop(columns="monetary_value"))
    assert np.isnan(states.monetary_value).all()
    assert len(states.monetary_value) == 3


def test_nullable_and_textual_numbers_are_numbers() -> None:
    customers = frame(frequency=pd.array([0, 2, 5], dtype="Int64"), T=["10", "30", "90"])
    states = States.from_frame(customers)
    np.testing.assert_array_equal(states.frequency, [0, 2, 5])
    np.testing.assert_array_equal(states.T, [10, 30, 90])


def test_segments_of_the_user_are_kept_as_they_are() -> None:
    states = States.from_frame(frame(segment=["web", None, "shop"]))
    assert states.segment is not None
    assert [states.segment[0], states.segment[2]] == ["web", "shop"]
    assert pd.isna(states.segment[1])


@pytest.mark.parametrize("lost", [["frequency"], ["recency"], ["T"], ["recency", "T"]])
def test_missing_columns_are_named_beside_those_that_are_there(lost: list[str]) -> None:
    message = refusal(frame().drop(columns=lost))
    assert message.startswith(f"customers lack {', '.join(lost)};")
    have = [name for name in GOOD if name not in lost]
    assert message.endswith(f"and have {', '.join(have)}")


def test_a_frame_without_columns_is_said_to_have_nothing() -> None:
    assert refusal(pd.DataFrame()).endswith("and have nothing")


@pytest.mark.parametrize(
    ("column", "values", "rule", "row", "seen"),
    [
        ("frequency", [0, -2, 5], "must not be negative", 1, "-2"),
        ("frequency", [0, 2, 2.5], "must be a whole number", 2, "2.5"),
        ("frequency", [0, np.nan, 5], "must be finite", 1, "nan"),
        ("frequency", [0, 2, np.inf], "must be finite", 2, "inf"),
        ("T", [-1.0, 30.0, 90.0], "must not be negative", 0, "-1.0"),
        ("T", [10.0, np.nan, 90.0], "must be finite", 1, "nan"),
        ("T", [10.0, 30.0, np.inf], "must be finite", 2, "inf"),
        ("recency", [0.0, -3.0, 80.5], "must not be negative", 1, "-3.0"),
        ("recency", [0.0, np.nan, 80.5], "must be finite", 1, "nan"),
        ("recency", [0.0, 30.0, -np.inf], "must be finite", 2, "-inf"),
        ("recency", [0.0, 30.5, 80.5], "must not exceed T", 1, "30.5"),
        ("recency", [4.0, 30.0, 80.5], "must be 0 where frequency is 0", 0, "4.0"),
        ("monetary_value", [0.0, -0.01, 7.0], "must not be negative", 1, "-0.01"),
        ("monetary_value", [0.0, 1.0, np.inf], "must be finite", 2, "inf"),
    ],
)
def test_a_broken_rule_is_refused_by_argument_rule_row_and_value(
    column: str, values: list[float], rule: str, row: int, seen: str
) -> None:
    customers = frame(**{column: pd.Series(values)})
    message = refusal(customers)
    assert message.startswith(f"{column} {rule}: row {row} has ")
    assert float(message.split()[-1]) == pytest.approx(float(seen), nan_ok=True)


def test_a_customer_is_named_by_id_where_there_is_one() -> None:
    message = refusal(frame(T=[10.0, 30.0, 80.0], customer_id=["C-1", "C-2", "C-3"]))
    assert message == "recency must not exceed T: customer C-3 has 80.5"


@pytest.mark.parametrize("customer", [17, 9_007_199_254_740_993])
def test_a_customer_whose_id_is_a_whole_number_is_named_digit_by_digit(customer: int) -> None:
    message = refusal(frame(T=[10.0, 30.0, 80.0], customer_id=[1, 2, customer]))
    assert message == f"recency must not exceed T: customer {customer} has 80.5"


def test_the_first_of_several_is_shown_and_the_others_are_counted() -> None:
    message = refusal(frame(frequency=[0, -1, -7]))
    assert "row 1 has -1" in message
    assert message.endswith("(and 1 more)")


def test_rows_are_counted_by_position_whatever_the_index() -> None:
    assert ": row 1 has" in refusal(frame(frequency=[0, -1, 5]).set_index(pd.Index([7, 8, 9])))


@pytest.mark.parametrize("column", list(GOOD))
def test_words_and_truth_values_are_not_numbers(column: str) -> None:
    word = refusal(frame(**{column: ["1", "many", "2"]}))
    assert word.startswith(f"{column} must be a number: ")
    assert "many" in word
    truth = refusal(frame(**{column: [True, False, True]}))
    assert truth == f"{column} must be a number, but the column holds true and false"
