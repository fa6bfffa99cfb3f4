"""BG/NBD and MBG/NBD against what was published, against mpmath, and against the story itself.

Four kinds of evidence, in this order: figures that others printed, independent evaluation (the
published hypergeometric closed form in 60 digits, and integration over λ and p of the likelihood of
a customer whose λ and p are known), simulation of customers who buy and leave, and extremes.
"""

import importlib.resources
import math
import warnings
from dataclasses import FrozenInstanceError
from typing import NamedTuple

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy.special import betaln, gammaln, log_expit

from bayes_clv.models.bgnbd import (
    Dropout,
    Parameters,
    expected_purchases,
    expected_purchases_if_alive,
    leaving_quadrature,
    log_likelihood,
    probability_alive,
    probability_of_purchase,
    probability_of_purchase_if_alive,
    sample_purchases,
)

BG, MBG = Dropout.AFTER_REPEAT, Dropout.AFTER_ANY

# Tolerances, relative unless a word says otherwise.
# P(alive) and P(purchase): a dozen float operations, with exponents of up to a few thousand.
CLOSED_FORM = 1e-12
# ll, absolute, for each unit of its largest summand: its summands cancel.
LOG_TERMS = 1e-14
# The quadrature over p, for what occurs: a >= 0.3, b >= 0.5, reach t/(α+T) <= 100; and for any
# a >= 0.02, b >= 0.1, reach <= 1e3, where it is still far below the spread of any posterior.
EXPECTATION = 1e-8
EXPECTATION_FAR = 1e-5
# The integration in this file: a trapezoid in (ln λ, logit p), with tails cut at e^-36.
INTEGRATION = 1e-10
# Two float evaluations of what is one number.
IDENTITY = 1e-11
# Simulation, in standard errors: a seeded test of 100 means fails by chance once in 160.
SIGMAS = 4.0
# The likelihood of CDNOW, absolute: lifetimes rounds its weeks to two decimals.
CDNOW_LL = 0.01
# Hardie's spreadsheet at t = 78, absolute: 150 terms of the hypergeometric series give what it
# shows, 1.8576; all of them give 1.85796.
SPREADSHEET = 5e-4


def params(r, alpha, a, b) -> Parameters:
    return Parameters(*(np.asarray(value, dtype=float) for value in (r, alpha, a, b)))


# Maximum-likelihood estimates on the CDNOW sample, in weeks.
BTYD = params(0.2425967, 4.413659, 0.7929869, 2.426164)  # BTYD walkthrough, p. 20
CLVTOOLS = params(0.2425945, 4.4136019, 0.7929199, 2.4258881)  # its test_correctness_bgnbd.R
PAPER = params(0.243, 4.414, 0.793, 2.426)  # Fader, Hardie & Lee (2005)
MODIFIED = params(0.525, 6.183, 0.891, 1.614)  # MBG/NBD; lifetimes' tests, citing BTYDplus
STABLE = params(0.25, 4.0, 0.8, 2.5)  # pymc-marketing's tests, after note 027
NEW = (0, 0.0, 0.0)  # the history of a customer who buys for the first time now


@pytest.fixture(autouse=True)
def _floats_never_misbehave_in_silence():
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        yield


both_rules = pytest.mark.parametrize("dropout", list(Dropout), ids=str)


# --- published figures ---------------------------------------------------------------------------


def assert_as_printed(value, printed: str) -> None:
    """Equal to within one unit of the last digit printed: parameters were rounded, too."""
    mantissa, _, exponent = printed.partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    assert float(value) == pytest.approx(float(printed), abs=10.0**-decimals, rel=0)


@pytest.mark.parametrize(
    ("parameters", "history", "weeks", "printed"),
    [
        (BTYD, (2, 30.43, 38.86), 39, "1.226"),  # Hardie's spreadsheet
        (BTYD, (2, 30.43, 38.86), 39, "1.22590"),
        (PAPER, (2, 30.43, 38.86), 39, "1.22603"),
        (BTYD, (26, 30 + 6 / 7, 31), 52, "25.75659"),  # customer 1516
        (BTYD, (10, 20, 39), 52, "0.3474606"),  # the increasing frequency paradox
        (BTYD, (15, 20, 39), 52, "0.04283391"),
        (BTYD, (20, 20, 39), 52, "0.004158973"),
        (BTYD, (25, 20, 39), 52, "0.0003583685"),
        (BTYD, NEW, 52, "1.444004"),
        (CLVTOOLS, NEW, 1 / 7, "0.0078"),  # Hardie's spreadsheet, at its unrounded optimum
        (CLVTOOLS, NEW, 1, "0.0532"),
        (CLVTOOLS, NEW, 3, "0.1506"),
        (CLVTOOLS, NEW, 31 + 6 / 7, "1.0405"),
        (CLVTOOLS, NEW, 32, "1.0437"),
        (PAPER, NEW, 78, "1.8605"),
    ],
)
def test_expected_purchases_are_those_published(parameters, history, weeks, printed):
    assert_as_printed(expected_purchases(parameters, *history, weeks), printed)


def test_expected_purchases_by_a_new_customer_in_78_weeks_are_those_of_the_spreadsheet():
    got = expected_purchases(CLVTOOLS, *NEW, 78)
    assert got == pytest.approx(1.8576, abs=SPREADSHEET, rel=0)
    exact = of_the_papers((0.2425945, 4.4136019, 0.7929199, 2.4258881), NEW, 78, BG).expected
    assert got == pytest.approx(exact, rel=EXPECTATION)


def test_expected_purchases_of_the_modified_model_are_those_computed_at_its_optimum():
    assert_as_printed(expected_purchases(MODIFIED, 2, 30.43, 38.86, 39, MBG), "1.2630")


@pytest.mark.parametrize(
    ("parameters", "history", "dropout", "printed"),
    [
        (BTYD, (26, 30 + 6 / 7, 31), BG, "0.9688523"),  # customer 1516
        (PAPER, (2, 30.43, 38.86), BG, "0.72658"),
        (PAPER, (23, 39, 39), BG, "0.96856"),
        (PAPER, (5, 30, 39), BG, "0.7056"),
        (PAPER, (20, 30, 39), BG, "0.1968"),
        (MODIFIED, (0, 0, 38.86), MBG, "0.38974"),
    ],
)
def test_probability_alive_is_that_published(parameters, history, dropout, printed):
    assert_as_printed(probability_alive(parameters, *history, dropout), printed)


def test_a_one_time_buyer_of_bg_nbd_is_alive_for_certain_as_note_021_says():
    assert probability_alive(PAPER, 0, 0, 38.86) == 1


def test_the_chance_of_no_purchase_by_a_new_customer_is_that_published():
    assert_as_printed(1 - probability_of_purchase(PAPER, *NEW, 39), "0.5737864")


def test_the_sampler_gives_a_new_customer_the_purchase_counts_published():
    rng = np.random.default_rng(39)
    draws = 1_000_000
    counts = sample_purchases(rng, PAPER, np.zeros(draws), 0, 0, 30)
    for count, published in ((11, 0.0019995214), (12, 0.0015170236), (13, 0.0011633150)):
        assert_zero_on_average((counts == count) - published)


@pytest.mark.parametrize(
    ("history", "dropout", "printed"),
    [
        ((0, 0, 40), BG, "-0.59947382"),
        ((200, 38, 40), BG, "100.7957"),
        ((0, 0, 40), MBG, "-0.41792826"),
        ((200, 38, 40), MBG, "100.7869"),
    ],
)
def test_log_likelihood_is_that_of_the_stable_form_published(history, dropout, printed):
    assert_as_printed(log_likelihood(STABLE, *history, dropout), printed)


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    """The CDNOW sample at the end of its 39 weeks: frequency, recency, T."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import touches what pandas has deprecated
        lifetimes = importlib.resources.files("lifetimes")
    table = pd.read_csv(lifetimes / "datasets" / "cdnow_customers_summary.csv")
    assert (len(table), table["frequency"].sum()) == (2357, 2457)
    assert (table["frequency"] == 0).sum() == 1411
    return table


def columns(table: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(table[name].to_numpy() for name in ("frequency", "recency", "T"))


@pytest.mark.parametrize(
    ("parameters", "dropout", "published"),
    [
        pytest.param(CLVTOOLS, BG, -9582.4256, id="BG/NBD"),
        pytest.param(BTYD, BG, -9582.429, id="BG/NBD of BTYD"),
        pytest.param(PAPER, BG, -9582.4, id="BG/NBD of the paper"),
        pytest.param(MODIFIED, MBG, -9582.133, id="MBG/NBD"),
    ],
)
def test_log_likelihood_of_cdnow_is_that_published(cdnow, parameters, dropout, published):
    total = log_likelihood(parameters, *columns(cdnow), dropout).sum()
    tolerance = 0.05 if parameters is PAPER else CDNOW_LL  # the paper prints one decimal
    assert total == pytest.approx(published, abs=tolerance, rel=0)


@pytest.mark.parametrize(("parameters", "dropout"), [(CLVTOOLS, BG), (MODIFIED, MBG)])
def test_the_published_estimates_are_an_optimum_of_the_likelihood_of_cdnow(
    cdnow, parameters, dropout
):
    histories = columns(cdnow)
    at_optimum = log_likelihood(parameters, *histories, dropout).sum()
    for name in ("r", "alpha", "a", "b"):
        for factor in (0.9, 1.1):
            moved = {key: getattr(parameters, key) for key in ("r", "alpha", "a", "b")}
            moved[name] = moved[name] * factor
            assert log_likelihood(Parameters(**moved), *histories, dropout).sum() < at_optimum


@pytest.mark.parametrize(
    ("parameters", "dropout", "everyone", "one_time_buyers", "repeaters", "purchases"),
    [
        pytest.param(PAPER, BG, "0.813", "1.000", "0.535", "1653.9", id="BG/NBD"),
        pytest.param(MODIFIED, MBG, "0.449", "0.409", "0.508", "1577.1", id="MBG/NBD"),
    ],
)
def test_the_aggregates_of_cdnow_are_those_computed_at_the_optimum(
    cdnow, parameters, dropout, everyone, one_time_buyers, repeaters, purchases
):
    x, t_x, T = columns(cdnow)
    alive = probability_alive(parameters, x, t_x, T, dropout)
    assert_as_printed(alive.mean(), everyone)
    assert_as_printed(alive[x == 0].mean(), one_time_buyers)
    assert_as_printed(alive[x > 0].mean(), repeaters)
    assert_as_printed(expected_purchases(parameters, x, t_x, T, 39, dropout).sum(), purchases)


def test_the_two_rules_fit_cdnow_alike_and_call_a_third_more_or_less_of_it_alive(cdnow):
    # The likelihood cannot choose between them: their optima are 0.3 apart.
    histories = columns(cdnow)
    fit = [
        log_likelihood(p, *histories, rule).sum() for p, rule in ((CLVTOOLS, BG), (MODIFIED, MBG))
    ]
    assert fit[1] - fit[0] == pytest.approx(0.3, abs=0.05)
    alive = [
        probability_alive(p, *histories, rule).mean() for p, rule in ((PAPER, BG), (MODIFIED, MBG))
    ]
    assert alive[0] - alive[1] == pytest.approx(0.36, abs=0.01)


def test_thirty_orders_and_then_115_days_of_silence_mean_that_the_customer_has_left():
    days = params(PAPER.r, 7 * PAPER.alpha, PAPER.a, PAPER.b)
    for dropout in Dropout:
        assert 0 < probability_alive(days, 30, 100, 215, dropout) < 1e-6


# --- independent evaluation ----------------------------------------------------------------------


class Answers(NamedTuple):
    """What the module says, or ought to say, of one history."""

    log_likelihood: float
    alive: float
    purchase: float
    expected: float


def of_the_module(values, history, horizon, dropout) -> Answers:
    parameters = params(*values)
    return Answers(
        float(log_likelihood(parameters, *history, dropout)),
        float(probability_alive(parameters, *history, dropout)),
        float(probability_of_purchase(parameters, *history, horizon, dropout)),
        float(expected_purchases(parameters, *history, horizon, dropout)),
    )


def of_the_papers(values, history, horizon, dropout) -> Answers:
    """The closed forms of the two papers as they print them, in 60 digits."""
    with mp.workdps(60):
        # The printed expectation divides by zero at a = 1 and at a + b + x = 1; a nudge of 1e-25
        # costs 25 of the 60 digits there and changes nothing that a float can show.
        r, alpha, a, b = (mp.mpf(float(value)) for value in values)
        a += mp.mpf(10) ** -25
        x, t_x, T = (mp.mpf(float(value)) for value in history)
        t = mp.mpf(float(horizon))
        if dropout is BG:
            beta = mp.log(mp.beta(a, b + x) / mp.beta(a, b))
            leaving = a / (b + x - 1) if x > 0 else mp.mpf(0)
            ahead, c = b + x, a + b + x - 1
        else:
            beta = mp.log(mp.beta(a, b + x + 1) / mp.beta(a, b))
            leaving = a / (b + x)
            ahead, c = b + x + 1, a + b + x
        still, gone = (alpha + T) ** -(r + x), leaving * (alpha + t_x) ** -(r + x)
        ll = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + beta + mp.log(still + gone)
        alive = still / (still + gone)
        ratio = ((alpha + T) / (alpha + T + t)) ** (r + x)
        gauss = mp.hyp2f1(r + x, ahead, c, t / (alpha + T + t))
        expected = alive * c / (a - 1) * (1 - ratio * gauss)
        return Answers(*map(float, (ll, alive, alive * (1 - ratio), expected)))


def by_integration(values, history, horizon, dropout) -> Answers:
    """Integrals over λ and p of what the story says of a customer with known λ and p.

    The trapezoidal rule on the whole line in (ln λ, logit p), where all integrands are analytic and
    fall off exponentially, converges geometrically. Knows nothing of the closed forms.
    """
    r, alpha, a, b = values
    x, t_x, T = history
    v = np.arange(math.log((r + x) / alpha) - 36 / r, math.log((r + x + 90) / alpha), 0.12)
    y = np.arange(math.log(a / b) - 36 / a, math.log1p(a / b) + 36 / b + 5, 0.12)[:, np.newaxis]
    rate, log_p, log_q = np.exp(v), log_expit(y), log_expit(-y)
    log_prior = r * (v + math.log(alpha)) - alpha * rate - gammaln(r)
    log_prior = log_prior + a * log_p + b * log_q - betaln(a, b)
    # Each purchase brings the density λ and, where one may leave, a coin that is survived with 1−p.
    coins = x if dropout is BG else x + 1
    alive = np.exp(log_prior + x * v + coins * log_q - rate * T)
    gone = 0.0
    if coins:
        gone = np.exp(log_prior + x * v + (coins - 1) * log_q + log_p - rate * t_x)
    total, still = (alive + gone).sum(), alive.sum()
    purchase = (alive * -np.expm1(-rate * horizon)).sum()
    p = np.exp(log_p)
    expected = (alive * -np.expm1(-rate * p * horizon) / p).sum()
    cell = (v[1] - v[0]) * (y[1, 0] - y[0, 0])
    return Answers(math.log(total * cell), still / total, purchase / total, expected / total)


def largest_summand(values, history) -> float:
    r, alpha, a, b = values
    x, _, T = history
    return 1 + max(abs(gammaln(r + x)), (r + x) * abs(math.log(alpha + T)), abs(betaln(a, b + x)))


def random_cases(seed: int, count: int):
    """Parameters, histories and horizons in days, over all that a shop may show."""
    rng = np.random.default_rng(seed)
    low = np.log([0.05, 1.0, 0.3, 0.5])
    high = np.log([20.0, 500.0, 20.0, 200.0])
    for number in range(count):
        values = np.exp(rng.uniform(low, high))
        T = rng.uniform(1, 1500)
        x = int(rng.choice([0, 1, 2, 7, 30, 120]))
        t_x = 0.0 if x == 0 else T if number % 7 == 0 else T * rng.random() ** 0.3
        horizon = rng.choice([1e-3, 1.0, 30.0, 365.0, 3650.0])
        if horizon / (values[1] + T) <= 100:
            yield tuple(map(float, values)), (x, float(t_x), float(T)), float(horizon)


@both_rules
def test_every_answer_equals_the_closed_form_of_the_papers(dropout):
    seen = 0
    for values, history, horizon in random_cases(seed=1, count=150):
        got = of_the_module(values, history, horizon, dropout)
        want = of_the_papers(values, history, horizon, dropout)
        slack = LOG_TERMS * largest_summand(values, history)
        case = f"{values} {history} {horizon}"
        assert got.log_likelihood == pytest.approx(want.log_likelihood, abs=slack, rel=0), case
        assert got.alive == pytest.approx(want.alive, rel=CLOSED_FORM, abs=0), case
        assert got.purchase == pytest.approx(want.purchase, rel=CLOSED_FORM, abs=0), case
        assert got.expected == pytest.approx(want.expected, rel=EXPECTATION, abs=0), case
        seen += 1
    assert seen > 120


@both_rules
@pytest.mark.parametrize(
    "values",
    [(0.5, 12.0, 0.8, 2.5), (2.0, 40.0, 1.0, 1.0), (1.2, 5.0, 0.6, 0.7), (6.0, 200.0, 4.0, 30.0)],
)
@pytest.mark.parametrize("history", [(0, 0.0, 90.0), (1, 70.0, 90.0), (12, 60.0, 90.0)])
def test_every_answer_equals_the_integral_over_purchase_rate_and_leaving_chance(
    values, history, dropout
):
    got = of_the_module(values, history, 60.0, dropout)
    want = by_integration(values, history, 60.0, dropout)
    assert got == pytest.approx(want, rel=INTEGRATION, abs=INTEGRATION)


@both_rules
@pytest.mark.parametrize("values", [(0.6, 8.0, 0.9, 2.5), (1.5, 20.0, 0.3, 0.4)])
def test_the_likelihood_of_all_histories_together_is_one(values, dropout):
    # L(x, t_x, T) is the density of x purchase times of which only the last matters; the others
    # fill t_x^(x-1) / (x-1)!.
    T, parameters = 10.0, params(*values)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t_x, dt = (nodes + 1) * T / 2, weights * T / 2
    x = np.arange(1, 150)[:, np.newaxis]
    log_volume = (x - 1) * np.log(t_x) - gammaln(x)
    repeat = (np.exp(log_likelihood(parameters, x, t_x, T, dropout) + log_volume) * dt).sum()
    never = np.exp(log_likelihood(parameters, 0, 0, T, dropout))
    assert 0.05 < never < 0.95
    assert never + repeat == pytest.approx(1, rel=IDENTITY)


@both_rules
def test_silence_multiplies_the_likelihood_by_the_chance_of_no_purchase(dropout):
    x, t_x, T = np.array([0, 1, 4, 40]), np.array([0, 20.0, 90.0, 100.0]), 100.0
    before = log_likelihood(STABLE, x, t_x, T, dropout)
    after = log_likelihood(STABLE, x, t_x, T + 25, dropout)
    silent = 1 - probability_of_purchase(STABLE, x, t_x, T, 25, dropout)
    np.testing.assert_allclose(np.exp(after - before), silent, rtol=IDENTITY)


@both_rules
def test_the_unit_of_time_does_not_matter(dropout):
    weeks, days = BTYD, params(BTYD.r, 7 * BTYD.alpha, BTYD.a, BTYD.b)
    x, t_x, T = np.array([0, 1, 5, 29]), np.array([0, 3.0, 30.0, 38.0]), np.array([9.0, 9, 39, 39])
    for function in (probability_of_purchase, expected_purchases):
        np.testing.assert_allclose(
            function(weeks, x, t_x, T, 13, dropout),
            function(days, x, 7 * t_x, 7 * T, 91, dropout),
            rtol=IDENTITY,
        )
    np.testing.assert_allclose(
        log_likelihood(weeks, x, t_x, T, dropout),
        log_likelihood(days, x, 7 * t_x, 7 * T, dropout) + x * np.log(7),
        rtol=IDENTITY,
    )


@both_rules
def test_what_is_expected_is_that_of_someone_alive_times_the_chance_of_being_alive(dropout):
    x, t_x, T = np.array([0, 2, 9]), np.array([0, 30.0, 31.0]), np.array([5.0, 39, 39])
    np.testing.assert_allclose(
        probability_of_purchase(BTYD, x, t_x, T, 13, dropout),
        probability_alive(BTYD, x, t_x, T, dropout)
        * probability_of_purchase_if_alive(BTYD, x, T, 13),
        rtol=IDENTITY,
    )
    np.testing.assert_allclose(
        expected_purchases(BTYD, x, t_x, T, 13, dropout),
        probability_alive(BTYD, x, t_x, T, dropout)
        * expected_purchases_if_alive(BTYD, x, T, 13, dropout),
        rtol=IDENTITY,
    )


@both_rules
def test_a_long_horizon_brings_one_over_the_leaving_chance_on_average(dropout):
    # Those who never stop buying are cut off by leaving alone: E 1/p = (a+b+n-1)/(a-1), a > 1.
    parameters, x = params(2.0, 10.0, 3.0, 4.0), np.array([0, 1, 10])
    n = x + (dropout is MBG)
    forever = expected_purchases_if_alive(parameters, x, 100.0, 1e12, dropout)
    np.testing.assert_allclose(forever, (3 + 4 + n - 1) / (3 - 1), rtol=1e-6)  # O(t^-2)


@both_rules
def test_a_short_horizon_brings_the_purchase_rate_times_its_length(dropout):
    x = np.array([0, 1, 10, 300])
    got = expected_purchases_if_alive(STABLE, x, 365.0, 1e-9, dropout)
    np.testing.assert_allclose(got, (0.25 + x) / 369 * 1e-9, rtol=1e-9)  # O(t)


def fine_expectation(a, b, k, reach) -> float:
    """E (1 − (1 + p reach)^−k)/p, p ~ Beta(a, b), by equal steps in logit p, thousands of them."""
    step = min(0.1, 0.15 * math.sqrt(1 / a + 1 / b))
    y = np.arange(math.log(a / b) - 45 / a - 5, math.log1p(a / b) + 45 / b + 5, step)
    log_weight = a * log_expit(y) + b * log_expit(-y)
    weight = np.exp(log_weight - log_weight.max())
    p = np.exp(np.maximum(log_expit(y), -600))
    return float((weight * -np.expm1(-k * np.log1p(p * reach)) / p).sum() / weight.sum())


def test_the_fine_integration_of_this_file_equals_the_hypergeometric_form():
    for a, b, k, reach in [(0.8, 2.5, 0.25, 3), (0.1, 0.3, 5, 50), (20, 30, 9, 0.1), (3, 9, 40, 9)]:
        with mp.workdps(40):
            gauss = mp.hyp2f1(k, mp.mpf(a) - 1, mp.mpf(a) + b - 1, -mp.mpf(reach))
            want = float((mp.mpf(a) + b - 1) / (mp.mpf(a) - 1) * (1 - gauss))
        assert fine_expectation(a, b, k, reach) == pytest.approx(want, rel=IDENTITY)


@pytest.mark.parametrize("a", [0.02, 0.1, 0.5, 1.0, 4.0, 50.0])
def test_the_expectation_holds_over_the_whole_range_of_leaving_chances_and_horizons(a):
    for b in (0.1, 0.5, 3.0, 40.0, 1e3, 1e6):
        for x in {0, math.floor(b / 2)}:
            k, rest = 0.3 + x, max(b - x, 0.1)
            parameters = params(0.3, 1.0, a, rest)
            for reach in (1e-3, 1.0, 30.0, 1e3):
                got = float(expected_purchases_if_alive(parameters, x, 0.0, reach))
                want = fine_expectation(a, rest + x, k, reach)
                assert got == pytest.approx(want, rel=EXPECTATION_FAR, abs=0), (a, b, x, reach)


def test_the_quadrature_gives_the_moments_of_the_beta_distribution():
    a = np.array([0.3, 0.7, 1.0, 2.5, 50.0])[:, np.newaxis]
    b = np.array([0.1, 0.5, 1.0, 7.0, 1e3, 1e6])
    p, weight = leaving_quadrature(a, b)
    assert p.shape == weight.shape == (len(p), 5, 6)
    assert np.all((p > 0) & (p <= 1))
    assert np.all(weight >= 0)
    np.testing.assert_allclose(weight.sum(axis=0), 1, rtol=IDENTITY)
    mean = a / (a + b)
    np.testing.assert_allclose((weight * p).sum(axis=0), mean, rtol=EXPECTATION_FAR)
    second = mean * (a + 1) / (a + b + 1)
    np.testing.assert_allclose((weight * p**2).sum(axis=0), second, rtol=EXPECTATION_FAR)


def test_the_quadrature_takes_plain_numbers():
    p, weight = leaving_quadrature(np.array(2.0), np.array(6.0))
    assert p.ndim == weight.ndim == 1
    assert (weight * p).sum() == pytest.approx(0.25, rel=EXPECTATION)


# --- the story, simulated ------------------------------------------------------------------------


class Lives(NamedTuple):
    """What happened to each simulated customer, up to T and in the horizon after it."""

    frequency: np.ndarray
    recency: np.ndarray
    T: np.ndarray
    alive: np.ndarray  # truly so at T
    later: np.ndarray  # purchases in (T, T + HORIZON]


STORY = (0.7, 12.0, 0.9, 2.2)
HORIZON = 30.0


def simulate(dropout: Dropout, customers: int, seed: int) -> Lives:
    """Buy, toss the coin, wait, buy again: one purchase of every customer a round."""
    rng = np.random.default_rng(seed)
    r, alpha, a, b = STORY
    rate, p = rng.gamma(r, 1 / alpha, customers), rng.beta(a, b, customers)
    T = rng.uniform(5, 60, customers)
    clock, recency = np.zeros(customers), np.zeros(customers)
    frequency, later = np.zeros(customers, dtype=int), np.zeros(customers, dtype=int)
    alive = rng.random(customers) >= p if dropout is MBG else np.full(customers, True)
    here = np.flatnonzero(alive)
    while here.size:
        clock[here] += rng.exponential(1 / rate[here])
        here = here[clock[here] <= T[here] + HORIZON]
        known = clock[here] <= T[here]
        frequency[here] += known
        later[here] += ~known
        recency[here[known]] = clock[here[known]]
        leaves = rng.random(here.size) < p[here]
        alive[here[known & leaves]] = False
        here = here[~leaves]
    return Lives(frequency, recency, T, alive, later)


class Told(NamedTuple):
    """One simulated world, and what the module expects of the purchases of its customers."""

    dropout: Dropout
    lives: Lives
    if_alive: np.ndarray


@pytest.fixture(scope="module", params=list(Dropout), ids=str)
def told(request) -> Told:
    lives = simulate(request.param, customers=200_000, seed=2005)
    if_alive = np.empty(len(lives.T))
    for x in np.unique(lives.frequency):  # one quadrature for all customers who share x
        alike = lives.frequency == x
        if_alive[alike] = expected_purchases_if_alive(
            params(*STORY), x, lives.T[alike], HORIZON, request.param
        )
    return Told(request.param, lives, if_alive)


def sigmas(differences) -> float:
    """How many standard errors the mean of the differences is away from zero."""
    error = np.std(differences) / math.sqrt(np.size(differences))
    mean = np.mean(differences)
    return 0.0 if mean == 0 else math.inf if error == 0 else abs(mean) / error


def assert_zero_on_average(differences, about="") -> None:
    assert np.size(differences) >= 300, about
    assert sigmas(differences) < SIGMAS, about


def kinds_of_history(lives: Lives):
    """Customers alike in frequency and in the share of their time that they have been idle."""
    idle = (lives.T - lives.recency) / lives.T
    for low, high in ((0, 0), (1, 1), (2, 2), (3, 5), (6, 11), (12, 10_000)):
        often = (lives.frequency >= low) & (lives.frequency <= high)
        for least, most in ((0, 0.1), (0.1, 0.3), (0.3, 0.7), (0.7, 1)):
            alike = often & (idle > least) & (idle <= most)
            if alike.sum() >= 300:
                yield f"{low}-{high} repeats, idle {least}-{most}", alike


def assert_zero_on_average_in_every_kind(differences, lives: Lives, about="") -> None:
    assert_zero_on_average(differences, about)
    for kind, alike in kinds_of_history(lives):
        assert_zero_on_average(differences[alike], f"{about} {kind}")


def test_the_simulated_customers_are_of_many_kinds(told):
    assert len(list(kinds_of_history(told.lives))) >= 15
    assert 0.2 < told.lives.alive.mean() < 0.9
    assert 0.2 < (told.lives.later > 0).mean() < 0.8


def test_probability_alive_is_the_share_truly_alive_among_customers_of_a_kind(told):
    x, t_x, T, alive, _ = told.lives
    stated = probability_alive(params(*STORY), x, t_x, T, told.dropout)
    assert_zero_on_average_in_every_kind(alive - stated, told.lives)


def test_probability_of_purchase_is_the_share_who_buy_among_customers_of_a_kind(told):
    x, t_x, T, _, later = told.lives
    stated = probability_of_purchase(params(*STORY), x, t_x, T, HORIZON, told.dropout)
    assert_zero_on_average_in_every_kind((later > 0) - stated, told.lives)


def test_expected_purchases_are_the_mean_purchases_among_customers_of_a_kind(told):
    x, t_x, T, _, later = told.lives
    stated = probability_alive(params(*STORY), x, t_x, T, told.dropout) * told.if_alive
    assert_zero_on_average_in_every_kind(later - stated, told.lives)
    few = slice(5_000)
    direct = expected_purchases(params(*STORY), x[few], t_x[few], T[few], HORIZON, told.dropout)
    np.testing.assert_allclose(direct, stated[few], rtol=IDENTITY)


def test_what_is_said_of_those_alive_is_what_those_do_who_are(told):
    x, _, T, alive, later = told.lives
    assert_zero_on_average((later - told.if_alive)[alive])
    bought = probability_of_purchase_if_alive(params(*STORY), x, T, HORIZON)
    assert_zero_on_average(((later > 0) - bought)[alive])


def test_sampled_purchases_are_distributed_as_those_that_happened(told):
    x, t_x, T, _, later = told.lives
    rng = np.random.default_rng(27)
    drawn = sample_purchases(rng, params(*STORY), x, t_x, T, HORIZON, told.dropout)
    features = {
        "mean": lambda count: count,
        "square": lambda count: np.minimum(count, 40.0) ** 2,
        "none": lambda count: count == 0,
        "one": lambda count: count == 1,
        "two": lambda count: count == 2,
        "five or more": lambda count: count >= 5,
        "fifteen or more": lambda count: count >= 15,
    }
    for name, feature in features.items():
        difference = feature(later).astype(float) - feature(drawn)
        assert_zero_on_average_in_every_kind(difference, told.lives, name)


def test_the_simulation_tells_the_two_dropout_rules_apart(told):
    x, t_x, T, alive, later = (values[:50_000] for values in told.lives)
    wrong = BG if told.dropout is MBG else MBG
    parameters = params(*STORY)
    assert sigmas(alive - probability_alive(parameters, x, t_x, T, wrong)) > 3 * SIGMAS
    bought = probability_of_purchase(parameters, x, t_x, T, HORIZON, wrong)
    assert sigmas((later > 0) - bought) > 3 * SIGMAS
    few = slice(20_000)
    count = expected_purchases(parameters, x[few], t_x[few], T[few], HORIZON, wrong)
    assert sigmas(later[few] - count) > SIGMAS


@both_rules
@pytest.mark.parametrize("history", [(0, 0.0, 20.0), (3, 15.0, 20.0), (40, 199.0, 200.0)])
def test_the_sampler_has_the_mean_and_the_zeros_that_the_formulas_state(history, dropout):
    rng = np.random.default_rng(3)
    x, t_x, T = history
    draws = sample_purchases(rng, PAPER, np.full(200_000, x), t_x, T, 26.0, dropout)
    bought = probability_of_purchase(PAPER, x, t_x, T, 26.0, dropout)
    assert_zero_on_average((draws > 0) - bought)
    assert_zero_on_average(draws - expected_purchases(PAPER, x, t_x, T, 26.0, dropout))


# --- extremes and shapes -------------------------------------------------------------------------

FAR = [
    pytest.param((0.25, 30.0, 0.8, 2.5), id="ordinary"),
    pytest.param((0.25, 30.0, 1.0, 2.5), id="a is 1"),
    pytest.param((0.25, 30.0, 1.0, 1.0), id="a and b are 1"),
    pytest.param((0.25, 30.0, 0.3, 0.4), id="a + b below 1"),
    pytest.param((0.25, 30.0, 0.5, 0.5), id="a + b is 1"),
    pytest.param((0.01, 0.1, 0.02, 0.1), id="all small"),
    pytest.param((50.0, 5000.0, 50.0, 1e6), id="all large"),
    pytest.param((0.25, 30.0, 1e-10, 3e-5), id="nobody leaves: the seed's optimum"),
]
EXTREME_HISTORIES = [
    (0, 0, 0),
    (0, 0, 1e-9),
    (0, 0, 400),
    (0, 0, 1e6),
    (1, 1e-9, 1),
    (1, 400, 400),
    (1, 1, 1e6),
    (300, 200, 200),
    (300, 200, 365),
    (1_000_000, 1e6, 1e6),
    (1_000_000, 10, 1e6),
    (1_000_000, 5e5, 1e6),
]


@both_rules
@pytest.mark.parametrize("values", FAR)
def test_extreme_customers_get_finite_answers_in_range(values, dropout):
    parameters = params(*values)
    x, t_x, T = np.array(EXTREME_HISTORIES, dtype=float).T
    horizon = np.array([[0.0], [1e-9], [1.0], [365.0], [1e6]])
    ll = log_likelihood(parameters, x, t_x, T, dropout)
    alive = probability_alive(parameters, x, t_x, T, dropout)
    bought = probability_of_purchase(parameters, x, t_x, T, horizon, dropout)
    count = expected_purchases(parameters, x, t_x, T, horizon, dropout)
    assert np.isfinite(ll).all()
    assert np.all((alive >= 0) & (alive <= 1))
    assert np.all((bought >= 0) & (bought <= alive))
    assert np.isfinite(count).all()
    slack = 1 + 10 * EXPECTATION_FAR
    assert np.all(bought <= count * slack)
    most = alive * (parameters.r + x) / (parameters.alpha + T) * horizon  # were nobody to leave
    assert np.all(count <= most * slack)
    assert np.all(bought[0] == 0)
    assert np.all(count[0] == 0)
    assert np.all(np.diff(bought, axis=0) >= 0)
    assert np.all(np.diff(count, axis=0) >= 0)


@both_rules
@pytest.mark.parametrize("values", FAR)
def test_probability_alive_falls_with_idle_time(values, dropout):
    idle = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 60)])
    for x, t_x in ((1, 1.0), (3, 400.0), (100, 90.0), (1_000_000, 1e6)):
        alive = probability_alive(params(*values), x, t_x, t_x + idle, dropout)
        assert np.all(np.diff(alive) <= 0)
        falling = (alive[:-1] > 1e-300) & (alive[:-1] < 1 - 1e-9)
        assert np.all(np.diff(alive)[falling] < 0)
        if values[2] > 1e-3:  # else nobody leaves, and there is nothing to see
            assert falling.sum() > 2
            assert alive[-1] < alive[0]


@both_rules
@pytest.mark.parametrize("values", FAR)
def test_a_later_last_purchase_makes_it_likelier_that_the_customer_is_alive(values, dropout):
    for x, T in ((1, 1.0), (3, 400.0), (300, 365.0), (1_000_000, 1e6)):
        recency = T * np.concatenate([[0.0], np.geomspace(1e-6, 1, 60)])
        alive = probability_alive(params(*values), x, recency, T, dropout)
        assert np.all(np.diff(alive) >= 0)
        rising = (alive[1:] > 1e-300) & (alive[1:] < 1 - 1e-9)
        assert np.all(np.diff(alive)[rising] > 0)
        assert alive[-1] == pytest.approx(just_after_a_purchase(values, x, dropout), rel=1e-12)


def just_after_a_purchase(values, x, dropout) -> float:
    """(b+n-1)/(a+b+n-1): the last chance to leave was tossed, and nothing is known of it yet."""
    _, _, a, b = values
    survived = b + x - 1 if dropout is BG else b + x
    return survived / (a + survived)


@both_rules
@pytest.mark.parametrize("values", FAR)
def test_who_bought_more_often_is_likelier_to_be_alive_on_the_day_of_a_purchase(values, dropout):
    x = np.array([1, 2, 3, 10, 100, 1e4, 1e6])
    alive = probability_alive(params(*values), x, 400, 400, dropout)
    want = [just_after_a_purchase(values, one, dropout) for one in x]
    np.testing.assert_allclose(alive, want, rtol=CLOSED_FORM)
    assert np.all(np.diff(alive) >= 0)


@both_rules
@pytest.mark.parametrize("values", FAR)
def test_what_a_customer_buys_if_alive_rises_with_frequency_and_falls_with_T(values, dropout):
    x = np.array([0, 1, 2, 5, 30, 300, 1e4, 1e6])
    T = np.array([0, 1, 30, 400, 1e4, 1e6])[:, np.newaxis]
    parameters, slack = params(*values), 1 + 10 * EXPECTATION_FAR
    bought = probability_of_purchase_if_alive(parameters, x, T, 90)
    assert np.all((bought > 0) & (bought <= 1))
    assert np.all(np.diff(bought, axis=1) >= 0)
    assert np.all(np.diff(bought, axis=0) <= 0)
    count = expected_purchases_if_alive(parameters, x, T, 90, dropout)
    assert np.isfinite(count).all()
    assert np.all(count[:, 1:] * slack >= count[:, :-1])
    assert np.all(count[1:] <= count[:-1] * slack)


@both_rules
@pytest.mark.parametrize("values", FAR)
def test_the_log_likelihood_falls_with_silence_and_stays_finite(values, dropout):
    idle = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 60)])
    for x, t_x in ((0, 0.0), (1, 1.0), (3, 400.0), (1_000_000, 1e6)):
        ll = log_likelihood(params(*values), x, t_x, t_x + idle, dropout)
        assert np.isfinite(ll).all()
        steps = np.abs(ll).max() * LOG_TERMS
        assert np.all(np.diff(ll) <= steps)


@pytest.mark.parametrize("values", FAR)
def test_a_one_time_buyer_is_surely_alive_only_where_the_first_purchase_is_no_chance_to_leave(
    values,
):
    T = np.array([0.0, 1.0, 400.0, 1e6])
    assert np.all(probability_alive(params(*values), 0, 0, T, BG) == 1)
    after_any = probability_alive(params(*values), 0, 0, T, MBG)
    assert np.all((after_any > 0) & (after_any < 1))
    assert np.all(np.diff(after_any) < 0)
    _, _, a, b = values
    assert after_any[0] == pytest.approx(b / (a + b), rel=CLOSED_FORM)  # has tossed one coin


@both_rules
@pytest.mark.parametrize(
    ("values", "history", "horizon"),
    [
        ((0.243, 4.414, 0.793, 2.426), (275, 360, 365), 3650),
        ((0.243, 4.414, 0.793, 2.426), (300, 360, 365), 3650),
        ((0.243, 4.414, 0.793, 2.426), (350, 360, 365), 3650),
        ((0.243, 4.414, 1.0, 2.426), (4, 300, 365), 90),
        ((0.243, 4.414, 0.4, 0.6), (0, 0, 365), 90),
        ((0.243, 4.414, 0.2, 0.3), (0, 0, 365), 90),
        ((0.243, 4.414, 1.0, 1.0), (0, 0, 0), 90),
    ],
)
def test_expected_purchases_hold_where_the_hypergeometric_form_of_the_peers_breaks(
    values, history, horizon, dropout
):
    got = of_the_module(values, history, horizon, dropout).expected
    want = of_the_papers(values, history, horizon, dropout).expected
    assert got == pytest.approx(want, rel=EXPECTATION, abs=0)
    assert got > 0


@both_rules
@pytest.mark.parametrize("history", [(1_000_000, 9e5, 1e6), (10_000, 300, 365), (0, 0, 1e6)])
def test_the_log_likelihood_of_extreme_customers_equals_the_closed_form(history, dropout):
    values = (0.25, 4.0, 0.8, 2.5)
    with mp.workdps(60):
        want = of_the_papers(values, history, 0, dropout).log_likelihood
    got = float(log_likelihood(params(*values), *history, dropout))
    assert got == pytest.approx(want, abs=LOG_TERMS * largest_summand(values, history), rel=0)


@both_rules
@pytest.mark.parametrize("values", FAR)
def test_the_sampler_takes_extreme_customers(values, dropout):
    rng = np.random.default_rng(8)
    x, t_x, T = np.repeat(np.array(EXTREME_HISTORIES, dtype=float), 50, axis=0).T
    horizon = np.array([[0.0], [1.0], [365.0], [1e5]])
    drawn = sample_purchases(rng, params(*values), x, t_x, T, horizon, dropout)
    assert drawn.dtype == np.int64
    assert np.all(drawn >= 0)
    assert np.all(drawn[0] == 0)
    assert drawn[-1].max() > 0


def test_the_sampler_lets_a_customer_who_surely_leaves_buy_once():
    # A Beta draw with b near 0 is 1 in floats: they buy, if at all, once.
    rng = np.random.default_rng(9)
    drawn = sample_purchases(rng, params(5.0, 1.0, 5.0, 1e-3), np.zeros(5000), 0, 0, 1e3)
    assert np.mean(drawn == 1) > 0.95


def test_the_sampler_keeps_a_customer_who_never_leaves_buying():
    rng = np.random.default_rng(10)
    drawn = sample_purchases(rng, params(2.0, 1.0, 1e-9, 5.0), np.full(20_000, 98), 9, 9, 40.0)
    assert_zero_on_average(drawn - (2 + 98) / (1 + 9) * 40.0)


@both_rules
def test_arrays_of_draws_and_of_customers_broadcast(dropout):
    rng = np.random.default_rng(4)
    draws = params(*np.exp(rng.normal(size=(4, 3, 1))))
    x, t_x, T = np.array([0, 1, 5, 60]), np.array([0, 10.0, 300.0, 364.0]), np.full(4, 365.0)
    horizon = np.array([1.0, 90.0])[:, np.newaxis, np.newaxis]
    ll = log_likelihood(draws, x, t_x, T, dropout)
    alive = probability_alive(draws, x, t_x, T, dropout)
    bought = probability_of_purchase(draws, x, t_x, T, horizon, dropout)
    count = expected_purchases(draws, x, t_x, T, horizon, dropout)
    if_alive = expected_purchases_if_alive(draws, x, T, horizon, dropout)
    sampled = sample_purchases(rng, draws, x, t_x, T, horizon, dropout)
    assert ll.shape == alive.shape == (3, 4)
    assert bought.shape == count.shape == if_alive.shape == sampled.shape == (2, 3, 4)
    for index in np.ndindex(2, 3, 4):
        h, draw, customer = index
        values = tuple(float(v) for v in (draws.r, draws.alpha, draws.a, draws.b) for v in v[draw])
        history = (x[customer], t_x[customer], T[customer])
        want = of_the_module(values, history, horizon[h, 0, 0], dropout)
        got = Answers(ll[draw, customer], alive[draw, customer], bought[index], count[index])
        assert got == pytest.approx(want, rel=IDENTITY)


def test_one_frequency_serves_many_observation_times():
    draws = params(*np.array([[0.2, 0.3], [20.0, 30.0], [0.7, 0.9], [2.0, 3.0]])[..., np.newaxis])
    T = np.linspace(0, 700, 5)
    together = expected_purchases_if_alive(draws, 2, T, 90.0)
    apart = expected_purchases_if_alive(draws, np.full(5, 2), T, 90.0)
    assert together.shape == (2, 5)
    np.testing.assert_allclose(together, apart, rtol=IDENTITY)


@both_rules
def test_no_customers_get_no_answers(dropout):
    none = np.zeros(0)
    assert log_likelihood(PAPER, none, none, none, dropout).shape == (0,)
    assert probability_alive(PAPER, none, none, none, dropout).shape == (0,)
    assert probability_of_purchase(PAPER, none, none, none, 9, dropout).shape == (0,)
    assert expected_purchases(PAPER, none, none, none, 9, dropout).shape == (0,)
    rng = np.random.default_rng(0)
    assert sample_purchases(rng, PAPER, none, none, none, 9, dropout).shape == (0,)


def test_the_same_seed_draws_the_same_purchases_and_another_seed_others():
    first, again, other = (
        sample_purchases(np.random.default_rng(seed), PAPER, np.full(500, 9), 38, 39, 39)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_functions_leave_their_arguments_as_they_were():
    history = tuple(np.array(values) for values in ([0.0, 3.0], [0.0, 7.0], [9.0, 9.0]))
    draws = params([0.2, 0.3], [4.0, 5.0], [0.7, 0.8], [2.0, 3.0])
    frozen = (*history, draws.r, draws.alpha, draws.a, draws.b)
    before = [array.copy() for array in frozen]
    for array in frozen:
        array.flags.writeable = False
    for dropout in Dropout:
        log_likelihood(draws, *history, dropout)
        expected_purchases(draws, *history, 5, dropout)
        probability_of_purchase(draws, *history, 5, dropout)
        sample_purchases(np.random.default_rng(0), draws, *history, 5, dropout)
    for array, copy in zip(frozen, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_bg_nbd_is_the_rule_unless_the_caller_says_otherwise():
    history = (3, 20.0, 39.0)
    assert log_likelihood(PAPER, *history) == log_likelihood(PAPER, *history, BG)
    assert probability_alive(PAPER, *history) == probability_alive(PAPER, *history, BG)
    assert probability_of_purchase(PAPER, *history, 9) == probability_of_purchase(
        PAPER, *history, 9, BG
    )
    assert expected_purchases(PAPER, *history, 9) == expected_purchases(PAPER, *history, 9, BG)
    assert expected_purchases_if_alive(PAPER, 3, 39.0, 9) == expected_purchases_if_alive(
        PAPER, 3, 39.0, 9, BG
    )
    assert log_likelihood(PAPER, *history, BG) != log_likelihood(PAPER, *history, MBG)


def test_a_dropout_rule_knows_its_name_and_counts_the_chances_to_leave():
    assert Dropout("after_repeat") is BG
    assert Dropout("after_any") is MBG
    assert (BG.model_name, MBG.model_name) == ("BG/NBD", "MBG/NBD")
    np.testing.assert_array_equal(BG.chances([0, 1, 5]), [0.0, 1.0, 5.0])
    np.testing.assert_array_equal(MBG.chances([0, 1, 5]), [1.0, 2.0, 6.0])
    with pytest.raises(ValueError, match="after_none"):
        Dropout("after_none")


def test_parameters_are_indexed_alike_and_cannot_be_changed():
    draws = params([0.1, 0.2, 0.3], [1, 2, 3], [10, 20, 30], [100, 200, 300])
    np.testing.assert_array_equal(draws[1:].b, [200, 300])
    np.testing.assert_array_equal(draws[np.array([2, 0])].alpha, [3, 1])
    assert draws[..., np.newaxis].r.shape == (3, 1)
    assert (draws[0].r, draws[0].alpha, draws[0].a, draws[0].b) == (0.1, 1, 10, 100)
    with pytest.raises(FrozenInstanceError):
        draws.r = np.zeros(3)
