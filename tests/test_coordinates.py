"""The modes and quadratics that the coordinates are made of."""

import datetime as dt
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bayes_clv.bgnbd import Dropout, Parameters
from bayes_clv.calibration import Design
from bayes_clv.calibration.worlds import simulate_world
from bayes_clv.coordinates import Coordinates, _modes
from bayes_clv.density import coordinates_for
from bayes_clv.hierarchical import HierarchicalBetaGeo
from bayes_clv.kernel import Layout, value_and_slope
from bayes_clv.landmarks import LandmarkTable
from bayes_clv.priors import Priors
from bayes_clv.simulate import Scenario, write_transactions
from bayes_clv.transactions import read_transactions
from tests.hierarchy import PRIORS, SEGMENTS, Floats, column, real_looking_table

NAMES = ("r", "alpha", "a", "b")


def arranged(table: LandmarkTable, n_segments: int = len(SEGMENTS)) -> Layout:
    return Layout.of(table, n_segments, table.mean_T, Dropout.AFTER_REPEAT)


@cache
def found() -> tuple[LandmarkTable, Layout, Coordinates]:
    table = real_looking_table()
    layout = arranged(table)
    return table, layout, coordinates_for(layout, PRIORS)


def modes(layout: Layout, priors: Priors = PRIORS) -> tuple[Floats, Floats, Floats]:
    mean, sd, between = (column(priors, name) for name in ("mean", "sd", "between"))
    variance = np.vstack([sd**2, *[sd**2 + between**2] * layout.n_segments])
    return _modes(lambda eta: value_and_slope(eta, layout), mean, variance), mean, variance


def test_the_modes_are_those_of_each_group_under_its_marginal_prior() -> None:
    _, layout, coordinates = found()
    mode, mean, variance = modes(layout)
    np.testing.assert_array_equal(coordinates.centre, mode[0])

    def penalised(eta: Floats) -> float:
        return value_and_slope(eta, layout)[0] - float(np.sum((eta - mean) ** 2 / variance) / 2)

    slope = value_and_slope(mode, layout)[1] - (mode - mean) / variance
    prior_slope = value_and_slope(np.tile(mean, (4, 1)), layout)[1]
    assert np.abs(prior_slope).max() > 10, "the prior's mean must not be the mode already"
    assert np.abs(slope).max() < 1e-3
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
        return value_and_slope(eta, layout)[1] - (eta - mean) / variance

    for s in range(layout.n_groups):
        step = np.zeros((4, *mode.shape))
        step[range(4), s, range(4)] = 1e-4
        bend = np.array([slope(mode - each)[s] - slope(mode + each)[s] for each in step]) / 2e-4
        assert np.linalg.eigvalsh(bend).min() > 0
        assert slope(mode)[s] @ np.linalg.solve(bend, slope(mode)[s]) < 0.1**2, "0.1 sd"


def test_near_its_mode_a_segments_log_likelihood_is_the_quadratic() -> None:
    _, layout, coordinates = found()
    mode, _, _ = modes(layout)
    rng = np.random.default_rng(12)
    moves = 0.02 * rng.standard_normal((20, len(SEGMENTS), 4))
    at_mode = value_and_slope(mode, layout)[0]

    def quadratic(eta: Floats) -> float:
        bend = np.einsum("si,sij,sj->", eta, coordinates.precision, eta)
        return float(np.sum(coordinates.linear * eta) - 0.5 * bend)

    for move in moves:
        eta = mode.copy()
        eta[1:] += move
        seen = value_and_slope(eta, layout)[0] - at_mode
        said = quadratic(eta[1:]) - quadratic(mode[1:])
        assert seen == pytest.approx(said, abs=0.05 * np.abs(move).max() ** 2 * 1000)
        assert abs(seen) > 1e-3


def test_a_segment_without_customers_says_nothing() -> None:
    table, _, _ = found()
    coordinates = coordinates_for(arranged(table, 4), PRIORS)
    np.testing.assert_allclose(coordinates.precision[3], 0.0, atol=1e-9)
    np.testing.assert_allclose(coordinates.linear[3], 0.0, atol=1e-9)


def test_more_customers_pin_mu_down_until_the_segments_own_spread_is_left() -> None:
    table, _, coordinates = found()
    many = replace(table, weight=table.weight * 1000)
    sure = coordinates_for(arranged(many), PRIORS)
    spread = np.sqrt(np.diag(coordinates.scale @ coordinates.scale.T))
    of_many = np.sqrt(np.diag(sure.scale @ sure.scale.T))
    assert (of_many < spread / 5).all()
    assert (np.linalg.eigvalsh(sure.precision[0]) > 100).all()


@pytest.mark.parametrize("dropout", list(Dropout))
def test_negative_weights_leave_no_negative_curvature(dropout: Dropout) -> None:
    table = real_looking_table()
    sign = np.where(np.arange(len(table)) % 3 == 0, -1.0, 1.0)
    layout = Layout.of(replace(table, weight=sign), 3, 120.0, dropout)
    coordinates = coordinates_for(layout, Priors())
    for values in (coordinates.centre, coordinates.scale, coordinates.linear):
        assert np.isfinite(values).all()
    assert np.linalg.eigvalsh(coordinates.precision).min() > -1e-8


def test_the_mode_of_a_shop_whose_customers_buy_hundreds_of_times_a_day_is_near_the_truth() -> None:
    """A long first step once ended at a + b = e^41, where ln Γ has no digits left."""
    design = Design.pooled()
    world = simulate_world(design, np.random.default_rng([0, 639]))
    assert world.table.frequency.max() > 10_000
    layout = Layout.of(world.table, 1, world.table.mean_T, design.dropout)
    found = coordinates_for(layout, design.priors)
    r, alpha, a, b = (float(getattr(world.truth.parameters, name)[-1, 0]) for name in NAMES)
    alpha /= world.table.mean_T
    expected = np.array([np.log(r / alpha), np.log(r), np.log(a / b), np.log(a + b)])
    sd = np.linalg.norm(found.scale, axis=1)
    assert np.all(np.abs(found.centre - expected) < 4 * sd)
    assert np.all(sd < 0.5)
