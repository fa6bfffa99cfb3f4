"""The watched groups: who is in them, and intervals that hold what is simulated."""

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.states import States
from bayes_clv.evaluation.backtest.watched import COLUMNS, Watched, gone_silent, share_who_buy
from bayes_clv.segments.estimators import RFMSegmenter
from bayes_clv.segments.rules import RFMRule
from tests.conftest import customers_of


def test_the_corner_is_a_matter_of_purchases_and_mean_gaps() -> None:
    rows = [(8, 80, 180), (8, 80, 179), (7, 70, 900), (30, 300, 400), (30, 300, 399), (0, 0, 500)]
    frame = pd.DataFrame(rows, columns=["frequency", "recency", "T"])
    by_hand = [x >= 8 and T - t >= 10 * t / x for x, t, T in rows]
    assert gone_silent(States.from_frame(frame)).tolist() == by_hand
    assert by_hand == [True, False, False, True, False, False]


def test_the_cells_are_those_of_the_rule_one_customer_at_a_time() -> None:
    customers = customers_of(300)
    states = States.from_frame(customers)
    rule = RFMSegmenter().fit(customers).rule_
    assert isinstance(rule, RFMRule)
    rows, columns = rule.cells(states)
    spend = states.repeat_spend
    for i in range(len(states)):
        assert rows[i] == sum(states.idle_time[i] > np.array(rule.idle_cuts) + 1e-9)
        score = 1
        if states.frequency[i] > 0:
            score = 2 + sum(states.frequency[i] > np.array(rule.frequency_cuts) + 1e-9)
            if np.isfinite(spend[i]) and rule.monetary_cuts:
                money = 1 + sum(spend[i] > np.array(rule.monetary_cuts) * (1 + 1e-12))
                score = int(np.floor((score + money) / 2 + 0.5))
        assert columns[i] == score - 1


def test_every_customer_is_in_one_cell() -> None:
    subsets = Watched(customers_of(200)).subsets
    assert subsets.shape == (26, 200)
    assert (subsets[1:].sum(axis=0) == 1).all()


@pytest.mark.parametrize("shape", [0.1, 1.0, 5.0], ids="shape {}".format)
@pytest.mark.parametrize("uncertain", [0.05, 0.5], ids="spread {}".format)
def test_the_interval_is_that_of_simulated_customers(shape: float, uncertain: float) -> None:
    """Each customer buys or not, by a chance of the draw: no binomial is assumed."""
    rng = np.random.default_rng(3)
    n, draws = 60, 20_000
    base = rng.gamma(shape, 0.1 / shape, size=n)
    level = np.exp(uncertain * rng.standard_normal(draws))
    chances = np.minimum(base[:, None] * level, 0.95)
    mean, totals = chances.mean(axis=1), chances.sum(axis=0)
    simulated = (rng.random((n, draws)) < chances).sum(axis=0) / n
    made = share_who_buy(mean, totals, np.zeros(n, dtype=bool), np.random.default_rng(1))
    lower, upper = np.quantile(simulated, [0.05, 0.95], method="inverted_cdf")
    assert made["lower"] == pytest.approx(lower, abs=1.01 / n)
    assert made["upper"] == pytest.approx(upper, abs=1.01 / n)
    inside = (simulated >= made["lower"]) & (simulated <= made["upper"])
    assert inside.mean() >= 0.87
    assert made["forecast"] == pytest.approx(simulated.mean(), abs=0.003)
    assert made["z"] == pytest.approx(-simulated.mean() / simulated.std(), rel=0.08)


def test_a_group_without_customers_is_counted_and_no_more() -> None:
    nobody = np.zeros(0)
    rng = np.random.default_rng(0)
    made = share_who_buy(nobody, np.zeros(10), nobody.astype(bool), rng)
    assert made == {"customers": 0}
    sure = share_who_buy(np.zeros(3), np.zeros(10), np.zeros(3, dtype=bool), rng)
    assert (sure["lower"], sure["upper"], sure["z"]) == (0, 0, 0)
    assert set(sure) == set(COLUMNS)
