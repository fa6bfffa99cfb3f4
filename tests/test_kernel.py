"""The likelihood kernel, the coordinates and the model, against evaluations that share no code.

The plain PyTensor expression, the NumPy formulas, 40-digit arithmetic, and a direct simulation of
the priors: whatever the kernel does to be fast, it must answer what they answer.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import mpmath as mp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from scipy.special import digamma
from scipy.stats import halfnorm, norm

from bayes_clv import bgnbd, model
from bayes_clv.bgnbd import Dropout, Parameters
from bayes_clv.centering import Start, find_start, value_and_slope
from bayes_clv.kernel import (
    Layout,
    _digamma,
    fused_log_likelihood,
    log_likelihood_and_gradient,
)
from bayes_clv.landmarks import LandmarkTable
from bayes_clv.likelihood import symbolic_log_likelihood
from bayes_clv.model import build_model
from bayes_clv.priors import COMPONENTS, ComponentPrior, Priors
from bayes_clv.segments.rules import POPULATION

type Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

# Relative to the sum of the absolute contributions of the rows, which is what rounding scales with.
SAME_NUMBER = 1e-9
# Five-point differences of the value: step^4 of truncation, 1e-16 / step of rounding.
DIFFERENCES = 1e-6
# Monte Carlo, in standard errors; some hundred seeded comparisons are made.
SIGMAS = 4.5
NAMES = ("r", "alpha", "a", "b")
TIME_UNIT = 120.0
PYTHON = Mode(linker="py", optimizer="fast_compile")  # `perform`, and no compiler to wait for


def a_table(n_segments: int, seed: int = 1, n_rows: int = 60) -> LandmarkTable:
    """Random rows, of which many share a frequency or a time; a third of the weights negative."""
    rng = np.random.default_rng(seed)
    T = rng.integers(1, 30, n_rows) * 15.0
    x = rng.choice([0, 0, 1, 2, 3, 7, 40, 300], n_rows).astype(float)
    recency = np.where(x > 0, np.floor(T * rng.choice([0.2, 0.5, 0.9, 1.0], n_rows)), 0.0)
    weight = rng.choice([-3, 1, 2, 11], n_rows).astype(float)
    return LandmarkTable(rng.integers(-1, n_segments, n_rows), x, recency, T, weight)


def real_looking_table(n_segments: int = 3, seed: int = 5) -> LandmarkTable:
    """States at the end of customers simulated from the model; one more share is the population's.

    Segments differ, so that the data pull their parameters apart, and the last one has few rows.
    """
    rng = np.random.default_rng(seed)
    size = 400
    segment = rng.choice(np.arange(-1, n_segments), size, p=[0.4, 0.35, 0.23, 0.02])
    T = rng.integers(30, 365, size).astype(float)
    rate = rng.gamma(0.8 + 0.5 * (segment + 1), 1 / 60, size)
    p = rng.beta(0.7, 2.0 + segment, size)
    x, recency = np.zeros(size), np.zeros(size)
    for i in range(size):
        day = 0.0
        while (day := day + rng.exponential(1 / rate[i]) + 1) < T[i]:
            x[i], recency[i] = x[i] + 1, np.floor(day)
            if rng.random() < p[i]:
                break
    return LandmarkTable(segment, x, recency, T, np.ones(size))


@dataclass(frozen=True)
class Case:
    table: LandmarkTable
    n_segments: int
    dropout: Dropout

    @property
    def layout(self) -> Layout:
        return Layout.of(self.table, self.n_segments, TIME_UNIT, self.dropout)

    def points(self, n: int, seed: int, reach: float = 4.0) -> list[Floats]:
        """Return r, α, a, b ``(4, group)`` between e^-reach and e^reach."""
        rng = np.random.default_rng(seed)
        return [np.exp(rng.uniform(-reach, reach, (4, self.n_segments + 1))) for _ in range(n)]

    def rows(self, point: Floats) -> Floats:
        """Weighted log-likelihood of each row, by the NumPy formulas."""
        table = self.table
        theta = Parameters(*point[:, table.segment + 1])
        each = bgnbd.log_likelihood(
            theta, table.frequency, table.recency / TIME_UNIT, table.T / TIME_UNIT, self.dropout
        )
        return table.weight * each


CASES = {
    f"{name}, {dropout}": Case(a_table(n_segments), n_segments, dropout)
    for name, n_segments in (("population only", 0), ("four groups", 3))
    for dropout in Dropout
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@cache
def compiled(name: str) -> Callable[..., list[Floats]]:
    """Fused value and gradient, then plain value and gradient, run by `perform`."""
    case = CASES[name]
    theta = tuple(pt.dvector(parameter) for parameter in NAMES)
    outputs = []
    for value in (
        fused_log_likelihood(theta, case.layout),
        symbolic_log_likelihood(theta, case.table, TIME_UNIT, case.dropout),
    ):
        outputs += [value, *pytensor.grad(value, list(theta))]
    return pytensor.function(list(theta), outputs, mode=PYTHON)


def test_the_tables_of_this_file_hold_what_is_hard() -> None:
    table = CASES["four groups, after_repeat"].table
    assert set(table.segment) == {POPULATION, 0, 1, 2}
    assert (table.weight < 0).any()
    assert {0, 300} <= set(table.frequency)
    assert ((table.recency == table.T) & (table.frequency > 0)).any()
    assert len(np.unique(CASES["four groups, after_repeat"].layout.time)) < 2 * len(table)


@pytest.mark.parametrize("name", CASES)
def test_the_fused_value_and_gradient_equal_those_of_the_plain_expression(name: str) -> None:
    case, run = CASES[name], compiled(name)
    for point in case.points(40, seed=2):
        answers = run(*point)
        (fused_value, *fused), (plain_value, *plain) = answers[:5], answers[5:]
        scale = np.abs(case.rows(point)).sum()
        assert abs(fused_value - plain_value) <= SAME_NUMBER * scale
        for one, other in zip(fused, plain, strict=True):
            assert one.shape == (case.n_segments + 1,)
            assert np.abs(other).max() > 0
            np.testing.assert_allclose(one, other, rtol=SAME_NUMBER, atol=SAME_NUMBER)


@each_case
def test_the_fused_value_equals_the_sum_of_the_numpy_log_likelihood(case: Case) -> None:
    layout = case.layout
    for point in case.points(100, seed=3, reach=7.0):
        rows = case.rows(point)
        value = log_likelihood_and_gradient(*point, layout)[0]
        assert abs(value - rows.sum()) <= SAME_NUMBER * np.abs(rows).sum()


@each_case
def test_the_gradient_equals_finite_differences_of_the_numpy_log_likelihood(case: Case) -> None:
    layout = case.layout
    for point in case.points(5, seed=4, reach=2.0):
        gradient = log_likelihood_and_gradient(*point, layout)[1:]
        for which, group in itertools.product(range(4), range(case.n_segments + 1)):
            step = 1e-3 * point[which, group]

            def at(move: float, index=(which, group), point=point, step=step) -> Floats:
                moved = point.copy()
                moved[index] += move * step
                return case.rows(moved)

            slopes = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
            off = abs(gradient[which][group] - slopes.sum())
            assert off <= DIFFERENCES * np.abs(slopes).sum() > 0


def exact(row: tuple[float, ...], dropout: Dropout, theta: tuple[mp.mpf, ...]) -> mp.mpf:
    """DESIGN's formula, one row, any precision."""
    r, alpha, a, b = theta
    x, t_x, T = map(mp.mpf, row)
    n = x + (1 if dropout is Dropout.AFTER_ANY else 0)
    stay = (alpha + T) ** -(r + x)
    left = a / (b + n - 1) * (alpha + t_x) ** -(r + x) if n > 0 else mp.mpf(0)
    gammas = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha)
    return gammas + mp.log(mp.beta(a, b + n) / mp.beta(a, b)) + mp.log(stay + left)


@pytest.mark.parametrize("dropout", list(Dropout))
def test_value_and_gradient_equal_forty_digit_arithmetic(dropout: Dropout) -> None:
    table = a_table(0, seed=6, n_rows=8)
    layout = Layout.of(table, 0, 1.0, dropout)
    point = (0.3, 25.0, 0.6, 2.5)
    value, *gradient = log_likelihood_and_gradient(*(np.array([p]) for p in point), layout)
    rows = list(zip(table.frequency, table.recency, table.T, strict=True))

    def total(*theta: mp.mpf) -> mp.mpf:
        each = (exact(row, dropout, theta) for row in rows)
        return mp.fsum(float(w) * ll for w, ll in zip(table.weight, each, strict=True))

    with mp.workdps(40):
        assert value == pytest.approx(float(total(*map(mp.mpf, point))), rel=1e-12)
        for which, slope in enumerate(gradient):
            order = tuple(int(k == which) for k in range(4))
            expected = float(mp.diff(total, tuple(map(mp.mpf, point)), order))
            assert slope[0] == pytest.approx(expected, rel=1e-11)


def test_numba_and_perform_give_one_answer_and_scale_the_gradient_of_what_is_built_on_it() -> None:
    case = CASES["four groups, after_repeat"]
    theta = tuple(pt.dvector(parameter) for parameter in NAMES)
    value = fused_log_likelihood(theta, case.layout)
    slopes = pytensor.grad(pt.sqr(value), list(theta))
    run = pytensor.function(list(theta), [value, *slopes], mode="NUMBA")
    for point in case.points(5, seed=7):
        expected, *gradient = compiled("four groups, after_repeat")(*point)[:5]
        value, *slopes = run(*point)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(slopes, 2 * expected * np.array(gradient), rtol=1e-12)


def test_equal_rows_may_be_split_and_time_may_be_counted_in_any_unit() -> None:
    case = CASES["four groups, after_any"]
    point = case.points(1, seed=8)[0]
    expected = log_likelihood_and_gradient(*point, case.layout)
    twice = LandmarkTable(
        *(
            np.tile(getattr(case.table, name), 2)
            for name in ("segment", "frequency", "recency", "T")
        ),
        np.tile(case.table.weight / 2, 2),
    )
    split = log_likelihood_and_gradient(
        *point, Layout.of(twice, case.n_segments, TIME_UNIT, case.dropout)
    )
    for one, other in zip(expected, split, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-9)
    in_days = point * np.array([1.0, TIME_UNIT, 1.0, 1.0])[:, None]
    days = log_likelihood_and_gradient(
        *in_days, Layout.of(case.table, case.n_segments, 1.0, case.dropout)
    )
    # A density of x purchase times: a change of unit adds w x ln(unit), whatever the parameters.
    shift = case.table.weight @ case.table.frequency * np.log(TIME_UNIT)
    assert days[0] == pytest.approx(expected[0] - shift, rel=1e-10)
    np.testing.assert_allclose(days[1], expected[1], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(days[2] * TIME_UNIT, expected[2], rtol=1e-8, atol=1e-8)


def test_a_group_without_rows_has_no_say() -> None:
    case = CASES["four groups, after_repeat"]
    point = case.points(1, seed=9)[0]
    wider = np.column_stack([point, [0.5, 2.0, 3.0, 4.0]])
    layout = Layout.of(case.table, case.n_segments + 1, TIME_UNIT, case.dropout)
    value, *gradient = log_likelihood_and_gradient(*wider, layout)
    assert value == pytest.approx(log_likelihood_and_gradient(*point, case.layout)[0], rel=1e-12)
    assert [slope[-1] for slope in gradient] == [0.0] * 4


def test_digamma_equals_scipys() -> None:
    x = np.concatenate(
        [np.geomspace(1e-6, 1e8, 4001), np.linspace(9, 11, 201), np.linspace(1.4, 1.5, 101)]
    )
    ours = np.array([_digamma(value) for value in x])
    # Absolute near the root at 1.4616, where the recurrence cancels.
    np.testing.assert_allclose(ours, digamma(x), rtol=2e-14, atol=5e-15)
    assert _digamma(1.0) == pytest.approx(-np.euler_gamma, rel=1e-15)


@pytest.mark.parametrize("dropout", list(Dropout))
def test_extreme_parameters_and_histories_give_finite_values_and_gradients(
    dropout: Dropout,
) -> None:
    table = LandmarkTable(
        np.full(5, POPULATION),
        np.array([0.0, 1.0, 30.0, 5000.0, 3.0]),
        np.array([0.0, 1.0, 100.0, 9999.0, 0.5]),
        np.array([1.0, 1e5, 215.0, 1e4, 4e4]),
        np.array([1e6, 1.0, -2.0, 1.0, 3.0]),
    )
    layout = Layout.of(table, 0, 200.0, dropout)
    for corner in itertools.product((1e-10, 1.0, 1e10), repeat=4):
        value, *gradient = log_likelihood_and_gradient(
            *(np.array([parameter]) for parameter in corner), layout
        )
        assert np.isfinite([value, *np.ravel(gradient)]).all(), corner


def in_eta(theta: Floats) -> Floats:
    r, alpha, a, b = theta
    return np.column_stack([np.log(r / alpha), np.log(r), np.log(a / b), np.log(a + b)])


def from_eta(eta: Floats) -> Floats:
    rate, shape, dropout, concentration = eta.T
    share = 1 / (1 + np.exp(-dropout))
    total = np.exp(concentration)
    return np.array([np.exp(shape), np.exp(shape - rate), total * share, total * (1 - share)])


@each_case
def test_the_slope_by_eta_equals_finite_differences(case: Case) -> None:
    eta = in_eta(case.points(1, seed=10, reach=1.5)[0])
    value, slope = value_and_slope(eta, case.layout)
    assert value == pytest.approx(case.rows(from_eta(eta)).sum(), rel=1e-10)
    assert slope.shape == eta.shape
    for index in np.ndindex(eta.shape):
        move = np.zeros_like(eta)
        move[index] = 1e-3
        near, far = (
            value_and_slope(eta + k * move, case.layout)[0]
            - value_and_slope(eta - k * move, case.layout)[0]
            for k in (1, 2)
        )
        difference = (8 * near - far) / (12 * 1e-3)
        assert slope[index] == pytest.approx(difference, rel=1e-6, abs=1e-5)


SEGMENTS = ("big", "middling", "tiny")
PRIORS = Priors(rate=ComponentPrior(0.3, 1.5, 0.4), dropout=ComponentPrior(-0.5, 1.0, 0.8))


@cache
def started() -> tuple[LandmarkTable, Layout, Start]:
    table = real_looking_table()
    layout = Layout.of(table, len(SEGMENTS), table.mean_T, Dropout.AFTER_REPEAT)
    return table, layout, find_start(layout, PRIORS)


def column(priors: Priors, name: str) -> Floats:
    return np.array([getattr(getattr(priors, component), name) for component in COMPONENTS])


def test_the_start_is_the_mode_of_each_group_under_its_marginal_prior() -> None:
    _, layout, start = started()
    mean, sd, between = (column(PRIORS, name) for name in ("mean", "sd", "between"))
    variance = np.vstack([sd**2, *[sd**2 + between**2] * len(SEGMENTS)])

    def penalised(eta: Floats) -> float:
        return value_and_slope(eta, layout)[0] - float(np.sum((eta - mean) ** 2 / variance) / 2)

    slope = value_and_slope(start.mode, layout)[1] - (start.mode - mean) / variance
    prior_slope = value_and_slope(np.tile(mean, (4, 1)), layout)[1]
    assert np.abs(prior_slope).max() > 10, "the prior's mean must not be the mode already"
    assert np.abs(slope).max() < 1e-3
    rng = np.random.default_rng(11)
    for _ in range(50):
        elsewhere = start.mode + rng.normal(0, 0.1, start.mode.shape)
        assert penalised(elsewhere) < penalised(start.mode)


def test_centring_lies_between_none_and_full_and_grows_with_what_the_data_say() -> None:
    table, _, start = started()
    assert start.centred.shape == (len(SEGMENTS), len(COMPONENTS))
    assert ((start.centred >= 0) & (start.centred <= 1)).all()
    assert (start.centred[0] > start.centred[2]).all(), "many customers say more than a few"
    more = replace(table, weight=table.weight * 1000)
    rich = find_start(Layout.of(more, 3, table.mean_T, Dropout.AFTER_REPEAT), PRIORS)
    assert (rich.centred[0] > 0.9).all()


def test_a_segment_without_customers_stays_at_the_prior_and_is_not_centred() -> None:
    table, _, _ = started()
    start = find_start(Layout.of(table, 4, table.mean_T, Dropout.AFTER_REPEAT), PRIORS)
    np.testing.assert_allclose(start.mode[4], column(PRIORS, "mean"), atol=1e-6)
    np.testing.assert_allclose(start.centred[3], 0.0, atol=1e-12)


@each_case
def test_centring_survives_negative_weights(case: Case) -> None:
    start = find_start(case.layout, Priors())
    assert np.isfinite(start.mode).all()
    assert ((start.centred >= 0) & (start.centred <= 1)).all()


def prior_by_hand(n: int, time_unit: float, seed: int) -> dict[str, Floats]:
    """DESIGN §6 in NumPy: draws of the population's and one segment's parameters, α in days."""
    rng = np.random.default_rng(seed)
    mean, sd, between = (column(PRIORS, name) for name in ("mean", "sd", "between"))
    mu = rng.normal(mean, sd, (n, 4))
    tau = np.abs(rng.normal(0, between, (n, 4)))
    eta = mu + tau * rng.standard_normal((n, 4))
    days = np.array([1.0, time_unit, 1.0, 1.0])[:, None]
    drawn = {"population": from_eta(mu) * days, "segment": from_eta(eta) * days}
    return {"difference": in_eta(drawn["segment"]).T - in_eta(drawn["population"]).T, **drawn}


def assert_same_distribution(draws: Floats, reference: Floats) -> None:
    for q in (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98):
        below = np.mean(draws <= np.quantile(reference, q))
        error = np.sqrt(q * (1 - q) * (1 / len(draws) + 1 / len(reference)))
        assert abs(below - q) < SIGMAS * error, (q, below)


@pytest.mark.parametrize("centred", ["found", 0.0, 1.0])
def test_the_prior_of_the_parameters_is_the_designs_whatever_the_centring(
    centred: str | float, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, _, start = started()
    if isinstance(centred, float):
        start = Start(start.mode, np.full_like(start.centred, centred))
    else:
        assert start.centred.std() > 0.1, "the centring found must be a mixture"
    monkeypatch.setattr(model, "find_start", lambda layout, priors: start)
    built = build_model(table, SEGMENTS, PRIORS)
    names = [*NAMES, *(f"{name}_population" for name in NAMES)]
    with built:
        drawn = pm.draw([built[name] for name in names], 4000, random_seed=12, mode=PYTHON)
    segments, population = np.array(drawn[:4]), np.array(drawn[4:])
    assert segments.shape == (4, 4000, len(SEGMENTS))
    reference = prior_by_hand(100_000, table.mean_T, seed=13)
    for which in range(4):
        assert_same_distribution(population[which], reference["population"][which])
        for segment in range(len(SEGMENTS)):
            assert_same_distribution(segments[which, :, segment], reference["segment"][which])
    for segment in range(len(SEGMENTS)):
        apart = in_eta(segments[:, :, segment]).T - in_eta(population).T
        for which in range(4):
            assert_same_distribution(apart[which], reference["difference"][which])
    # Given μ and τ segments are independent and share τ: their distances from μ are uncorrelated.
    first, second = (in_eta(segments[:, :, s]) - in_eta(population) for s in (0, 1))
    for which in range(4):
        correlation = np.corrcoef(first[:, which], second[:, which])[0, 1]
        assert abs(correlation) < 2 * SIGMAS / np.sqrt(4000)  # heavy tails


def test_the_model_starts_at_the_mode_and_its_density_is_prior_times_likelihood() -> None:
    table, _, start = started()
    built = build_model(table, SEGMENTS, PRIORS)
    at = built.initial_point()
    mean, sd, between = (column(PRIORS, name) for name in ("mean", "sd", "between"))
    outputs = [built[name] for name in NAMES]
    values = built.replace_rvs_by_values(outputs)
    parameters = pytensor.function(built.value_vars, values, mode=PYTHON)
    density = pytensor.function(built.value_vars, built.logp(jacobian=False), mode=PYTHON)
    order = [value.name for value in built.value_vars]
    days = np.array([1.0, table.mean_T, 1.0, 1.0])[:, None]
    begun = np.array(parameters(*(at[name] for name in order)))
    np.testing.assert_allclose(begun, from_eta(start.mode[1:]) * days, rtol=1e-8)

    rng = np.random.default_rng(14)
    for _ in range(5):
        mu, tau = rng.normal(mean, 0.5), np.exp(rng.normal(np.log(between), 0.3))
        w = rng.normal(start.centred * mu, 0.5)
        eta = np.vstack([mu, mu + tau ** (1 - start.centred) * (w - start.centred * mu)])
        theta = Parameters(*(from_eta(eta) * days)[:, table.segment + 1])
        each = bgnbd.log_likelihood(theta, table.frequency, table.recency, table.T)
        unit = table.weight @ table.frequency * np.log(table.mean_T)
        expected = (
            norm.logpdf(mu, mean, sd).sum()
            + halfnorm.logpdf(tau, scale=between).sum()
            + norm.logpdf(w, start.centred * mu, tau**start.centred).sum()
            + table.weight @ each
            + unit
        )
        point = {"mu": mu, "tau_log__": np.log(tau), "w": w}
        assert density(*(point[name] for name in order)) == pytest.approx(expected, rel=1e-9)


def test_the_models_variables_and_their_dimensions_are_named() -> None:
    table, _, _ = started()
    built = build_model(table, SEGMENTS)
    assert {variable.name for variable in built.free_RVs} == {"mu", "tau", "w"}
    dims = {name: built.named_vars_to_dims.get(name) for name in built.named_vars}
    assert dims == {
        "mu": ("component",),
        "tau": ("component",),
        "w": ("segment", "component"),
        **dict.fromkeys(NAMES, ("segment",)),
        **{f"{name}_population": None for name in NAMES},
        "landmark_log_likelihood": None,
    }
    assert tuple(built.coords["segment"]) == SEGMENTS
    assert tuple(built.coords["component"]) == COMPONENTS


def pooled_potential(table: LandmarkTable, names: tuple[str, ...]) -> tuple[pm.Model, float, float]:
    """Build the model of at most one segment; its potential at a point, and what it should be."""
    built = build_model(table, names)
    assert {variable.name for variable in built.free_RVs} == {"mu"}
    potential = built.replace_rvs_by_values(built.potentials)
    eta = np.array([[0.2, -0.4, -0.8, 0.9]])
    value = pytensor.function(built.value_vars, potential, mode=PYTHON)(eta[0])[0]
    theta = Parameters(*from_eta(eta))
    times = table.recency / table.mean_T, table.T / table.mean_T
    each = bgnbd.log_likelihood(theta, table.frequency, *times)
    return built, float(value), float(table.weight @ each)


def test_a_pooled_model_has_neither_tau_nor_w_and_everybody_in_it() -> None:
    table, _, _ = started()
    everybody = replace(table, segment=np.full(len(table), POPULATION))
    built, value, expected = pooled_potential(everybody, ("all customers",))
    assert value == pytest.approx(expected, rel=1e-10)
    assert built.named_vars_to_dims["r"] == ("segment",)
    assert built["r"].type.shape == (1,) or built["r"].eval().shape == (1,)
    assert "tau" not in built.named_vars
    assert "w" not in built.named_vars


def test_a_single_segment_is_pooled_with_the_population_though_its_rows_carry_its_code() -> None:
    table, _, _ = started()
    alone = replace(table, segment=np.where(table.segment == POPULATION, POPULATION, 0))
    assert set(alone.segment) == {POPULATION, 0}
    _, value, expected = pooled_potential(alone, ("everybody",))
    assert value == pytest.approx(expected, rel=1e-10)
