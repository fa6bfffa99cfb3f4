"""The backtest of money: its scores by hand, its forecasts on customers whose truth is known."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.reading import read_transactions
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation.backtest.spend import (
    MoneyForecasts,
    backtest_money,
    by_decile,
    gini,
    scores_of,
    spend_after,
)
from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.evaluation.simulate.logs import Scenario, simulate_transactions
from bayes_clv.models.bgnbd import Parameters

START = dt.date(2023, 1, 1)


@pytest.fixture(scope="module")
def log() -> Transactions:
    rates = Parameters(*map(np.array, (0.8, 30.0, 0.7, 2.5)))
    scenario = Scenario(rates, START, dt.date(2024, 12, 31), acquisition_days=365)
    return read_transactions(simulate_transactions(scenario, 3_000, seed=11).log)


def test_what_was_paid_afterwards_is_the_difference_of_two_sums() -> None:
    days = [START + dt.timedelta(days) for days in (0, 5, 30, 31, 2, 40, 35, 60)]
    log = read_transactions(
        pd.DataFrame(
            {
                "customer": ["a", "a", "a", "a", "b", "b", "new", "a"],
                "date": days,
                "amount": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0],
            }
        )
    )
    known, actual = spend_after(log, Split(START + dt.timedelta(30), 20))
    assert known.customer_id.tolist() == ["a", "b"]
    assert known.frequency.tolist() == [2, 0]
    assert actual.tolist() == [8.0, 32.0]


def test_the_gini_is_that_of_the_lorenz_curve() -> None:
    assert gini(np.array([1.0, 2, 3, 4]), np.ones(4)) == pytest.approx(0)
    assert gini(np.array([4.0, 1, 2, 3]), np.array([1.0, 0, 0, 0])) == pytest.approx(0.75)
    assert gini(np.array([1.0, 2, 3, 4]), np.array([1.0, 0, 0, 0])) == pytest.approx(-0.75)
    assert gini(np.zeros(4), np.array([1.0, 0, 0, 3])) == pytest.approx(0), "no ranking at all"


def test_scores_are_those_of_the_definitions() -> None:
    rng = np.random.default_rng(0)
    actual, expected = rng.gamma(1, 10, (2, 1000))
    below = rng.random(1000)
    made = MoneyForecasts(actual, expected, below, below, rng.normal(10_000, 100, 4000))
    scores = scores_of(made)
    assert scores["mae"] == pytest.approx(np.mean(np.abs(actual - expected)))
    assert scores["coverage_90"] == pytest.approx(np.mean((below > 0.05) & (below < 0.95)))
    assert scores["coverage_50"] == pytest.approx(np.mean((below > 0.25) & (below < 0.75)))
    assert scores["upper"] - scores["lower"] == pytest.approx(2 * 164.5, rel=0.05)
    assert [scores["lower"], scores["upper"]] == np.quantile(made.total, [0.05, 0.95]).tolist()
    assert [scores["expected"], scores["actual"]] == pytest.approx([expected.sum(), actual.sum()])
    assert scores["customers"] == 1000
    place = actual[np.argsort(expected)] @ np.arange(1, 1001)
    best = np.sort(actual) @ np.arange(1, 1001)
    even = actual.sum() * 1001 / 2
    assert scores["gini"] == pytest.approx((place - even) / (best - even))
    deciles = by_decile(made)
    assert deciles.customers.sum() == 1000
    assert deciles.expected.is_monotonic_increasing
    assert (deciles.actual * deciles.customers).sum() == pytest.approx(actual.sum())
    tenth = np.argsort(expected)[-100:]
    assert deciles.iloc[-1].tolist() == pytest.approx(
        [10, 100, expected[tenth].mean(), actual[tenth].mean()]
    )


@pytest.mark.long
def test_simulated_customers_spend_what_was_said(log: Transactions) -> None:
    result = backtest_money(log, dt.date(2024, 3, 31), 180, draws=500)
    assert result.table.method.tolist() == ["pooled", "RFM"]
    for row in result.table.itertuples():
        assert row.sound
        of_99_percent = 1.57 * (row.upper - row.lower) / 2  # from that of 90 %
        assert abs(row.actual - row.expected) < of_99_percent < 0.12 * row.actual
        assert row.coverage_50 == pytest.approx(0.5, abs=0.04)
        assert row.coverage_90 == pytest.approx(0.9, abs=0.025)
        assert 0.5 < row.gini < 1
    pooled = result.deciles[result.deciles.method == "pooled"]
    best, last = pooled[pooled.decile == 10].iloc[0], pooled[pooled.decile <= 3]
    assert best.actual == pytest.approx(best.expected, rel=0.2)
    assert last.actual.mean() < best.actual / 10
    stored = result.to_dict()
    assert stored["origin"] == "2024-03-31"
    assert len(stored["deciles"]) == 20


def test_days_outside_of_the_log_and_logs_without_amounts_are_refused(log: Transactions) -> None:
    with pytest.raises(InputError, match="origin and horizon must lie within 2023-01-01 and"):
        backtest_money(log, dt.date(2024, 12, 1), 60)
    plain = pd.DataFrame({"customer": ["a", "a"], "date": [START, dt.date(2023, 6, 1)]})
    with pytest.raises(InputError, match="needs a log with amounts"):
        backtest_money(read_transactions(plain))
