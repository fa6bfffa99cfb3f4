"""The compiled measures against the plain functions of bgnbd, and outcomes against their law."""

from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from scipy.stats import chi2

from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.posterior import mixtures
from bayes_clv.posterior.outcomes import sample_purchases
from bayes_clv.posterior.state_groups import Group
from tests.posterior.alone import evaluate, group_of, model_of, sample

EXACT = 1e-12  # relative
FAR_EXACT = 1e-11  # the same where exponents are of thousands, and each ulp of them counts
NEVER = 1e-300  # below it, P(alive) may be called 0
HORIZON = 90.0

both_rules = pytest.mark.parametrize("dropout", list(Dropout), ids=str)


def draws_round(r: float, alpha: float, a: float, b: float, n: int = 40) -> Parameters:
    """Draws that spread far more than those of a posterior do."""
    rng = np.random.default_rng(243)
    return Parameters(*(value * np.exp(rng.normal(0, 0.5, n)) for value in (r, alpha, a, b)))


CDNOW = draws_round(0.243, 4.414 * 7, 0.793, 2.426)
LOYAL = draws_round(1.5, 60.0, 0.05, 4.0)  # hardly anybody leaves
FICKLE = draws_round(3.0, 5.0, 12.0, 1.5)


def states_of(frequency: float, latest: float, n: int = 300) -> Group:
    rng = np.random.default_rng(int(frequency) + 1)
    T = np.sort(np.ceil(rng.uniform(0, latest, n)))
    return group_of(frequency, np.floor(T * rng.random(n) ** 0.3) * (frequency > 0), T)


def directly(
    function: Callable[..., np.ndarray], parameters: Parameters, group: Group, *others: object
) -> np.ndarray:
    recency, T = group.recency[:, None], group.T[:, None]
    return function(parameters, group.frequency, recency, T, *others)


# The formulas


@both_rules
@pytest.mark.parametrize("latest", [40.0, 730.0, 20_000.0])
@pytest.mark.parametrize("frequency", [0.0, 1.0, 7.0, 150.0, 5000.0])
@pytest.mark.parametrize("parameters", [CDNOW, LOYAL, FICKLE], ids=["cdnow", "loyal", "fickle"])
def test_every_measure_equals_the_plain_function(
    parameters: Parameters, frequency: float, latest: float, dropout: Dropout
) -> None:
    group = states_of(frequency, latest)
    for quantity, function, others in (
        (mixtures.probability_alive(), bgnbd.probability_alive, ()),
        (mixtures.probability_of_purchase(HORIZON), bgnbd.probability_of_purchase, (HORIZON,)),
        (mixtures.expected_purchases(HORIZON), bgnbd.expected_purchases, (HORIZON,)),
    ):
        (got,) = evaluate(model_of(parameters, dropout), group, quantity)
        want = directly(function, parameters, group, *others, dropout)
        np.testing.assert_allclose(got, want, rtol=EXACT, atol=NEVER)


@pytest.mark.parametrize("horizon", [1e-6, 1.0, 3650.0])
def test_any_horizon_will_do(horizon: float) -> None:
    dropout, group = Dropout.AFTER_REPEAT, states_of(3.0, 730.0)
    for name in ("probability_of_purchase", "expected_purchases"):
        (got,) = evaluate(model_of(CDNOW, dropout), group, getattr(mixtures, name)(horizon))
        want = directly(getattr(bgnbd, name), CDNOW, group, horizon, dropout)
        np.testing.assert_allclose(got, want, rtol=EXACT, atol=NEVER)


# Published figures: parameters and times in weeks

BTYD = (0.2425967, 4.413659, 0.7929869, 2.426164)  # BTYD walkthrough, p. 20
PAPER = (0.243, 4.414, 0.793, 2.426)  # Fader, Hardie & Lee (2005)
MODIFIED = (0.525, 6.183, 0.891, 1.614)  # MBG/NBD; lifetimes' tests, citing BTYDplus
BG, MBG = Dropout.AFTER_REPEAT, Dropout.AFTER_ANY


@pytest.mark.parametrize(
    ("values", "dropout", "history", "weeks", "alive", "expected"),
    [
        (BTYD, BG, (26, 30 + 6 / 7, 31), 52, 0.9688523, 25.75659),  # customer 1516
        (BTYD, BG, (10, 20, 39), 52, None, 0.3474606),  # the increasing frequency paradox
        (BTYD, BG, (25, 20, 39), 52, None, 0.0003583685),
        (PAPER, BG, (2, 30.43, 38.86), 39, 0.72658, 1.22603),
        (PAPER, BG, (20, 30, 39), 52, 0.1968, None),
        (MODIFIED, MBG, (2, 30.43, 38.86), 39, None, 1.2630),
        (MODIFIED, MBG, (0, 0, 38.86), 39, 0.38974, None),
    ],
)
def test_published_figures_come_out_of_the_compiled_code(
    values: tuple[float, ...],
    dropout: Dropout,
    history: tuple[float, ...],
    weeks: float,
    alive: float | None,
    expected: float | None,
) -> None:
    x, t_x, T = history
    parameters = Parameters(*(np.array([value]) for value in values))
    group = group_of(x, np.array([t_x], float), np.array([T], float))
    for quantity, published in (
        (mixtures.probability_alive(), alive),
        (mixtures.expected_purchases(weeks), expected),
    ):
        if published is not None:
            got = evaluate(model_of(parameters, dropout), group, quantity)[0].item()
            assert got == pytest.approx(published, rel=3e-4 if alive == 0.1968 else 4e-5)


# Extremes

FAR = [
    pytest.param((0.25, 30.0, 0.8, 2.5), id="ordinary"),
    pytest.param((0.25, 30.0, 1.0, 2.5), id="a is 1"),
    pytest.param((0.25, 30.0, 0.3, 0.4), id="a + b below 1"),
    pytest.param((0.25, 30.0, 0.5, 0.5), id="a + b is 1"),
    pytest.param((0.01, 0.1, 0.02, 0.1), id="all small"),
    pytest.param((50.0, 5000.0, 50.0, 1e6), id="all large"),
    pytest.param((0.25, 30.0, 1e-10, 3e-5), id="nobody leaves"),
]
EXTREME_T = np.array([0.0, 1e-9, 1.0, 365.0, 1e4, 1e6])


def extreme_states(frequency: float) -> Group:
    """Every T with a last purchase at once, midway and today."""
    shares = np.array([0.0]) if frequency == 0 else np.array([0.0, 0.5, 1.0])
    T = np.repeat(EXTREME_T, len(shares))
    return group_of(frequency, T * np.tile(shares, len(EXTREME_T)), T)


@both_rules
@pytest.mark.parametrize("frequency", [0.0, 1.0, 300.0, 1e6])
@pytest.mark.parametrize("values", FAR)
def test_extreme_customers_get_finite_answers_in_range_and_those_of_the_plain_function(
    values: tuple[float, ...], frequency: float, dropout: Dropout
) -> None:
    parameters = Parameters(*(np.array([value, value * 1.01]) for value in values))
    group, horizons = extreme_states(frequency), (1e-9, 1.0, 365.0, 1e6)
    model = model_of(parameters, dropout)
    (alive,) = evaluate(model, group, mixtures.probability_alive())
    assert ((alive >= 0) & (alive <= 1)).all()
    plain = directly(bgnbd.probability_alive, parameters, group, dropout)
    np.testing.assert_allclose(alive, plain, rtol=FAR_EXACT, atol=NEVER)
    for name in ("probability_of_purchase", "expected_purchases"):
        answers = []
        for horizon in horizons:
            (answer,) = evaluate(model, group, getattr(mixtures, name)(horizon))
            plain = directly(getattr(bgnbd, name), parameters, group, horizon, dropout)
            never = NEVER * max(
                1.0, plain.max()
            )  # P(alive) may be called 0, whatever it multiplies
            np.testing.assert_allclose(answer, plain, rtol=FAR_EXACT, atol=never)
            answers.append(answer)
        assert np.isfinite(answers).all()
        assert (np.diff(answers, axis=0) >= 0).all(), "the longer, the more"
        if name == "probability_of_purchase":
            assert (np.array(answers) <= alive).all()


@both_rules
@pytest.mark.parametrize("values", FAR)
def test_compiled_probability_alive_falls_with_idle_time_and_rises_with_recency(
    values: tuple[float, ...], dropout: Dropout
) -> None:
    parameters = Parameters(*(np.array([value]) for value in values))
    model = model_of(parameters, dropout)

    def alive_of(group: Group) -> np.ndarray:
        return evaluate(model, group, mixtures.probability_alive())[0]

    idle = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 50)])
    for x, t_x in ((1.0, 1.0), (3.0, 400.0), (1e6, 1e6)):
        silent = group_of(x, np.full(len(idle), t_x), t_x + idle)
        assert (np.diff(alive_of(silent), axis=0) <= 0).all()
        later = np.linspace(0, t_x, 50)
        recent = group_of(x, later, np.full(len(later), t_x))
        assert (np.diff(alive_of(recent), axis=0) >= 0).all()
    T = np.array([0.0, 1.0, 400.0, 1e6])
    once = group_of(0.0, np.zeros(4), T)
    alive = alive_of(once)[:, 0]
    if dropout is BG:
        assert (alive == 1).all()
    else:
        assert ((alive > 0) & (alive < 1)).all()
        assert (np.diff(alive) < 0).all()


# Outcomes


def outcome_law(values: tuple[float, ...], state: tuple[float, ...], dropout: Dropout, most: int):
    """P(outcome = 0, …, most, more), by integration over λ and p apart, in mpmath."""
    r, alpha, a, b = (float(value) for value in values)
    x, t_x, T = state
    n = float(dropout.chances(x))
    point = Parameters(*(np.array(value) for value in (r, alpha, a, b)))
    alive = float(bgnbd.probability_alive(point, x, t_x, T, dropout))
    k, rate = mp.mpf(r + x), mp.mpf(alpha + T)

    def wants(m: int):  # Poisson(λ t) with λ ~ Gamma(k, rate)
        return mp.quad(
            lambda rate_of_buying: (
                mp.exp(-rate_of_buying * HORIZON)
                * (rate_of_buying * HORIZON) ** m
                / mp.factorial(m)
                * rate**k
                * rate_of_buying ** (k - 1)
                * mp.exp(-rate * rate_of_buying)
                / mp.gamma(k)
            ),
            [0, 0.01, 0.1, 1, mp.inf],
        )

    def stays(m: int):  # E (1 − p)^m with p ~ Beta(a, b + n)
        return mp.beta(a, b + n + m) / mp.beta(a, b + n)

    above = [alive * float((1 - sum(map(wants, range(m + 1)))) * stays(m)) for m in range(most + 1)]
    return -np.diff([1.0, *above, 0.0])


@both_rules
@pytest.mark.parametrize("state", [(0.0, 0.0, 50.0), (2.0, 60.0, 90.0), (9.0, 80.0, 85.0)])
def test_outcomes_follow_their_law(state: tuple[float, ...], dropout: Dropout) -> None:
    values, n, most = (0.6, 30.0, 0.8, 2.5), 400_000, 8
    x, t_x, T = state
    group = group_of(x, np.array([t_x]), np.array([T]))
    parameters = Parameters(*(np.full(n, value) for value in values))
    outcomes = sample(model_of(parameters, dropout), group, sample_purchases(HORIZON, seed=11))
    seen = np.bincount(np.minimum(outcomes[0], most + 1).astype(int), minlength=most + 2)
    expected = n * outcome_law(values, state, dropout, most)
    assert expected.min() > 20
    surprise = ((seen - expected) ** 2 / expected).sum()
    assert chi2.sf(surprise, most + 1) > 1e-4


@both_rules
@pytest.mark.parametrize("horizon", [30.0, 2000.0])
def test_very_frequent_buyers_outcomes_are_distributed_as_those_of_the_plain_function(
    horizon: float, dropout: Dropout
) -> None:
    # Two purchases a day: within 30 days they are drawn by inversion, within 2,000 by their story.
    state, n = (400.0, 199.0, 200.0), 20_000
    parameters = Parameters(*(np.full(n, value) for value in (0.5, 5.0, 0.5, 60.0)))
    group = group_of(state[0], np.array([state[1]]), np.array([state[2]]))
    (drawn,) = sample(model_of(parameters, dropout), group, sample_purchases(horizon, seed=3))
    rng = np.random.default_rng(4)
    told = bgnbd.sample_purchases(rng, parameters, *state, horizon, dropout)
    error = np.hypot(drawn.std(), told.std()) / np.sqrt(n)
    assert abs(drawn.mean() - told.mean()) < 4 * error
    for q in (0.1, 0.5, 0.9):
        at = np.quantile(told, q)
        assert abs(np.mean(drawn <= at) - np.mean(told <= at)) < 4 * np.sqrt(0.5 / n)


def test_horizons_and_customers_beyond_measure_have_outcomes() -> None:
    group = group_of(1e6, np.array([9e5, 1e6]), np.array([1e6, 1e6]))
    for horizon in (1.0, 1e6, 1e12):
        outcomes = sample(model_of(CDNOW, Dropout.AFTER_ANY), group, sample_purchases(horizon, 0))
        assert np.isfinite(outcomes).all()
        assert (outcomes >= 0).all()
        assert (outcomes == np.round(outcomes)).all()


def test_states_and_draws_have_outcomes_of_their_own() -> None:
    group = states_of(4.0, 730.0, 40)
    parameters = Parameters(*(np.full(5_000, value) for value in (2.0, 10.0, 0.3, 5.0)))
    outcomes = sample(model_of(parameters), group, sample_purchases(HORIZON, 1))
    _, first = np.unique(np.column_stack([group.T, group.recency]), axis=0, return_index=True)
    apart = outcomes[first]
    apart = apart[apart.std(axis=1) > 0.1]
    assert len(apart) > 10
    between_states = np.corrcoef(apart)[np.triu_indices(len(apart), 1)]
    between_draws = [np.corrcoef(row[:-1], row[1:])[0, 1] for row in apart]
    for correlations in (between_states, np.array(between_draws)):
        assert np.abs(correlations).max() < 5 / np.sqrt(5_000)


@pytest.mark.parametrize("seed", [0, 1, 2**64, 10**40])
def test_any_seed_gives_outcomes_and_the_same_again(seed: int) -> None:
    group = states_of(4.0, 730.0, 40)
    model = model_of(CDNOW)
    first, again = (sample(model, group, sample_purchases(HORIZON, seed)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = sample(model, group, sample_purchases(HORIZON, seed + 1))
    assert (first != other).any()
