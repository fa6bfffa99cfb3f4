"""The table of stretches against the purchases themselves, and against the landmark table."""

import datetime as dt
from collections import Counter

import ibis
import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.reading import read_transactions
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.inference.landmarks import landmark_table
from bayes_clv.inference.stretches import StretchTable, stretch_table
from bayes_clv.models.bgnbd import Dropout, Parameters, log_likelihood
from bayes_clv.models.reactivation import Reactivation, log_likelihood_of_stretch
from bayes_clv.segments.expressions import thousandths
from bayes_clv.segments.rules import POPULATION, RFMRule

START = dt.date(2021, 1, 1)
LANDMARKS = (40, 41, 200, 364)  # days after the start; the last one is the observation end
COLUMNS = ("segment", "frequency", "recency", "T", "purchases", "last", "days")


def shop(seed: int, n_customers: int = 60) -> dict[int, list[int]]:
    """Purchase days of each customer; some begin on a landmark, some on the last day."""
    rng = np.random.default_rng(seed)
    days: dict[int, list[int]] = {n_customers: [0]}
    for customer in range(n_customers):
        first = int(rng.choice([rng.integers(0, 365), *LANDMARKS]))
        more = rng.integers(first, 365, size=rng.geometric(0.25) - 1)
        days[customer] = sorted({first, *map(int, more)})
    return days


def code_of(customer: int, landmark: int) -> int:
    """Any segment, fixed beforehand, among them the population."""
    return (7 * customer + 3 * landmark) % 4 + POPULATION


def tabled(days: dict[int, list[int]]) -> tuple[StretchTable, ibis.Table]:
    log = [
        (who, START + dt.timedelta(days=day)) for who, all_days in days.items() for day in all_days
    ]
    dates = [START + dt.timedelta(days=day) for day in LANDMARKS]
    transactions = read_transactions(
        pd.DataFrame(log, columns=["customer_id", "date"]), end=dates[-1].isoformat()
    )
    frame = durations(summarise(transactions, dates)).to_pandas()
    frame["landmark"] = pd.to_datetime(frame["landmark"]).dt.date
    frame["code"] = [
        code_of(int(who), (landmark - START).days)
        for who, landmark in zip(frame["customer_id"], frame["landmark"], strict=True)
    ]
    columns = ["customer_id", "landmark", "frequency", "recency", "T", "code"]
    states = ibis.memtable(frame[columns].sample(frac=1, random_state=1))
    return stretch_table(states), states


def by_hand(
    days: dict[int, list[int]],
) -> tuple[Counter[tuple[float, ...]], Counter[tuple[float, ...]]]:
    """Count stretches and first states, purchase by purchase."""
    stretches: Counter[tuple[float, ...]] = Counter()
    firsts: Counter[tuple[float, ...]] = Counter()
    for customer, bought in days.items():
        begun = [landmark for landmark in LANDMARKS if landmark > bought[0]]
        for k, landmark in enumerate(begun):
            known = [day for day in bought if day <= landmark]
            x, t_x, T = len(known) - 1, known[-1] - bought[0], landmark - bought[0]
            if k == 0:
                firsts[POPULATION, x, t_x, T] += 1
            if k + 1 < len(begun):
                since = [day - landmark for day in bought if landmark < day <= begun[k + 1]]
                last = max(since, default=0)
                segment = code_of(customer, landmark)
                stretches[segment, x, t_x, T, len(since), last, begun[k + 1] - landmark] += 1
    return stretches, firsts


@pytest.mark.parametrize("seed", range(4))
def test_the_table_is_what_counting_purchases_gives(seed: int) -> None:
    days = shop(seed)
    table, _ = tabled(days)
    stretches, firsts = by_hand(days)
    rows = zip(*(getattr(table, name).tolist() for name in COLUMNS), strict=True)
    assert dict(zip(rows, table.weight.tolist(), strict=True)) == stretches
    states = zip(*(getattr(table.first, name).tolist() for name in COLUMNS[:4]), strict=True)
    assert dict(zip(states, table.first.weight.tolist(), strict=True)) == firsts
    assert table.n_stretches == sum(stretches.values()) > 30
    assert {segment for segment, *_ in stretches} == {-1, 0, 1, 2}


@pytest.mark.parametrize("dropout", list(Dropout))
@pytest.mark.parametrize("seed", range(3))
def test_where_nobody_comes_back_it_is_the_landmark_likelihood(seed: int, dropout: Dropout) -> None:
    table, states = tabled(shop(seed))
    ordinary = landmark_table(states)
    r, alpha, a, b = np.exp(np.random.default_rng(seed).uniform(-1.0, 1.0, (4, 4)))
    theta = Parameters(r, 50 * alpha, a, b)

    def of_states(it):  # type: ignore[no-untyped-def]
        each = log_likelihood(theta[it.segment], it.frequency, it.recency, it.T, dropout)
        return it.weight @ each

    def with_chance(chance: float) -> float:
        back = Reactivation(np.float64(chance), np.float64(0.5), np.float64(30.0))
        columns = (getattr(table, name) for name in COLUMNS[1:])
        each = log_likelihood_of_stretch(theta[table.segment], back, *columns, dropout)
        return float(of_states(table.first) + table.weight @ each)

    assert with_chance(1e-300) == pytest.approx(of_states(ordinary), rel=1e-11)
    assert with_chance(0.05) != pytest.approx(of_states(ordinary), rel=1e-4)


def test_a_single_landmark_has_no_stretches() -> None:
    _, states = tabled(shop(0))
    only = states.filter(states.landmark == states.landmark.max())
    table = stretch_table(only)
    assert len(table) == 0
    assert len(table.first) > 0


def test_with_soft_segments_a_stretch_counts_for_every_segment_by_its_weight() -> None:
    rule = RFMRule((5.0, 15.0, 40.0, 90.0), (1.0, 2.0, 4.0), (), 0.6)
    days = shop(5)
    _, states = tabled(days)
    spendless = states.mutate(monetary_value=ibis.null("float64"))
    table = stretch_table(thousandths(rule, spendless))
    expected: Counter[tuple[float, ...]] = Counter()
    for (_, x, t_x, T, *since), count in by_hand(days)[0].items():
        rounded = np.floor(1000 * np.cumsum(rule.weights_one(x, t_x, T)) + 0.5).astype(int)
        for segment, share in enumerate(np.diff(rounded, prepend=0).tolist()):
            expected[segment, x, t_x, T, *since] += count * share
    rows = list(zip(*(getattr(table, name).tolist() for name in COLUMNS), strict=True))
    found = dict(zip(rows, np.round(1000 * table.weight).astype(int).tolist(), strict=True))
    assert found == {row: weight for row, weight in expected.items() if weight}
    assert rows == sorted(rows), "equal logs must make equal tables"
    assert len({row[0] for row in rows}) == len(rule.names)
    hard, _ = tabled(days)
    assert table.n_stretches == pytest.approx(hard.n_stretches, rel=1e-12)
    for name in COLUMNS[:4]:
        np.testing.assert_array_equal(getattr(table.first, name), getattr(hard.first, name))
