"""The likelihood kernel against evaluations that share no code.

The plain PyTensor expression, the NumPy formulas and 40-digit arithmetic: whatever the kernel does
to be fast, it must answer what they answer.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import mpmath as mp
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.likelihood import value_and_gradient, value_and_gradient_by_eta
from bayes_clv.inference.purchases.model import symbolic_log_likelihood
from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.segments.rules import POPULATION
from tests.inference.hierarchy import from_eta, in_eta

type Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

# Relative to the sum of the absolute contributions of the rows, which is what rounding scales with.
SAME_NUMBER = 1e-9
# Five-point differences of the value: step^4 of truncation, 1e-16 / step of rounding.
DIFFERENCES = 1e-6
NAMES = ("r", "alpha", "a", "b")
TIME_UNIT = 120.0
PYTHON = Mode(linker="py", optimizer="fast_compile")  # no compiler to wait for


def a_table(n_segments: int, seed: int = 1, n_rows: int = 60) -> LandmarkTable:
    """Random rows, of which many share a frequency or a time; a third of the weights negative."""
    rng = np.random.default_rng(seed)
    T = rng.integers(1, 30, n_rows) * 15.0
    x = rng.choice([0, 0, 1, 2, 3, 7, 40, 300], n_rows).astype(float)
    recency = np.where(x > 0, np.floor(T * rng.choice([0.2, 0.5, 0.9, 1.0], n_rows)), 0.0)
    weight = rng.choice([-3, 1, 2, 11], n_rows).astype(float)
    return LandmarkTable(rng.integers(-1, n_segments, n_rows), x, recency, T, weight)


@dataclass(frozen=True)
class Case:
    table: LandmarkTable
    n_segments: int
    dropout: Dropout

    @property
    def layout(self) -> LikelihoodLayout:
        return LikelihoodLayout.of(self.table, self.n_segments, TIME_UNIT, self.dropout)

    def points(self, n: int, seed: int, reach: float = 4.0) -> list[Floats]:
        """Return r, α, a, b ``(4, group)`` between e^-reach and e^reach."""
        rng = np.random.default_rng(seed)
        return [np.exp(rng.uniform(-reach, reach, (4, self.n_segments + 1))) for _ in range(n)]

    def rows(self, point: Floats) -> Floats:
        """Weighted log-likelihood of each row, by the NumPy formulas."""
        table = self.table
        theta = Parameters(*point[:, table.segment])
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
def plain(name: str) -> Callable[..., list[Floats]]:
    """Value and gradient of the plain expression."""
    case = CASES[name]
    theta = tuple(pt.dvector(parameter) for parameter in NAMES)
    value = symbolic_log_likelihood(theta, case.table, TIME_UNIT, case.dropout)
    return pytensor.function(list(theta), [value, *pytensor.grad(value, list(theta))], mode=PYTHON)


def test_the_tables_of_this_file_hold_what_is_hard() -> None:
    table = CASES["four groups, after_repeat"].table
    assert set(table.segment) == {POPULATION, 0, 1, 2}
    assert (table.weight < 0).any()
    assert {0, 300} <= set(table.frequency)
    assert ((table.recency == table.T) & (table.frequency > 0)).any()
    assert len(np.unique(CASES["four groups, after_repeat"].layout.time)) < 2 * len(table)


@pytest.mark.parametrize("name", CASES)
def test_the_fused_value_and_gradient_equal_those_of_the_plain_expression(name: str) -> None:
    case, run = CASES[name], plain(name)
    layout = case.layout
    for point in case.points(40, seed=2):
        value, *gradient = value_and_gradient(*point, layout)
        expected, *slopes = run(*point)
        scale = np.abs(case.rows(point)).sum()
        assert abs(value - expected) <= SAME_NUMBER * scale
        for one, other in zip(gradient, slopes, strict=True):
            assert one.shape == (case.n_segments + 1,)
            assert np.abs(other).max() > 0
            np.testing.assert_allclose(one, other, rtol=SAME_NUMBER, atol=SAME_NUMBER)


@each_case
def test_the_fused_value_equals_the_sum_of_the_numpy_log_likelihood(case: Case) -> None:
    layout = case.layout
    for point in case.points(100, seed=3, reach=7.0):
        rows = case.rows(point)
        value = value_and_gradient(*point, layout)[0]
        assert abs(value - rows.sum()) <= SAME_NUMBER * np.abs(rows).sum()


@each_case
def test_the_gradient_equals_finite_differences_of_the_numpy_log_likelihood(case: Case) -> None:
    layout = case.layout
    for point in case.points(5, seed=4, reach=2.0):
        gradient = value_and_gradient(*point, layout)[1:]
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
    layout = LikelihoodLayout.of(table, 0, 1.0, dropout)
    point = (0.3, 25.0, 0.6, 2.5)
    value, *gradient = value_and_gradient(*(np.array([p]) for p in point), layout)
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


def test_equal_rows_may_be_split_and_time_may_be_counted_in_any_unit() -> None:
    case = CASES["four groups, after_any"]
    point = case.points(1, seed=8)[0]
    expected = value_and_gradient(*point, case.layout)
    twice = LandmarkTable(
        *(
            np.tile(getattr(case.table, name), 2)
            for name in ("segment", "frequency", "recency", "T")
        ),
        np.tile(case.table.weight / 2, 2),
    )
    split = value_and_gradient(
        *point, LikelihoodLayout.of(twice, case.n_segments, TIME_UNIT, case.dropout)
    )
    for one, other in zip(expected, split, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-9)
    in_days = point * np.array([1.0, TIME_UNIT, 1.0, 1.0])[:, None]
    days = value_and_gradient(
        *in_days, LikelihoodLayout.of(case.table, case.n_segments, 1.0, case.dropout)
    )
    # A density of x purchase times: a change of unit adds w x ln(unit), whatever the parameters.
    shift = case.table.weight @ case.table.frequency * np.log(TIME_UNIT)
    assert days[0] == pytest.approx(expected[0] - shift, rel=1e-10)
    np.testing.assert_allclose(days[1], expected[1], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(days[2] * TIME_UNIT, expected[2], rtol=1e-8, atol=1e-8)


def test_a_group_without_rows_has_no_say() -> None:
    case = CASES["four groups, after_repeat"]
    point = case.points(1, seed=9)[0]
    wider = np.insert(point, case.n_segments, [0.5, 2.0, 3.0, 4.0], axis=1)
    layout = LikelihoodLayout.of(case.table, case.n_segments + 1, TIME_UNIT, case.dropout)
    value, *gradient = value_and_gradient(*wider, layout)
    assert value == pytest.approx(value_and_gradient(*point, case.layout)[0], rel=1e-12)
    assert [slope[case.n_segments] for slope in gradient] == [0.0] * 4


def test_more_equal_rows_than_a_block_takes_are_all_counted() -> None:
    rng = np.random.default_rng(15)
    n = 3000
    T = rng.uniform(10, 1000, n)
    x, weight = rng.choice([1.0, 2.0], n), rng.choice([1.0, -2.0, 7.0], n, p=[0.9, 0.05, 0.05])
    table = LandmarkTable(np.full(n, POPULATION), x, T * rng.uniform(0, 1, n), T, weight)
    for dropout in Dropout:
        case = Case(table, 0, dropout)
        assert np.diff(case.layout.block_start).max() == 512
        # As many as possible as likely to have left as not, where the product grows fastest.
        for point in (*case.points(10, seed=16), np.array([[1e-9], [1.0], [1.0], [1.0]])):
            value, *gradient = value_and_gradient(*point, case.layout)
            rows = case.rows(point)
            assert abs(value - rows.sum()) <= SAME_NUMBER * np.abs(rows).sum()
            step = 1e-6
            for which in range(4):
                up, down = (
                    case.rows(point * (1 + sign * step * np.eye(4)[:, [which]])) for sign in (1, -1)
                )
                slopes = (up - down) / (2 * step * point[which, 0])
                assert abs(gradient[which][0] - slopes.sum()) <= 1e-6 * np.abs(slopes).sum() + 1e-3


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
    layout = LikelihoodLayout.of(table, 0, 200.0, dropout)
    for corner in itertools.product((1e-10, 1.0, 1e10), repeat=4):
        value, *gradient = value_and_gradient(
            *(np.array([parameter]) for parameter in corner), layout
        )
        assert np.isfinite([value, *np.ravel(gradient)]).all(), corner


@each_case
def test_the_slope_by_eta_equals_finite_differences(case: Case) -> None:
    eta = in_eta(case.points(1, seed=10, reach=1.5)[0])
    value, slope = value_and_gradient_by_eta(eta, case.layout)
    assert value == pytest.approx(case.rows(from_eta(eta)).sum(), rel=1e-10)
    assert slope.shape == eta.shape
    for index in np.ndindex(eta.shape):
        move = np.zeros_like(eta)
        move[index] = 1e-3
        near, far = (
            value_and_gradient_by_eta(eta + k * move, case.layout)[0]
            - value_and_gradient_by_eta(eta - k * move, case.layout)[0]
            for k in (1, 2)
        )
        difference = (8 * near - far) / (12 * 1e-3)
        assert slope[index] == pytest.approx(difference, rel=1e-6, abs=1e-5)


LIMITS = {
    "a + b": (3, lambda far: (0.7, 3.0, 0.3 * far, 0.7 * far)),
    "r and alpha": (1, lambda far: (far, 2.5 * far, 0.8, 2.5)),
    "both": (3, lambda far: (far, 2.5 * far, 0.3 * far, 0.7 * far)),
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("dropout", list(Dropout))
def test_where_customers_are_alike_the_value_goes_to_its_limit(
    limit: str, dropout: Dropout
) -> None:
    """Sums of ln Γ have no digits left there, and what is left can be a mode that is none.

    Two rows of a segment whose weights cancel, as those of a customer who did nothing new.
    """
    component, parameters = LIMITS[limit]
    table = a_table(0, seed=17)
    table = LandmarkTable(
        table.segment, table.frequency, table.recency, table.T, table.weight * 100_000.0
    )
    rows = list(zip(table.frequency, table.recency, table.T, strict=True))
    layout = LikelihoodLayout.of(table, 0, 1.0, dropout)
    for far in (1e3, 1e6, 1e10, 1e17):
        theta = parameters(far)
        with mp.workdps(60):
            each = [exact(row, dropout, tuple(map(mp.mpf, theta))) for row in rows]
            expected = mp.fsum(float(w) * ll for w, ll in zip(table.weight, each, strict=True))
            scale = float(
                mp.fsum(abs(float(w) * ll) for w, ll in zip(table.weight, each, strict=True))
            )
        value = value_and_gradient(*(np.array([it]) for it in theta), layout)[0]
        assert abs(value - float(expected)) <= 1e-12 * scale
        eta = in_eta(np.array(theta)[:, None])
        slope = value_and_gradient_by_eta(eta, layout)[1][0]
        assert np.abs(slope[component]) * far < 1e3 * scale, "nothing pulls any more"
