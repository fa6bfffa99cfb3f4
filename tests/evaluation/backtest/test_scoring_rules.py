"""Scores of forecast counts against definitions that the module does not use."""

import numpy as np
import pytest
from scipy.stats import nbinom, poisson

from bayes_clv.evaluation.backtest import scoring_rules
from bayes_clv.evaluation.backtest.scoring_rules import (
    auc,
    brier,
    calibration_error,
    coverage,
    crps,
    log_scores,
    mean_difference,
    pit,
    reliability,
)

COUNTS = np.arange(80)


def forecasts(n: int = 400, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Negative binomial forecasts of many kinds, and outcomes that follow them."""
    rng = np.random.default_rng(seed)
    size, chance = rng.uniform(0.2, 3, n), rng.uniform(0.3, 0.9, n)
    probabilities = nbinom.pmf(COUNTS, size[:, None], chance[:, None])
    return probabilities, nbinom.rvs(size, chance, random_state=rng)


def test_the_log_score_is_the_log_of_what_was_said_of_what_happened():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    np.testing.assert_allclose(log_scores(probabilities, np.array([1, 2])), np.log([0.25, 0.7]))


def test_crps_is_the_mean_distance_to_the_outcome_less_half_of_that_between_two_draws():
    probabilities, outcomes = forecasts(50)
    apart = np.abs(COUNTS[:, None] - COUNTS)
    expected = [
        p @ np.abs(COUNTS - y) - 0.5 * p @ apart @ p
        for p, y in zip(probabilities, outcomes, strict=True)
    ]
    np.testing.assert_allclose(crps(probabilities, outcomes), expected, atol=1e-9)


def test_crps_of_a_sure_forecast_is_the_absolute_error():
    sure = np.eye(10)[[3, 3, 3]]
    np.testing.assert_allclose(crps(sure, np.array([3, 0, 7])), [0, 3, 4])


@pytest.mark.parametrize("score", [log_scores, lambda p, y: -crps(p, y)], ids=["log", "crps"])
@pytest.mark.parametrize("said", [0.5, 2.0])
def test_nobody_does_better_than_by_saying_what_he_believes(score, said):
    rng = np.random.default_rng(3)
    outcomes = poisson.rvs(1.0, size=20_000, random_state=rng)
    honest = np.tile(poisson.pmf(COUNTS, 1.0), (len(outcomes), 1))
    other = np.tile(poisson.pmf(COUNTS, said), (len(outcomes), 1))
    assert score(honest, outcomes).mean() > score(other, outcomes).mean() + 0.01


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_of_right_forecasts_cover_as_much_as_they_say(level):
    probabilities, outcomes = forecasts(20_000)
    assert coverage(*pit(probabilities, outcomes), level) == pytest.approx(level, abs=0.01)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_coverage_is_that_of_intervals_whose_ends_are_included_by_lot(level):
    probabilities, outcomes = forecasts(20_000, seed=9)
    narrow = probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True)
    below, up_to = pit(narrow, outcomes)
    u = np.random.default_rng(4).uniform(below, up_to)
    inside = np.mean(np.abs(u - 0.5) < level / 2)
    seen = coverage(below, up_to, level)
    assert seen == pytest.approx(inside, abs=0.01)
    assert seen < level - 0.05


def test_the_pit_of_an_outcome_spans_its_own_probability():
    probabilities, outcomes = forecasts(100)
    below, up_to = pit(probabilities, outcomes)
    own = probabilities[np.arange(100), outcomes]
    np.testing.assert_allclose(up_to - below, own, atol=1e-12)
    assert below.min() >= 0
    assert up_to.max() <= 1


def test_an_outcome_of_no_probability_counts_as_outside_unless_it_lies_in_the_middle():
    assert coverage(np.array([1.0]), np.array([1.0]), 0.9) == 0.0


def test_auc_is_the_share_of_pairs_in_the_right_order_ties_by_half():
    rng = np.random.default_rng(2)
    chance, happened = rng.integers(0, 5, 200) / 5, rng.random(200) < 0.4
    yes, no = chance[happened][:, None], chance[~happened]
    expected = np.mean((yes > no) + 0.5 * (yes == no))
    assert auc(chance, happened) == pytest.approx(expected)


@pytest.mark.parametrize("all_did", [True, False])
def test_auc_is_not_a_number_where_there_is_nothing_to_tell_apart(all_did):
    assert np.isnan(auc(np.array([0.2, 0.7]), np.array([all_did, all_did])))


def test_brier_is_the_mean_squared_error_of_the_chance():
    assert brier(np.array([0.2, 0.9]), np.array([False, True])) == pytest.approx(0.025)


def test_reliability_keeps_equal_chances_together_and_loses_nobody():
    chance = np.repeat([0.1, 0.2, 0.8], [700, 200, 100])
    happened = np.random.default_rng(0).random(1000) < chance
    bins = reliability(chance, happened, bins=10)
    np.testing.assert_allclose(bins[:, 0], [0.1, 0.2, 0.8])
    np.testing.assert_array_equal(bins[:, 2], [700, 200, 100])
    for value, came in zip([0.1, 0.2, 0.8], bins[:, 1], strict=True):
        assert came == pytest.approx(happened[chance == value].mean())


def test_reliability_makes_bins_of_equal_size_where_chances_differ():
    chance = np.random.default_rng(0).random(2000)
    sizes = reliability(chance, chance > 0.5)[:, 2]
    assert len(sizes) == scoring_rules.BINS
    assert set(sizes) == {100}


def test_calibration_error_is_how_far_all_chances_are_off():
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.1, 0.6, 200_000)
    happened = rng.random(len(truth)) < truth
    assert calibration_error(truth, happened) < 0.005
    assert calibration_error(truth + 0.2, happened) == pytest.approx(0.2, abs=0.005)


def test_the_standard_error_of_a_mean_difference_is_the_usual_one_for_single_customers():
    values = np.random.default_rng(6).normal(0.3, 2, 1000)
    mean, error = mean_difference(values, np.arange(1000))
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(values.std() / np.sqrt(1000))


def test_a_customer_seen_three_times_counts_as_one_observation():
    values = np.random.default_rng(6).normal(0.3, 2, 1000)
    once = mean_difference(values, np.arange(1000))
    thrice = mean_difference(np.tile(values, 3), np.tile(np.arange(1000), 3))
    assert thrice == pytest.approx(once)
