"""Stretches that may start afresh, against integration over λ and p, and against their story."""

import mpmath as mp
import numpy as np
import pytest

from bayes_clv.evaluation.simulate.landmarks import draw_latents
from bayes_clv.evaluation.simulate.lives import live_on
from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.reactivation import (
    Reactivation,
    expected_purchases,
    log_likelihood_of_stretch,
    probability_alive,
    probability_of_purchase,
    sample_purchases,
)

both = pytest.mark.parametrize("dropout", list(Dropout), ids=lambda it: it.model_name)

THETA = Parameters(*map(np.float64, (0.6, 40.0, 0.7, 2.1)))
BACK = Reactivation(*map(np.float64, (0.08, 0.5, 25.0)))
# x, t_x, T before; y, t_y, Δ after.
STRETCHES = [
    (0, 0, 30, 0, 0, 60),
    (0, 0, 30, 2, 41, 60),
    (4, 90, 100, 0, 0, 91),
    (4, 90, 100, 1, 1, 91),
    (12, 50, 300, 0, 0, 91),
    (12, 50, 300, 3, 80, 91),
]
INTEGRATION = 1e-9
SIGMAS = 4.5
N = 400_000


def likelihood_by_integration(
    law: tuple[float, ...], x: int, t_x: float, T: float, n: int
) -> mp.mpf:
    """E over λ and p of a life with x purchases, the last at t_x, and n chances to leave."""
    r, alpha, a, b = law

    def over_rates(t: float) -> mp.mpf:
        """E λ^x e^−λt, with λ = e^u."""

        def density(u: mp.mpf) -> mp.mpf:
            return mp.exp((r + x) * u - (alpha + t) * mp.exp(u))

        middle = mp.log((r + x) / (alpha + t))
        width = 1 / mp.sqrt(r + x)
        ends = [middle + k * width for k in (-60, -20, -8, -2, 0, 2, 4, 8)]
        return mp.quad(density, ends) * alpha**r / mp.gamma(r)

    def over_chances(stays: int, leaves: int) -> mp.mpf:
        """E (1−p)^stays p^leaves."""
        density = mp.quad(
            lambda p: p ** (a - 1 + leaves) * (1 - p) ** (b - 1 + stays),
            [0, 1e-6, 1e-3, 0.1, 0.5, 0.9, 1],
        )
        return density / mp.beta(a, b)

    total = over_chances(n, 0) * over_rates(T)
    if n:
        total += over_chances(n - 1, 1) * over_rates(t_x)
    return total


@both
@pytest.mark.parametrize("stretch", STRETCHES)
def test_the_likelihood_of_a_stretch_is_the_integral_over_lives(
    stretch: tuple[int, ...], dropout: Dropout
) -> None:
    x, t_x, T, y, t_y, days = stretch
    theta = tuple(float(getattr(THETA, name)) for name in ("r", "alpha", "a", "b"))
    first = int(dropout is Dropout.AFTER_ANY)  # a chance to leave right after the first purchase
    after = likelihood_by_integration(theta, x + y, T + t_y if y else t_x, T + days, x + y + first)
    own = after / likelihood_by_integration(theta, x, t_x, T, x + first)
    fresh = likelihood_by_integration((0.5, 25.0, *theta[2:]), y, t_y, days, y)
    expected = float(mp.log((1 - mp.mpf("0.08")) * own + mp.mpf("0.08") * fresh))
    seen = log_likelihood_of_stretch(THETA, BACK, *stretch, dropout)
    assert float(seen) == pytest.approx(expected, abs=INTEGRATION)


@both
def test_buying_nothing_and_buying_something_are_all_that_can_happen(dropout: Dropout) -> None:
    x, t_x, T, _, _, days = np.array(STRETCHES, dtype=float).T
    nothing = log_likelihood_of_stretch(THETA, BACK, x, t_x, T, 0, 0, days, dropout)
    something = probability_of_purchase(THETA, BACK, x, t_x, T, days, dropout)
    np.testing.assert_allclose(np.exp(nothing) + something, 1.0, rtol=1e-12)


@both
@pytest.mark.parametrize("stretch", STRETCHES[::2])
def test_answers_are_what_simulated_customers_do(
    stretch: tuple[int, ...], dropout: Dropout
) -> None:
    x, t_x, T, days = (np.full(N, float(it)) for it in (*stretch[:3], stretch[5]))
    rng = np.random.default_rng(17)
    latents = draw_latents(rng, THETA, x, t_x, T, dropout, BACK)
    purchases, _ = live_on(rng, *latents, days)
    count = np.bincount(purchases.customer, minlength=N).astype(float)
    drawn = sample_purchases(rng, THETA, BACK, x, t_x, T, days, dropout).astype(float)
    state = stretch[:3]
    for seen, expected in (
        (latents[2], probability_alive(THETA, BACK, *state, dropout)),
        (count > 0, probability_of_purchase(THETA, BACK, *state, stretch[5], dropout)),
        (count, expected_purchases(THETA, BACK, *state, stretch[5], dropout)),
        (drawn > 0, probability_of_purchase(THETA, BACK, *state, stretch[5], dropout)),
        (drawn, expected_purchases(THETA, BACK, *state, stretch[5], dropout)),
    ):
        error = np.std(seen) / np.sqrt(N)
        assert abs(np.mean(seen) - float(expected)) <= SIGMAS * error


@both
def test_the_last_purchase_of_a_fresh_start_is_where_simulated_ones_are(dropout: Dropout) -> None:
    """The density of (1 purchase, t_y), integrated over thirds of the stretch."""
    x, t_x, T, days = 12, 50.0, 300.0, 90.0
    many = [np.full(N, it) for it in (float(x), t_x, T, days)]
    rng = np.random.default_rng(18)
    latents = draw_latents(rng, THETA, *many[:3], dropout, BACK)
    purchases, _ = live_on(rng, *latents, many[3])
    once = np.bincount(purchases.customer, minlength=N)[purchases.customer] == 1
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for start in (0.0, 30.0, 60.0):
        t_y = start + 15 * (nodes + 1)
        density = np.exp(log_likelihood_of_stretch(THETA, BACK, x, t_x, T, 1, t_y, days, dropout))
        share = float(15 * weights @ density)
        time = purchases.time[once]
        seen = np.sum((start < time) & (time <= start + 30)) / N
        assert abs(seen - share) < SIGMAS * np.sqrt(share / N)


@both
def test_without_and_with_certain_reactivation_one_part_is_left(dropout: Dropout) -> None:
    state, days = (4.0, 90.0, 100.0), 91.0
    never = Reactivation(np.float64(0), BACK.r, BACK.alpha)
    always = Reactivation(np.float64(1), BACK.r, BACK.alpha)
    of_own = bgnbd.expected_purchases(THETA, *state, days, dropout)
    new = Parameters(BACK.r, BACK.alpha, THETA.a, THETA.b)
    of_new = bgnbd.expected_purchases(new, 0, 0, 0, days)
    assert expected_purchases(THETA, never, *state, days, dropout) == pytest.approx(float(of_own))
    assert expected_purchases(THETA, always, *state, days, dropout) == pytest.approx(float(of_new))
    assert float(probability_alive(THETA, always, *state, dropout)) == 1.0


def test_however_long_the_silence_the_customer_may_come_back() -> None:
    silence = np.array([0.0, 100.0, 1e4, 1e8])
    alive = probability_alive(THETA, BACK, 30, 100.0, 100.0 + silence)
    assert (np.diff(alive) <= 0).all()
    assert alive[-1] == pytest.approx(0.08, rel=1e-6)
