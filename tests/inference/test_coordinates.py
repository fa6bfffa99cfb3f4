"""The modes, quadratics and marginals that the coordinates are made of."""

import datetime as dt
import itertools
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import halfnorm, norm

from bayes_clv.data.reading import read_transactions
from bayes_clv.evaluation.sbc.design import Design
from bayes_clv.evaluation.sbc.simulated_data import simulate_dataset
from bayes_clv.evaluation.simulate.logs import Scenario, write_transactions
from bayes_clv.inference.coordinates import (
    Coordinates,
    _log_density_of_log_tau,
    _mode_of_log_tau,
    _Normals,
    _normals,
    _on_average,
    _Quadratics,
    coordinates_of_draws,
    find_coordinates,
    posterior_modes,
)
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.purchases.density import LogDensity
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.likelihood import value_and_gradient_by_eta
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.priors import ComponentPrior, HierarchicalPriors, PriorArrays, Priors
from tests.inference.hierarchy import PRIORS, SEGMENTS, Floats, real_looking_table

NAMES = ("r", "alpha", "a", "b")


def arranged(table: LandmarkTable, n_segments: int = len(SEGMENTS)) -> LikelihoodLayout:
    return LikelihoodLayout.of(table, n_segments, table.mean_T, Dropout.AFTER_REPEAT)


@cache
def found() -> tuple[LandmarkTable, LikelihoodLayout, Coordinates]:
    table = real_looking_table()
    layout = arranged(table)
    return table, layout, LogDensity(layout, PRIORS).coordinates


def modes(layout: LikelihoodLayout, priors: Priors = PRIORS) -> tuple[Floats, Floats, Floats]:
    mean, sd, between = priors.arrays()
    variance = np.vstack([sd**2, *[sd**2 + between**2] * layout.n_segments])
    found = posterior_modes(lambda eta: value_and_gradient_by_eta(eta, layout), mean, variance)
    return found, mean, variance


def test_the_modes_are_those_of_each_group_under_its_marginal_prior() -> None:
    _, layout, _ = found()
    mode, mean, variance = modes(layout)

    def penalised(eta: Floats) -> float:
        value, _ = value_and_gradient_by_eta(eta, layout)
        return value - float(np.sum((eta - mean) ** 2 / variance) / 2)

    slope = value_and_gradient_by_eta(mode, layout)[1] - (mode - mean) / variance
    prior_slope = value_and_gradient_by_eta(np.tile(mean, (4, 1)), layout)[1]
    assert np.abs(prior_slope).max() > 10, "the prior's mean must not be the mode already"
    assert np.linalg.norm(slope) < 0.03, "where the search for the mode may end"
    rng = np.random.default_rng(11)
    for _ in range(50):
        assert penalised(mode + rng.normal(0, 0.1, mode.shape)) < penalised(mode)


def test_the_modes_are_found_where_millions_of_customers_make_the_likelihood_steep(
    tmp_path: Path,
) -> None:
    """BFGS once ended far off, where a + b is so large that nothing tells the way back."""
    shop = Scenario(
        Parameters(1.0, 40.0, 0.6, 8.0),
        start=dt.date(2023, 1, 1),
        end=dt.date(2024, 12, 31),
        acquisition_days=365,
        spend=None,
    )
    write_transactions(tmp_path / "log.parquet", shop, 2_000, seed=1)
    log = read_transactions(tmp_path / "log.parquet", end=shop.end)
    data = HierarchicalBetaGeo(landmarks=4).prepare(log)
    many = replace(data.table, weight=data.table.weight * 5_000)
    layout = arranged(many, len(data.rule.names))
    mode, mean, variance = modes(layout, Priors())

    def slope(eta: Floats) -> Floats:
        return value_and_gradient_by_eta(eta, layout)[1] - (eta - mean) / variance

    for s in range(layout.n_groups):
        step = np.zeros((4, *mode.shape))
        step[range(4), s, range(4)] = 1e-4
        bend = np.array([slope(mode - each)[s] - slope(mode + each)[s] for each in step]) / 2e-4
        assert np.linalg.eigvalsh(bend).min() > 0
        assert slope(mode)[s] @ np.linalg.solve(bend, slope(mode)[s]) < 0.1**2, "0.1 sd"


QUADRATIC = _Quadratics(
    linear=np.array([[8.0, 3.0], [0.5, -4.0], [0.0, 0.0], [2.0, -1.0]]),
    precision=np.array(
        [[[9.0, -2.0], [-2.0, 4.0]], [[1.0, 0.5], [0.5, 5.0]], np.eye(2), [[3.0, 1.0], [1.0, 2.0]]]
    ),
)
PRIOR = PriorArrays(np.array([0.3, -0.5]), np.array([1.5, 0.8]), np.array([1.0, 0.6]))


def joint_precision(log_tau: Floats) -> tuple[Floats, Floats]:
    """Precision and linear term of (η_1, η_2, η_3, μ) under QUADRATIC and PRIOR, written out."""
    shrinkage = np.diag(np.exp(-2 * log_tau))
    precision, linear = np.zeros((8, 8)), np.zeros(8)
    precision[6:, 6:] = np.diag(1 / PRIOR.sd**2) + QUADRATIC.precision[3] + 3 * shrinkage
    linear[6:] = PRIOR.mean / PRIOR.sd**2 + QUADRATIC.linear[3]
    for s in range(3):
        own = slice(2 * s, 2 * s + 2)
        precision[own, own] = QUADRATIC.precision[s] + shrinkage
        precision[own, 6:] = precision[6:, own] = -shrinkage
        linear[own] = QUADRATIC.linear[s]
    return precision, linear


def test_given_tau_the_normals_are_the_marginals_of_the_joint_one() -> None:
    for log_tau in (np.array([-3.0, 0.2]), np.array([0.0, 0.0]), np.array([1.0, -1.0])):
        precision, linear = joint_precision(log_tau)
        covariance = np.linalg.inv(precision)
        at = _normals(PRIOR, QUADRATIC, log_tau)
        np.testing.assert_allclose(at.mean.ravel(), covariance @ linear, rtol=1e-9)
        for g in range(4):
            own = slice(2 * g, 2 * g + 2)
            np.testing.assert_allclose(at.covariance[g], covariance[own, own], rtol=1e-9)


def test_the_density_of_log_tau_is_the_joint_one_with_all_else_integrated_out() -> None:
    def by_hand(log_tau: Floats) -> float:
        precision, linear = joint_precision(log_tau)
        of_prior = halfnorm.logpdf(np.exp(log_tau), scale=PRIOR.between).sum() + log_tau.sum()
        scales = -3 * log_tau.sum()  # of three segments' normals
        integral = 0.5 * linear @ np.linalg.solve(precision, linear)
        return float(of_prior + scales + integral - 0.5 * np.linalg.slogdet(precision)[1])

    rng = np.random.default_rng(5)
    at = rng.normal(-0.5, 1, (20, 2))
    seen = np.array([_log_density_of_log_tau(PRIOR, QUADRATIC, it) for it in at])
    expected = np.array([by_hand(it) for it in at])
    np.testing.assert_allclose(seen - seen[0], expected - expected[0], rtol=1e-9, atol=1e-9)
    mode, width = _mode_of_log_tau(PRIOR, QUADRATIC, np.zeros(2))
    for component, move in enumerate(0.3 * np.eye(2)):
        either = [by_hand(mode + move), by_hand(mode - move)]
        assert max(either) < by_hand(mode)
        fall = by_hand(mode) - np.mean(either)
        assert fall == pytest.approx(0.3**2 / 2 / width[component] ** 2, rel=0.15)


def of_quadratics(eta: Floats) -> tuple[float, Floats]:
    pull = np.einsum("gij,gj->gi", QUADRATIC.precision, eta)
    return float(np.sum((QUADRATIC.linear - 0.5 * pull) * eta)), QUADRATIC.linear - pull


@dataclass(frozen=True)
class TwoPriors(HierarchicalPriors):
    one: ComponentPrior
    two: ComponentPrior


TWO = TwoPriors(ComponentPrior(0.3, 1.5, 1.0), ComponentPrior(-0.5, 0.8, 0.6))


def test_of_a_likelihood_that_is_quadratic_everything_is_found_as_it_is() -> None:
    seen = find_coordinates(of_quadratics, 4, TWO)
    np.testing.assert_allclose(seen.linear, QUADRATIC.linear[:-1], atol=1e-4)
    np.testing.assert_allclose(seen.precision, QUADRATIC.precision[:-1], atol=1e-4)
    log_tau, width = _mode_of_log_tau(PRIOR, QUADRATIC, np.zeros(2))
    expected = _normals(PRIOR, QUADRATIC, log_tau)
    np.testing.assert_allclose(seen.centre, expected.mean[-1], atol=0.01)
    np.testing.assert_allclose(seen.scale @ seen.scale.T, expected.covariance[-1], atol=0.01)

    def tau(u: float) -> Floats:
        w = seen.offset + u / np.sqrt(2)
        return seen.unit * (w * norm.cdf(w) + norm.pdf(w)) ** 2

    np.testing.assert_allclose(np.log(tau(0)), log_tau, atol=0.02)
    slope = (np.log(tau(1e-4)) - np.log(tau(-1e-4))) / 2e-4
    np.testing.assert_allclose(slope, width, rtol=0.02)


def test_draws_from_anywhere_give_back_the_quadratics_and_the_middle_of_tau() -> None:
    rng = np.random.default_rng(7)
    eta = 3 + 2 * rng.standard_normal((1000, 4, 2))
    tau = np.exp(rng.normal([-1.0, 0.5], [0.2, 0.6], (1000, 2)))
    seen = coordinates_of_draws(of_quadratics, tau, eta, TWO)
    np.testing.assert_allclose(seen.linear, QUADRATIC.linear[:-1], atol=1e-6)
    np.testing.assert_allclose(seen.precision, QUADRATIC.precision[:-1], atol=1e-6)
    middle = seen.unit * (seen.offset * norm.cdf(seen.offset) + norm.pdf(seen.offset)) ** 2
    np.testing.assert_allclose(np.log(middle), [-1.0, 0.5], atol=0.1)


def test_quadratics_on_average_are_exact_where_the_likelihood_is_a_cubic() -> None:
    rng = np.random.default_rng(8)
    third = rng.normal(0, 0.1, (2, 3, 3, 3))
    third = sum(third.transpose(0, *(1 + np.array(it))) for it in itertools.permutations(range(3)))
    bend = np.array([np.diag([40.0, 30.0, 20.0]), np.diag([9.0, 8.0, 7.0])])

    def cubic(eta: Floats) -> tuple[float, Floats]:
        square = np.einsum("gijk,gj,gk->gi", third, eta, eta)
        return 0.0, 0.5 * square - np.einsum("gij,gj->gi", bend, eta)

    mean = rng.normal(0, 1, (2, 3))
    root = rng.normal(0, 0.3, (2, 3, 3))
    covariance = root @ root.transpose(0, 2, 1)
    reach = np.array([1.0, 0.5])
    seen = _on_average(cubic, _Normals(mean, covariance, np.eye(3)), reach)
    curvature = bend - np.einsum("gijk,gk->gij", third, mean)
    assert np.linalg.eigvalsh(curvature).min() > 0
    slope = cubic(mean)[1] + 0.5 * np.einsum("gijk,gjk,g->gi", third, covariance, reach**2)
    np.testing.assert_allclose(seen.precision, curvature, rtol=1e-9, atol=1e-9)
    expected = slope + np.einsum("gij,gj->gi", curvature, mean)
    np.testing.assert_allclose(seen.linear, expected, rtol=1e-9, atol=1e-9)


def test_a_segment_without_customers_says_nothing() -> None:
    table, _, _ = found()
    coordinates = LogDensity(arranged(table, 4), PRIORS).coordinates
    np.testing.assert_allclose(coordinates.precision[3], 0.0, atol=1e-9)
    np.testing.assert_allclose(coordinates.linear[3], 0.0, atol=1e-9)


def test_more_customers_pin_mu_down_until_the_segments_own_spread_is_left() -> None:
    table, _, coordinates = found()
    many = replace(table, weight=table.weight * 1000)
    sure = LogDensity(arranged(many), PRIORS).coordinates
    spread = np.sqrt(np.diag(coordinates.scale @ coordinates.scale.T))
    of_many = np.sqrt(np.diag(sure.scale @ sure.scale.T))
    assert (of_many < spread / 5).all()
    assert (np.linalg.eigvalsh(sure.precision[0]) > 100).all()


@pytest.mark.parametrize("dropout", list(Dropout))
def test_negative_weights_leave_no_negative_curvature(dropout: Dropout) -> None:
    table = real_looking_table()
    sign = np.where(np.arange(len(table)) % 3 == 0, -1.0, 1.0)
    layout = LikelihoodLayout.of(replace(table, weight=sign), 3, 120.0, dropout)
    coordinates = LogDensity(layout, Priors()).coordinates
    for values in (coordinates.centre, coordinates.scale, coordinates.linear):
        assert np.isfinite(values).all()
    assert np.linalg.eigvalsh(coordinates.precision).min() > -1e-8


def test_the_mode_of_a_shop_whose_customers_buy_hundreds_of_times_a_day_is_near_the_truth() -> None:
    """A long first step once ended at a + b = e^41, where ln Γ has no digits left."""
    design = Design.pooled()
    world = simulate_dataset(design, np.random.default_rng([0, 639]))
    assert world.table.frequency.max() > 10_000
    layout = LikelihoodLayout.of(world.table, 1, world.table.mean_T, design.dropout)
    found = LogDensity(layout, design.priors).coordinates
    r, alpha, a, b = (float(getattr(world.truth.parameters, name)[-1, 0]) for name in NAMES)
    alpha /= world.table.mean_T
    expected = np.array([np.log(r / alpha), np.log(r), np.log(a / b), np.log(a + b)])
    sd = np.linalg.norm(found.scale, axis=1)
    assert np.all(np.abs(found.centre - expected) < 4 * sd)
    assert np.all(sd < 0.5)
