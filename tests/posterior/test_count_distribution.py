"""The predictive distribution against published probabilities and an independent evaluation."""

import mpmath as mp
import numpy as np
import pytest

from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.posterior.count_distribution import outcome_probabilities
from bayes_clv.posterior.mixtures import (
    expected_purchases,
    probability_of_purchase,
)
from bayes_clv.posterior.outcomes import sample_purchases
from bayes_clv.posterior.state_groups import Group
from tests.posterior.alone import evaluate, group_of, model_of, sample

# The estimates for CDNOW, in weeks, that BTYD's manual computes the probabilities below with.
BTYD = (0.243, 4.414, 0.793, 2.426)
REGULAR = (1.4, 40.0, 0.7, 6.0)
both_rules = pytest.mark.parametrize("dropout", list(Dropout), ids=str)


def one(values: tuple[float, ...], draws: int = 1) -> Parameters:
    return Parameters(*(np.full(draws, value) for value in values))


def block(*states: tuple[float, float, float]) -> Group:
    x, t_x, T = np.array(states, dtype=float).T
    assert len(set(x)) == 1
    return group_of(x[0], t_x, T)


@pytest.mark.parametrize(
    ("weeks", "purchases", "published"),
    [
        (2, 10, 1.07869e-07),
        (39, 0, 0.5737864),
        (30, 11, 0.0019995214),
        (30, 12, 0.0015170236),
        (30, 13, 0.0011633150),
    ],
)
def test_a_new_customer_has_the_purchase_counts_published(weeks, purchases, published):
    probabilities = outcome_probabilities(
        model_of(one(BTYD)), block((0, 0, 0)), weeks, least=purchases
    )
    assert probabilities[0, purchases] == pytest.approx(published, rel=5e-6)


def law(
    values: tuple[float, ...],
    state: tuple[float, float, float],
    horizon: float,
    dropout: Dropout,
    m: int,
) -> float:
    """P(m) by 40-digit sums of negative binomial and beta-geometric probabilities."""
    with mp.workdps(40):
        r, alpha, a, b = map(mp.mpf, values)
        x, t_x, T = map(mp.mpf, state)
        n = x + (dropout is Dropout.AFTER_ANY)
        odds = 0 if n == 0 else a / (b + n - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x)
        alive, k, q = 1 / (1 + odds), r + x, horizon / (alpha + T + horizon)

        def wants(j: int):
            return mp.binomial(k + j - 1, j) * (1 - q) ** k * q**j

        def stays(j: int):  # P(G > j)
            return mp.beta(a, b + n + j) / mp.beta(a, b + n)

        def above(j: int):
            return alive * (1 - mp.fsum(wants(i) for i in range(j + 1))) * stays(j)

        return float(1 - above(0) if m == 0 else above(m - 1) - above(m))


@both_rules
@pytest.mark.parametrize("state", [(0, 0, 0), (0, 0, 200), (3, 60, 100), (40, 300, 320)], ids=str)
@pytest.mark.parametrize("horizon", [7.0, 365.0])
def test_probabilities_are_those_of_the_smaller_of_two_counts(state, horizon, dropout):
    probabilities = outcome_probabilities(
        model_of(one(REGULAR), dropout), block(state), horizon, least=30
    )
    for m in (0, 1, 2, 7, 30):
        expected = law(REGULAR, state, horizon, dropout, m)
        assert probabilities[0, m] == pytest.approx(expected, rel=1e-9, abs=1e-17)


@both_rules
def test_they_sum_to_one_and_have_the_mean_and_the_zeros_of_the_other_measures(dropout):
    rng = np.random.default_rng(5)
    parameters = Parameters(*(v * np.exp(rng.normal(0, 0.3, 200)) for v in REGULAR))
    states = block(*((4.0, t_x, t_x + 20.0) for t_x in (30.0, 90.0, 400.0)))
    model = model_of(parameters, dropout)
    probabilities = outcome_probabilities(model, states, 180.0)
    assert np.all(probabilities >= 0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-8)
    counts = np.arange(probabilities.shape[1])
    asked = expected_purchases(180.0), probability_of_purchase(180.0)
    mean, buys = evaluate(model, states, *asked).mean(axis=2)
    np.testing.assert_allclose(probabilities @ counts, mean, rtol=1e-6)
    np.testing.assert_allclose(1 - probabilities[:, 0], buys, rtol=1e-12)


@both_rules
def test_drawn_outcomes_follow_them(dropout):
    n = 200_000
    states = block((2, 60, 90))
    model = model_of(one(REGULAR, n), dropout)
    (outcomes,) = sample(model, states, sample_purchases(90.0, seed=3))
    listed = outcome_probabilities(model_of(one(REGULAR), dropout), states, 90.0, least=7)[0]
    expected = n * np.append(listed[:7], 1 - listed[:7].sum())
    seen = np.bincount(np.minimum(outcomes, 7).astype(int), minlength=8)
    assert expected.min() > 20
    assert ((seen - expected) ** 2 / expected).sum() < 24.3  # 99.9 % of χ² with 7 degrees


def test_counts_beyond_the_room_at_first_are_listed():
    probabilities = outcome_probabilities(
        model_of(one((5.0, 2.0, 0.01, 5.0))), block((200, 100, 101)), 300.0
    )
    assert probabilities.shape[1] > 500
    np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-7)


def test_a_customer_who_buys_beyond_measure_gets_a_bounded_list():
    probabilities = outcome_probabilities(
        model_of(one((1e5, 1.0, 1e-6, 5.0))), block((1e5, 1, 1)), 1e4
    )
    assert probabilities.shape[1] == 2**14
    assert np.isfinite(probabilities).all()
