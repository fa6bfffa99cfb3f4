"""Forecasts for many customers against the law of one, and totals against simulation."""

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.states import States
from bayes_clv.evaluation.backtest.forecasts import Part, forecast
from bayes_clv.evaluation.backtest.scoring_rules import coverage
from bayes_clv.evaluation.simulate.lives import simulate_lives
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.posterior.count_distribution import outcome_probabilities
from bayes_clv.posterior.state_groups import StateGroup
from tests.conftest import customers_of

both_rules = pytest.mark.parametrize("dropout", list(Dropout), ids=str)
TRUTH = (0.6, 40.0, 0.8, 2.5)


def draws(groups: int = 3, n: int = 50) -> Parameters:
    rng = np.random.default_rng(8)
    return Parameters(*(value * np.exp(rng.normal(0, 0.2, (groups, n))) for value in TRUTH))


@both_rules
def test_each_customer_gets_the_law_of_the_state_and_segment(dropout):
    customers = pd.concat([customers_of(150)] * 2, ignore_index=True)
    states = States.from_frame(customers)
    rng = np.random.default_rng(1)
    codes, outcomes = rng.integers(-1, 2, len(states)), rng.integers(0, 6, len(states))
    made = forecast([Part(1.0, draws(), codes, dropout)], states, outcomes, 120.0)
    for i in range(0, len(states), 17):
        one = StateGroup(slice(0, 1), 0, states.frequency[i], states.recency[[i]], states.T[[i]])
        (law,) = outcome_probabilities(draws()[codes[i]], one, 120.0, dropout, least=6)
        y, counts = outcomes[i], np.arange(len(law))
        cumulative = np.cumsum(law)
        assert made.log_score[i] == pytest.approx(np.log(law[y]))
        assert made.expected[i] == pytest.approx(law @ counts, rel=1e-5, abs=1e-6)
        variance = law @ counts**2 - (law @ counts) ** 2
        assert made.variance[i] == pytest.approx(variance, rel=1e-3, abs=1e-4)
        assert made.chance[i] == pytest.approx(1 - law[0])
        crps = ((cumulative - (counts >= y)) ** 2).sum()
        assert made.crps[i] == pytest.approx(crps, rel=1e-6, abs=1e-6)
        assert made.up_to[i] == pytest.approx(cumulative[y])
        assert made.below[i] == pytest.approx(cumulative[y] - law[y], abs=1e-12)
    np.testing.assert_allclose(made.expected_total.mean(), made.expected.sum(), rtol=1e-6)
    np.testing.assert_array_equal(made.happened, outcomes > 0)


def alive_and_later(n: int, dropout: Dropout, seed: int = 3) -> tuple[States, np.ndarray]:
    """States at day 200, and purchases in the 100 days after, of customers simulated by TRUTH."""
    rng = np.random.default_rng(seed)
    lives = simulate_lives(
        Parameters(*map(np.float64, TRUTH)), np.full(n, 300.0), dropout=dropout, rng=rng
    )
    who, when = lives.repeats.customer, lives.repeats.time
    early = when <= 200
    x = np.bincount(who[early], minlength=n).astype(float)
    recency = np.zeros(n)
    recency[who[early]] = when[early]
    later = np.bincount(who[~early], minlength=n)
    return States(x, recency, np.full(n, 200.0), np.full(n, np.nan)), later


@both_rules
def test_at_the_true_parameters_forecasts_cover_as_they_say_and_the_total_is_within_its_interval(
    dropout,
):
    states, later = alive_and_later(20_000, dropout)
    truth = Parameters(*(np.full((1, 4), value) for value in TRUTH))
    made = forecast(
        [Part(1.0, truth, np.zeros(len(states), dtype=int), dropout)], states, later, 100.0
    )
    for level in (0.5, 0.9):
        assert coverage(made.below, made.up_to, level) == pytest.approx(level, abs=0.015)
    assert abs(made.expected.sum() - later.sum()) < 4 * np.sqrt(made.variance.sum())


def test_the_interval_of_the_total_holds_the_uncertainty_of_draws_and_of_outcomes():
    states, later = alive_and_later(2_000, Dropout.AFTER_REPEAT)
    codes = np.zeros(len(states), dtype=int)
    many = draws(groups=2, n=4000)
    made = forecast([Part(1.0, many, codes, Dropout.AFTER_REPEAT)], states, later, 100.0)
    lower, upper = made.total_interval(0.9)
    sd = np.sqrt(made.expected_total.var() + made.variance.sum())
    assert upper - lower == pytest.approx(2 * 1.645 * sd, rel=0.1)
    assert made.total_interval(0.9) == (lower, upper)
