"""The landmark table against the identity that justifies it, and against plain loops."""

import dataclasses
import datetime as dt
from collections import Counter
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_clv.data.reading import read_transactions
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.errors import InputError
from bayes_clv.inference.landmarks import (
    LandmarkTable,
    check_landmarks,
    landmark_dates,
    landmark_table,
    previous_weights,
    softened,
)
from bayes_clv.models.bgnbd import Dropout, Parameters, log_likelihood
from bayes_clv.segments.expressions import segment_code, thousandths
from bayes_clv.segments.rules import POPULATION, RFMRule

START = dt.date(2021, 1, 1)
END = dt.date(2021, 12, 31)
N_SEGMENTS = 3

# Relative: sums of a few hundred logarithms, added up in another order.
TELESCOPE = 1e-9


@dataclass(frozen=True)
class History:
    """States at all landmarks with a random segment each, as a frame and as a table of DuckDB."""

    frame: pd.DataFrame
    table: LandmarkTable
    end: dt.date

    @property
    def at_end(self) -> pd.DataFrame:
        """States at the observation end of customers who were observed for a day or more."""
        last = pd.to_datetime(self.frame["landmark"]) == pd.Timestamp(self.end)
        return self.frame[last & (self.frame["T"] > 0)]


def simulate(seed: int, n_customers: int = 40, n_landmarks: int = 4) -> History:
    """Buy on random days of a year; some customers begin on a landmark, some on the last day."""
    rng = np.random.default_rng(seed)
    days = rng.choice(np.arange(1, 365), size=n_landmarks - 1, replace=False)
    landmarks = [START + dt.timedelta(days=int(day)) for day in days] + [END]
    span = (END - START).days
    log = []
    for customer in range(n_customers):
        first = int(rng.choice([rng.integers(0, span + 1), *days, span]))
        repeats = rng.geometric(0.3) - 1
        bought = {first, *rng.integers(first, span + 1, size=repeats).tolist()}
        log += [(customer, START + dt.timedelta(days=day)) for day in bought]
    log.append((n_customers, START))
    transactions = read_transactions(
        pd.DataFrame(log, columns=["customer_id", "date"]), end=END.isoformat()
    )
    states = durations(summarise(transactions, landmarks)).to_pandas()
    states = states.sample(frac=1, random_state=seed).reset_index(drop=True)
    states["code"] = rng.integers(POPULATION, N_SEGMENTS, size=len(states))
    states["landmark"] = pd.to_datetime(states["landmark"]).dt.date
    columns = ["customer_id", "landmark", "frequency", "recency", "T", "code"]
    return History(states, landmark_table(ibis.memtable(states[columns])), END)


def rows(table: LandmarkTable) -> dict[tuple[float, ...], float]:
    keys = zip(table.segment, table.frequency, table.recency, table.T, strict=True)
    return dict(zip(keys, table.weight, strict=True))


def by_hand(frame: pd.DataFrame) -> dict[tuple[float, ...], float]:
    """Customer by customer, landmark by landmark, as DESIGN's formula reads."""
    weights: Counter[tuple[float, ...]] = Counter()
    for _, states in frame.groupby("customer_id"):
        seen = [row for row in states.sort_values("landmark").itertuples() if row.T > 0]
        for k, now in enumerate(seen):
            before = seen[k - 1] if k else None
            segment = POPULATION if before is None else before.code
            weights[segment, now.frequency, now.recency, now.T] += 1
            if before is not None:
                weights[segment, before.frequency, before.recency, before.T] -= 1
    return {key: weight for key, weight in weights.items() if weight}


def parameters(rng: np.random.Generator) -> Parameters:
    r, alpha, a, b = np.exp(rng.uniform(-2.0, 2.0, size=4))
    return Parameters(r, alpha * 50, a, b)


def total(table: LandmarkTable, theta: Parameters, dropout: Dropout) -> float:
    each = log_likelihood(theta, table.frequency, table.recency, table.T, dropout)
    return float(table.weight @ each)


@pytest.mark.parametrize("dropout", list(Dropout))
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), n_landmarks=st.integers(1, 6))
def test_with_equal_parameters_the_table_telescopes_to_the_ordinary_likelihood(
    dropout: Dropout, seed: int, n_landmarks: int
) -> None:
    history = simulate(seed, n_landmarks=n_landmarks)
    theta = parameters(np.random.default_rng(seed))
    at_end = history.at_end
    ordinary = log_likelihood(theta, at_end["frequency"], at_end["recency"], at_end["T"], dropout)
    assert ordinary.sum() != 0
    assert total(history.table, theta, dropout) == pytest.approx(ordinary.sum(), rel=TELESCOPE)


def test_the_sum_depends_on_the_segments_once_their_parameters_differ() -> None:
    history = simulate(3)
    table, rng = history.table, np.random.default_rng(3)
    groups = [parameters(rng) for _ in range(N_SEGMENTS + 1)]
    stacked = Parameters(
        *(np.array([getattr(g, name) for g in groups]) for name in ("r", "alpha", "a", "b"))
    )
    unequal = total(table, stacked[table.segment], Dropout.AFTER_REPEAT)
    for group in groups:
        assert abs(unequal / total(table, group, Dropout.AFTER_REPEAT) - 1) > 1e-4


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), n_landmarks=st.integers(1, 6))
def test_the_table_equals_one_built_customer_by_customer(seed: int, n_landmarks: int) -> None:
    history = simulate(seed, n_landmarks=n_landmarks)
    reference = by_hand(history.frame)
    assert rows(history.table) == reference
    assert len(history.table) == len(reference)


def test_weights_count_the_customers_observed_for_a_day_and_their_mean_T() -> None:
    for seed in range(5):
        history = simulate(seed)
        at_end = history.at_end
        everybody = history.frame["customer_id"].nunique()
        assert 0 < len(at_end) < everybody, "some must begin on the last day"
        assert history.table.n_customers == len(at_end)
        assert history.table.mean_T == pytest.approx(at_end["T"].mean(), rel=1e-12)


def test_rows_are_distinct_whole_and_none_weighs_zero_though_some_weigh_less() -> None:
    table = simulate(1, n_customers=200).table
    assert len(rows(table)) == len(table)
    assert (table.weight != 0).all()
    assert (table.weight < 0).any()
    assert (table.weight % 1 == 0).all()
    assert (table.T > 0).all()
    assert table.segment.dtype == np.int64
    assert {array.dtype.name for array in (table.frequency, table.recency, table.T)} == {"float64"}


SOFT = RFMRule((5.0, 15.0, 40.0, 90.0), (1.0, 2.0, 4.0), (), 0.6)


def soft_history(seed: int, n_customers: int = 60, n_landmarks: int = 4) -> History:
    """The same with the weights of a rule instead of random segments."""
    frame = simulate(seed, n_customers, n_landmarks).frame.assign(monetary_value=np.nan)
    states = thousandths(SOFT, ibis.memtable(frame.drop(columns="code")))
    return History(states.to_pandas(), landmark_table(states), END)


def softly_by_hand(frame: pd.DataFrame) -> dict[tuple[float, ...], int]:
    """Customer by customer, landmark by landmark, segment by segment, in thousandths."""
    weights: Counter[tuple[float, ...]] = Counter()
    for _, states in frame.groupby("customer_id"):
        seen = [row for row in states.sort_values("landmark").itertuples() if row.T > 0]
        for k, now in enumerate(seen):
            state = (now.frequency, now.recency, now.T)
            if k == 0:
                weights[POPULATION, *state] += 1000
                continue
            before = seen[k - 1]
            shares = SOFT.weights_one(before.frequency, before.recency, before.T)
            rounded = np.floor(1000 * np.cumsum(shares) + 0.5).astype(int)
            for segment, share in enumerate(np.diff(rounded, prepend=0).tolist()):
                weights[segment, *state] += share
                weights[segment, before.frequency, before.recency, before.T] -= share
    return {key: weight for key, weight in weights.items() if weight}


@pytest.mark.parametrize(("seed", "n_landmarks"), [(1, 1), (2, 2), (3, 4), (4, 6)])
def test_with_soft_segments_each_stretch_enters_under_every_segment_by_its_weight(
    seed: int, n_landmarks: int
) -> None:
    history = soft_history(seed, n_landmarks=n_landmarks)
    reference = softly_by_hand(history.frame)
    found = {key: round(1000 * weight) for key, weight in rows(history.table).items()}
    assert found == reference
    assert len(history.table) == len(reference)
    thousandth = 1000 * history.table.weight
    np.testing.assert_allclose(thousandth, np.round(thousandth), rtol=0, atol=1e-9)
    order = list(rows(history.table))
    assert order == sorted(order), "equal logs must make equal tables"
    if n_landmarks > 1:
        assert len({segment for segment, *_ in reference}) > 5


def test_soft_weights_count_customers_and_telescope_as_whole_ones_do() -> None:
    history = soft_history(5, n_customers=300)
    at_end, theta = history.at_end, parameters(np.random.default_rng(5))
    assert history.table.n_customers == len(at_end)
    assert history.table.mean_T == pytest.approx(at_end["T"].mean(), rel=1e-12)
    for dropout in Dropout:
        each = log_likelihood(theta, at_end["frequency"], at_end["recency"], at_end["T"], dropout)
        assert total(history.table, theta, dropout) == pytest.approx(each.sum(), rel=TELESCOPE)


def test_soft_weights_of_a_hard_rule_make_the_table_of_its_codes() -> None:
    hard = dataclasses.replace(SOFT, bandwidth=None)
    frame = simulate(6, n_customers=200).frame.assign(monetary_value=np.nan)
    states = ibis.memtable(frame.drop(columns="code"))
    soft = landmark_table(thousandths(hard, states))
    coded = landmark_table(states.mutate(code=segment_code(hard, states)))
    for name in ("segment", "frequency", "recency", "T", "weight"):
        one, other = getattr(soft, name), getattr(coded, name)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_anything_with_weights_per_segment_unfolds_into_rows_per_segment() -> None:
    stretches = pd.DataFrame(
        {
            "days": [30.0, 30.0, 60.0, 90.0],
            "w0": [1000, 250, 0, 400],
            "w1": [0, 750, 1000, -400],
            "w2": [0, 0, 0, 1000],
        }
    )
    found = softened(ibis.memtable(stretches), ("days",))
    assert {name: column.tolist() for name, column in found.items()} == {
        "segment": [0, 0, 1, 1, 1, 2],
        "days": [30.0, 90.0, 30.0, 60.0, 90.0, 90.0],
        "weight": [1.25, 0.4, 0.75, 1.0, -0.4, 1.0],
    }


def test_weights_at_the_landmark_before_are_none_at_the_first() -> None:
    history = pd.DataFrame(
        {
            "customer_id": [2, 1, 1, 2, 1],
            "landmark": [START + dt.timedelta(days=day) for day in (30, 60, 30, 60, 90)],
            "w0": [100, 200, 300, 400, 500],
            "w1": [900, 800, 700, 600, 500],
        }
    )
    table = ibis.memtable(history)
    before = table.select("customer_id", "landmark", **previous_weights(table))
    found = before.order_by("customer_id", "landmark").to_pandas()
    assert found["w0"].tolist() == [0, 300, 200, 0, 100]
    assert found["w1"].tolist() == [0, 700, 800, 0, 900]


def test_a_soft_log_in_which_nobody_is_observed_for_a_day_is_refused_in_one_line() -> None:
    frame = pd.DataFrame([state(1, 30, 0, 0.0, 0.0, 0)]).assign(w0=1000)
    with pytest.raises(InputError, match=r"^no customer was observed for a day or more"):
        landmark_table(ibis.memtable(frame))


def state(
    customer: int, landmark: int, x: int, t_x: float, T: float, code: int
) -> dict[str, object]:
    day = START + dt.timedelta(days=landmark)
    return {
        "customer_id": customer,
        "landmark": day,
        "frequency": x,
        "recency": t_x,
        "T": T,
        "code": code,
    }


def table_of(*states: dict[str, object]) -> LandmarkTable:
    return landmark_table(ibis.memtable(pd.DataFrame(list(states))))


def test_one_customer_at_three_landmarks_makes_five_rows_chosen_by_the_state_before() -> None:
    table = table_of(
        state(1, 30, 0, 0.0, 10.0, 2),
        state(1, 60, 1, 20.0, 40.0, 0),
        state(1, 90, 3, 60.0, 70.0, 1),
    )
    assert rows(table) == {
        (POPULATION, 0, 0.0, 10.0): 1,
        (2, 0, 0.0, 10.0): -1,
        (2, 1, 20.0, 40.0): 1,
        (0, 1, 20.0, 40.0): -1,
        (0, 3, 60.0, 70.0): 1,
    }


def test_what_a_customer_did_between_landmarks_in_one_segment_telescopes_away() -> None:
    table = table_of(*(state(1, 30 * k, 0, 0.0, 30.0 * k - 20, 1) for k in (1, 2, 3)))
    assert rows(table) == {
        (POPULATION, 0, 0.0, 10.0): 1,
        (1, 0, 0.0, 10.0): -1,
        (1, 0, 0.0, 70.0): 1,
    }


def test_a_landmark_on_the_day_of_the_first_purchase_chooses_no_segment() -> None:
    table = table_of(state(1, 30, 0, 0.0, 0.0, 2), state(1, 60, 1, 20.0, 30.0, 0))
    assert rows(table) == {(POPULATION, 1, 20.0, 30.0): 1}


def test_equal_customers_add_up() -> None:
    one = table_of(*(state(1, 30 * k, 0, 0.0, 30.0 * k, 0) for k in (1, 2)))
    many = table_of(*(state(c, 30 * k, 0, 0.0, 30.0 * k, 0) for k in (1, 2) for c in range(50)))
    assert rows(many) == {key: 50 * weight for key, weight in rows(one).items()}
    assert many.n_customers == 50


def test_a_log_in_which_nobody_is_observed_for_a_day_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^no customer was observed for a day or more") as caught:
        table_of(state(1, 30, 0, 0.0, 0.0, 0), state(2, 30, 0, 0.0, 0.0, 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n", [1, 2, 4, 7, 364])
def test_landmarks_are_spread_evenly_and_the_last_is_the_end(n: int) -> None:
    dates = landmark_dates(START, END, n)
    assert len(dates) == n
    assert dates == tuple(sorted(set(dates)))
    assert dates[-1] == END
    gaps = np.diff([0, *((date - START).days for date in dates)])
    even = (END - START).days / n
    assert np.abs(gaps - even).max() <= 1


def test_landmarks_never_fall_on_the_first_day_nor_twice_on_one_day() -> None:
    end = START + dt.timedelta(days=3)
    assert landmark_dates(START, end, 50) == tuple(START + dt.timedelta(days=k) for k in (1, 2, 3))


@pytest.mark.parametrize("n", [0, -3])
def test_fewer_than_one_landmark_is_refused_by_name_and_value(n: int) -> None:
    with pytest.raises(InputError, match=f"^landmarks must be at least 1: {n}$"):
        landmark_dates(START, END, n)


def test_the_users_own_landmarks_are_sorted_and_the_end_is_added_once() -> None:
    may, july = dt.date(2021, 5, 1), dt.date(2021, 7, 1)
    assert check_landmarks((july, may, july), START, END) == (may, july, END)
    assert check_landmarks((END, may), START, END) == (may, END)
    assert check_landmarks((), START, END) == (END,)


@pytest.mark.parametrize("outside", [START, START - dt.timedelta(1), END + dt.timedelta(1)])
def test_landmarks_outside_the_window_are_refused_by_rule_and_value(outside: dt.date) -> None:
    expected = f"^landmarks must lie after {START} and not after {END}: {outside}$"
    with pytest.raises(InputError, match=expected):
        check_landmarks((dt.date(2021, 5, 1), outside), START, END)
