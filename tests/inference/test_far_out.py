"""Far from the mode a density still falls, to all its digits, or says that it is no number.

A chain may be thrown there by one bad step, and a density that rose would keep it.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.inference.c_function import native
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.hierarchy import HierarchicalDensity
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.purchases.density import LogDensity
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.reactivating import ReactivatingDensity
from bayes_clv.inference.purchases.stretch_layout import StretchLayout
from bayes_clv.inference.spend.density import SpendDensity
from bayes_clv.inference.spend.table import spend_table
from bayes_clv.inference.stretches import StretchTable
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import SpendPriors
from tests.inference.hierarchy import (
    PRIORS,
    REACTIVATION_PRIORS,
    Floats,
    column,
    real_looking_stretches,
    real_looking_table,
)

UNIT = 200.0
STEP = 1e-5
TABLE, STRETCHES = real_looking_table(), real_looking_stretches()
_DOUBLES = ctypes.POINTER(ctypes.c_double)


def of_purchases(n_segments: int, dropout: Dropout = Dropout.AFTER_REPEAT) -> LogDensity:
    return LogDensity(LikelihoodLayout.of(TABLE, n_segments, UNIT, dropout), PRIORS)


def of_spend(**how: Any) -> SpendDensity:
    data = HierarchicalBetaGeo(**how).prepare(load_cdnow(sample=True))
    table = spend_table(data.states, len(data.rule.names))
    assert table is not None
    return SpendDensity(table, SpendPriors())


def of_stretches(dropout: Dropout) -> ReactivatingDensity:
    layout = LikelihoodLayout.of(STRETCHES.first, 3, UNIT, dropout)
    after = StretchLayout.of(STRETCHES, UNIT, dropout)
    return ReactivatingDensity(layout, after, PRIORS, REACTIVATION_PRIORS)


PURCHASES = {
    "segments": of_purchases(3),
    "pooled": of_purchases(1),
    "after any": of_purchases(3, Dropout.AFTER_ANY),
}
WITH_REACTIVATION = {dropout: of_stretches(dropout) for dropout in Dropout}
DENSITIES: dict[str, HierarchicalDensity] = PURCHASES | {
    "reactivation": WITH_REACTIVATION[Dropout.AFTER_REPEAT],
    "reactivation, after any": WITH_REACTIVATION[Dropout.AFTER_ANY],
    "spend": of_spend(),
    "spend, pooled": of_spend(segmenter=None),
}
of_each = pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES)
of_purchases_each = pytest.mark.parametrize("density", PURCHASES.values(), ids=PURCHASES)


def directions(n_dim: int, corners: int = 40) -> Iterator[Floats]:
    """Along each axis, both ways, and into corners."""
    for axis in np.eye(n_dim):
        yield from (axis, -axis)
    yield from np.random.default_rng(3).choice([-1.0, 1.0], (corners, n_dim))
    yield from (np.ones(n_dim), -np.ones(n_dim))


def at_the_middle(density: HierarchicalDensity) -> float:
    return density(np.zeros(density.n_dim))[0]


@of_each
def test_up_to_20_standard_deviations_it_falls_and_its_gradient_is_its_slope(
    density: HierarchicalDensity,
) -> None:
    # The sums of ln Γ that stand for spend lose a few digits where p and q are in the thousands.
    digits = 1e-5 if isinstance(density, SpendDensity) else 1e-7
    rng = np.random.default_rng(4)
    for direction in directions(density.n_dim):
        before = at_the_middle(density)
        for reach in (5.0, 20.0):
            x = reach * direction
            value, gradient = density(x)
            if np.isnan(value) and isinstance(density, ReactivatingDensity):
                assert np.abs(density.variables(x).eta).max() > 690  # e^η is no number
                continue
            assert value < before, (reach, direction)
            before = value
            along = rng.standard_normal(density.n_dim)
            along /= np.linalg.norm(along)
            ends = [density(x + sign * STEP * along)[0] for sign in (1, -1)]
            slope, scale = (ends[0] - ends[1]) / (2 * STEP), np.linalg.norm(gradient) + 100
            assert gradient @ along == pytest.approx(slope, abs=digits * scale), (reach, direction)


def exact_log_posterior(density: LogDensity, x: Floats, dropout: Dropout) -> mp.mpf:
    """Prior, likelihood row by row, and the Jacobian, in 60 digits; u(x) by the coordinates."""
    at = density.variables(x)
    mean, sd, between = (list(map(mp.mpf, column(PRIORS, it))) for it in ("mean", "sd", "between"))
    mu, tau, z = at.mu.tolist(), at.tau.tolist(), at.z.tolist()
    total = mp.mpf(float(at.log_jacobian))
    for c in range(4):
        total += mp.log(mp.npdf(mu[c], mean[c], sd[c]))
        if z:
            total += mp.log(2 * tau[c] * mp.npdf(tau[c], 0, between[c]))  # that of ln τ
            total += mp.fsum(mp.log(mp.npdf(row[c])) for row in z)
    etas = [mu] + [[mu[c] + mp.mpf(tau[c]) * row[c] for c in range(4)] for row in z]
    thetas = [parameters_in_digits(eta) for eta in etas]
    if not isinstance(density, ReactivatingDensity):
        return total + mp.fsum(
            w * log_likelihood_in_digits(thetas[segment + 1 if z else 0], x_, t, T, dropout)
            for segment, x_, t, T, w in rows_of(TABLE)
        )
    total += mp.fsum(
        w * log_likelihood_in_digits(thetas[0], *state, dropout)
        for _, *state, w in rows_of(STRETCHES.first)
    )
    v = at.beside.tolist()
    for name, value in zip(("chance", "rate", "shape"), v, strict=True):
        prior = getattr(REACTIVATION_PRIORS, name)
        total += mp.log(mp.npdf(value, prior.mean, prior.sd))
    chance = 1 / (1 + mp.exp(-mp.mpf(v[0])))
    r, alpha = mp.exp(v[2]), mp.exp(mp.mpf(v[2]) - v[1])
    columns = (STRETCHES.purchases, STRETCHES.last / UNIT, STRETCHES.days / UNIT)
    more = zip(*(it.tolist() for it in columns), strict=True)
    for (segment, x_, t, T, w), (y, last, days) in zip(rows_of(STRETCHES), more, strict=True):
        theta = thetas[segment + 1]
        after = (x_ + y, mp.mpf(T) + last if y else t, mp.mpf(T) + days)
        own = log_likelihood_in_digits(theta, *after, dropout)
        own -= log_likelihood_in_digits(theta, x_, t, T, dropout)
        new = (r, alpha, *theta[2:])
        fresh = log_likelihood_in_digits(new, y, last, days, Dropout.AFTER_REPEAT)
        total += w * mp.log((1 - chance) * mp.exp(own) + chance * mp.exp(fresh))
    return total


def rows_of(table: LandmarkTable | StretchTable) -> Iterator[Any]:
    """Rows (segment, x, t_x, T, weight), durations in units."""
    columns = (table.frequency, table.recency / UNIT, table.T / UNIT, table.weight)
    return zip(table.segment.tolist(), *(it.tolist() for it in columns), strict=True)


def parameters_in_digits(eta: list[Any]) -> tuple[mp.mpf, mp.mpf, mp.mpf, mp.mpf]:
    rate, shape, odds, total = map(mp.mpf, eta)
    r, ab = mp.exp(shape), mp.exp(total)
    return r, r * mp.exp(-rate), ab / (1 + mp.exp(-odds)), ab / (1 + mp.exp(odds))


def log_likelihood_in_digits(
    theta: tuple[Any, ...], x_: float, t: Any, T: Any, dropout: Dropout
) -> mp.mpf:
    r, alpha, a, b = theta
    n = x_ + (dropout is Dropout.AFTER_ANY)
    lives = (1 + T / alpha) ** -(r + x_)
    if n:
        lives += a / (b + n - 1) * (1 + t / alpha) ** -(r + x_)
    bought = mp.loggamma(r + x_) - mp.loggamma(r) - x_ * mp.log(alpha) + mp.log(lives)
    return (
        bought + mp.loggamma(b + n) - mp.loggamma(b) - mp.loggamma(a + b + n) + mp.loggamma(a + b)
    )


@of_purchases_each
def test_at_20_standard_deviations_it_is_what_60_digits_say(density: LogDensity) -> None:
    """The graph's own sums of ln Γ have lost most of their digits there."""
    dropout = Dropout.AFTER_ANY if density is PURCHASES["after any"] else Dropout.AFTER_REPEAT
    rng = np.random.default_rng(5)
    for reach in (2.0, 20.0, 20.0):
        x = reach * rng.choice([-1.0, 1.0], density.n_dim)
        with mp.workdps(60):
            expected = float(exact_log_posterior(density, x, dropout))
        assert density(x)[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dropout", list(Dropout))
def test_so_it_is_with_reactivation(dropout: Dropout) -> None:
    density, rng = WITH_REACTIVATION[dropout], np.random.default_rng(5)
    for reach in (1.0, 2.0, 20.0, 20.0):
        x = reach * rng.choice([-1.0, 1.0], density.n_dim)
        with mp.workdps(60):
            expected = float(exact_log_posterior(density, x, dropout))
        assert density(x)[0] == pytest.approx(expected, rel=1e-9)


@of_each
def test_beyond_that_it_is_far_below_the_middle_or_no_number(density: HierarchicalDensity) -> None:
    ceiling = at_the_middle(density) - 250
    numbers = 0
    for reach in (100.0, 1e3, 1e4, 1e6, 1e100, 1e300):
        for direction in directions(density.n_dim):
            value, _ = density(reach * direction)
            assert np.isnan(value) or value < ceiling, (reach, direction)
            numbers += np.isfinite(value)
    assert numbers > 2 * density.n_dim, "most axes, at 100 and at 1,000"


@of_each
def test_nuts_is_told_where_value_or_gradient_are_no_number(density: HierarchicalDensity) -> None:
    made = native(density.compiled, density.arguments)
    function: Any = made.function
    codes = set()
    for reach in (1.0, 20.0, 1e2, 1e4, 1e6, 1e300):
        for direction in directions(density.n_dim, corners=10):
            x, slope, seen = reach * direction, np.empty(density.n_dim), np.empty(1)
            pointers = [it.ctypes.data_as(_DOUBLES) for it in (x, slope, seen)]
            code = function.ctypes(density.n_dim, *pointers, made.memory.ctypes.data)
            value, gradient = density(x)
            finite = np.isfinite(value) and np.isfinite(gradient).all()
            assert (code == 0) == finite, (reach, direction)
            codes.add(int(code))
    assert codes == {0, 4}
