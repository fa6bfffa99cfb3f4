"""Weights of a mixture: against brute force, against a bound, and never from the future."""

import datetime as dt
import itertools

import numpy as np
import pytest

from bayes_clv.errors import InputError
from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.evaluation.backtest.stacking import TOLERANCE, inner_split, stacking_weights


def score(log_scores: np.ndarray, weights: np.ndarray) -> float:
    return float(np.log(np.exp(log_scores) @ weights).mean())


def simplex(methods: int, steps: int) -> np.ndarray:
    """All weights in multiples of 1/steps."""
    cells = itertools.product(range(steps + 1), repeat=methods - 1)
    rows = [(*cell, steps - sum(cell)) for cell in cells if sum(cell) <= steps]
    return np.array(rows) / steps


@pytest.mark.parametrize("seed", range(6))
def test_no_point_of_a_fine_grid_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcomes = rng.poisson(rng.gamma(0.5, 2, size=400))
    rates = rng.gamma(2, 0.5, size=(400, 3)) * np.array([1.0, 2.0, 4.0])[rng.permutation(3)]
    log_factorial = np.array([np.log(np.arange(1, y + 1)).sum() for y in outcomes])
    log_scores = outcomes[:, None] * np.log(rates) - rates - log_factorial[:, None]
    weights = stacking_weights(log_scores)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    best = max(score(log_scores, it) for it in simplex(3, 100))
    assert score(log_scores, weights) >= best - TOLERANCE


def test_two_methods_have_the_maximum_that_a_derivative_finds() -> None:
    """f' = 0 at 2 · 0.4 / (0.1 + 0.4 w) = 0.4 / (0.5 − 0.4 w): w = 0.75"""
    log_scores = np.log([[0.5, 0.1], [0.5, 0.1], [0.1, 0.5]])
    weight = (2 * 0.5 - 0.1) / (3 * 0.4)
    np.testing.assert_allclose(stacking_weights(log_scores), [weight, 1 - weight], atol=5e-3)


def test_the_method_that_is_always_better_has_all_the_weight() -> None:
    log_scores = np.log(np.random.default_rng(1).uniform(0.2, 0.9, size=(300, 1)))
    weights = stacking_weights(np.hstack([log_scores - 0.3, log_scores, log_scores - 0.1]))
    assert weights[1] > 0.999


def test_weights_do_not_depend_on_factors_common_to_a_customer_nor_on_their_order() -> None:
    rng = np.random.default_rng(2)
    log_scores = np.log(rng.uniform(0.01, 1, size=(200, 4)))
    weights = stacking_weights(log_scores)
    shifted = log_scores - 2_000 * rng.random((200, 1))  # exp underflows
    np.testing.assert_allclose(stacking_weights(shifted), weights, atol=1e-6)
    np.testing.assert_allclose(stacking_weights(rng.permutation(log_scores)), weights, atol=1e-6)


def test_alike_methods_are_found_at_once_and_impossible_outcomes_are_borne() -> None:
    np.testing.assert_allclose(stacking_weights(np.full((50, 4), -1.0)), 0.25)
    log_scores = np.array([[-np.inf, -1.0], [-1.0, -np.inf]])
    np.testing.assert_allclose(stacking_weights(log_scores), 0.5)


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros((0, 2)),
        np.zeros((3, 0)),
        np.zeros(3),
        [[np.nan, 0]],
        [[-np.inf] * 2],
        [[np.inf, 0]],
    ],
    ids=range(6),
)
def test_scores_that_decide_nothing_are_refused(scores: np.ndarray) -> None:
    with pytest.raises(InputError, match="log_scores must"):
        stacking_weights(np.asarray(scores))


@pytest.mark.parametrize(("horizon", "inner"), [(30, 30), (50, 50), (51, 50), (400, 50)])
def test_the_inner_split_ends_on_the_outer_origin_and_leaves_half_of_the_past(
    horizon: int, inner: int
) -> None:
    start, origin = dt.date(2024, 1, 1), dt.date(2024, 4, 10)  # 100 days
    made = inner_split(start, Split(origin, horizon))
    assert made is not None
    assert made.horizon == inner
    assert made.end == origin
    assert (made.origin - start).days >= 50


def test_a_past_of_a_day_has_no_inner_split() -> None:
    assert inner_split(dt.date(2024, 1, 1), Split(dt.date(2024, 1, 2), 9)) is None
