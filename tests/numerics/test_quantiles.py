"""Means and quantiles of rows, against NumPy's."""

import numpy as np
import pytest

from bayes_clv.numerics.quantiles import mean_and_quantiles

ROUNDING = 1e-14  # of values of order 1


def tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2


def rows_of(n: int) -> np.ndarray:
    """Rows in every order that may embarrass a selection."""
    rng = np.random.default_rng(n)
    values = rng.normal(size=(12, n))
    values[1] = np.sort(values[1])
    values[2] = -np.sort(values[2])
    values[3] = 1.5
    values[4] = rng.integers(0, 2, n)
    values[5] = rng.poisson(0.1, n)
    values[6] = np.sin(np.arange(n) / 4)
    values[7] = np.where(np.arange(n) % 31 == 0, 9.0, values[7])  # a sample at equal steps misleads
    values[8] = np.where(np.arange(n) % 31 == 0, -9.0, values[8])
    values[9, 0], values[10, -1] = -1e3, 1e3
    values[11] = 1 / (1 + np.exp(-30 * values[11]))
    return values


@pytest.mark.parametrize("level", [1e-6, 0.3, 0.5, 0.8, 0.9, 0.99, 0.999999])
@pytest.mark.parametrize("n", [1, 2, 3, 20, 127, 128, 129, 255, 256, 257, 400, 3968, 4000])
def test_they_are_those_of_numpy(n: int, level: float) -> None:
    values = rows_of(n)
    got = mean_and_quantiles(values, tails(level))
    want = np.column_stack([values.mean(axis=1), *np.quantile(values, tails(level), axis=1)])
    np.testing.assert_allclose(got, want, rtol=ROUNDING, atol=ROUNDING)


def test_rows_are_left_as_they_were() -> None:
    values = rows_of(1000)
    before = values.copy()
    mean_and_quantiles(values, tails(0.9))
    np.testing.assert_array_equal(values, before)


def test_no_rows_have_no_summary() -> None:
    assert mean_and_quantiles(np.empty((0, 100)), tails(0.9)).shape == (0, 3)
