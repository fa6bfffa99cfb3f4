"""What NUTS calls is the density itself: same values, same draws."""

import ctypes
import gc
from typing import Any, NamedTuple

import numpy as np
import nutpie
import pytest

from bayes_clv.inference.c_function import Native, native
from bayes_clv.inference.hierarchy import HierarchicalDensity
from bayes_clv.inference.purchases.density import LogDensity
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.model import build_model
from bayes_clv.inference.sampling import SamplerSettings, sample
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.numerics.jit import compiled
from tests.inference.hierarchy import PRIORS, SEGMENTS, Floats, real_looking_table

_DOUBLES = ctypes.POINTER(ctypes.c_double)


def of_purchases(n_segments: int = len(SEGMENTS)) -> LogDensity:
    layout = LikelihoodLayout.of(real_looking_table(), n_segments, 100.0, Dropout.AFTER_ANY)
    return LogDensity(layout, PRIORS)


def called(made: Native, x: Floats) -> tuple[int, float, Floats]:
    """Call it as C does; its code, the value and the gradient."""
    function: Any = made.function
    slope, value = np.full_like(x, 7.0), np.full(1, 7.0)
    pointers = [it.ctypes.data_as(_DOUBLES) for it in (x, slope, value)]
    code = function.ctypes(len(x), *pointers, made.memory.ctypes.data)
    return code, float(value[0]), slope


@pytest.mark.parametrize("n_segments", [1, 3])
def test_a_c_function_answers_what_the_density_does(n_segments: int) -> None:
    density = of_purchases(n_segments)
    made = native(density.compiled, density.arguments)
    for seed in range(5):
        x = density.start(seed) / 2
        value, slope = density(x)
        code, seen, by_x = called(made, x)
        assert (code, seen) == (0, value)
        np.testing.assert_array_equal(by_x, slope)


def test_its_arguments_outlive_whoever_made_them() -> None:
    density = of_purchases()
    x = density.start(0) / 2
    expected = density(x)[0]
    made = native(density.compiled, density.arguments)
    del density
    gc.collect()
    others = [np.random.default_rng(k).random(400) for k in range(2_000)]  # where they might lie
    assert called(made, x)[:2] == (0, expected)
    assert len(others) == 2_000


def test_each_density_keeps_its_own_arguments() -> None:
    one, other = of_purchases(), of_purchases(4)
    made = [native(it.compiled, it.arguments) for it in (one, other)]
    for density, function in zip((one, other), made, strict=True):
        x = density.start(1) / 2
        assert called(function, x)[1] == density(x)[0]


class Given(NamedTuple):
    numbers: Floats
    limit: float


@compiled
def _picky(x, given):  # type: ignore[no-untyped-def]
    if x[0] > given.limit:
        raise ValueError
    return (given.numbers * x).sum() / x[1], given.numbers / x[1]


def test_what_is_not_finite_or_fails_is_told_by_a_code() -> None:
    made = native(_picky, (Given(np.array([1.0, 2.0]), 5.0),))
    assert called(made, np.array([1.0, 2.0]))[:2] == (0, 2.5)
    assert called(made, np.array([1.0, 0.0]))[0] > 0, "infinite"
    assert called(made, np.array([np.nan, 1.0]))[0] > 0
    assert called(made, np.array([6.0, 1.0]))[0] > 0, "raised"
    assert called(made, np.array([1.0, 2.0]))[:2] == (0, 2.5)


def test_the_draws_are_those_of_nutpies_own_way_for_functions_of_python() -> None:
    density = of_purchases()
    settings = SamplerSettings(draws=50, tune=60, chains=2, seed=4)
    model = build_model(
        real_looking_table(), SEGMENTS, PRIORS, dropout=Dropout.AFTER_ANY, time_unit=100.0
    )
    seen = sample(model, density, settings)
    told = nutpie.sample(
        _by_python(density),
        draws=50,
        tune=60,
        chains=2,
        seed=4,
        target_accept=settings.target_accept,
        maxdepth=settings.max_depth,
        initial_step=0.5,
        adaptation="low_rank",
        save_warmup=False,
        progress_bar=False,
    )
    expected = density.variables(told["posterior"]["x"].to_numpy())
    np.testing.assert_array_equal(seen["posterior"]["mu"], expected.mu)
    np.testing.assert_array_equal(seen["posterior"]["z"], expected.z)


def _by_python(density: HierarchicalDensity) -> Any:
    return nutpie.compiled_pyfunc.from_pyfunc(
        density.n_dim,
        make_logp_fn=lambda: density,
        make_expand_fn=lambda *seeds: lambda x: {"x": x},
        expanded_dtypes=[np.dtype(np.float64)],
        expanded_shapes=[(density.n_dim,)],
        expanded_names=["x"],
        make_initial_point_fn=density.start,
    )
