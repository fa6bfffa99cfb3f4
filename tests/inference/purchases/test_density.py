"""The density that NUTS walks on: the PyMC model's, in other coordinates."""

import itertools
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytest
from arviz_stats import ess
from pytensor.compile.mode import Mode
from scipy.stats import halfnorm, kstest, norm

from bayes_clv.inference.purchases.density import LogDensity
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.model import build_model
from bayes_clv.inference.purchases.reactivating import ReactivatingDensity
from bayes_clv.inference.purchases.stretch_layout import StretchLayout
from bayes_clv.inference.sampling import SamplerSettings, check_density, sample
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.diagnostics import MAX_DIVERGENT
from tests.inference.hierarchy import (
    PRIORS,
    REACTIVATION_PRIORS,
    SEGMENTS,
    Floats,
    column,
    real_looking_stretches,
    real_looking_table,
)

PYTHON = Mode(linker="py", optimizer="fast_compile")
NAMES = ("r", "alpha", "a", "b")


def prepared(
    *, segments: bool = True, negative: bool = False, dropout: Dropout = Dropout.AFTER_REPEAT
) -> tuple[pm.Model, LogDensity]:
    table = real_looking_table()
    if negative:
        table = replace(table, weight=np.where(np.arange(len(table)) % 5 == 0, -1.0, 1.0))
    names = SEGMENTS if segments else ("everybody",)
    model = build_model(table, names, PRIORS, dropout=dropout, time_unit=200.0)
    return model, LogDensity(LikelihoodLayout.of(table, len(names), 200.0, dropout), PRIORS)


def with_reactivation(dropout: Dropout) -> tuple[pm.Model, LogDensity]:
    stretches, priors = real_looking_stretches(), REACTIVATION_PRIORS
    model = build_model(
        stretches.first,
        SEGMENTS,
        PRIORS,
        dropout=dropout,
        time_unit=200.0,
        stretches=stretches,
        reactivation=priors,
    )
    layout = LikelihoodLayout.of(stretches.first, len(SEGMENTS), 200.0, dropout)
    after = StretchLayout.of(stretches, 200.0, dropout)
    return model, ReactivatingDensity(layout, after, PRIORS, priors)


CASES = {
    "segments": prepared(),
    "pooled": prepared(segments=False),
    "negative weights": prepared(negative=True),
    "after any": prepared(dropout=Dropout.AFTER_ANY),
    "reactivation": with_reactivation(Dropout.AFTER_REPEAT),
    "reactivation, after any": with_reactivation(Dropout.AFTER_ANY),
}
each_case = pytest.mark.parametrize(("model", "density"), CASES.values(), ids=CASES)


def point(density: LogDensity, x: Floats) -> dict[str, Floats]:
    return density.point(density.variables(x))


@each_case
def test_value_and_gradient_are_those_of_the_model_and_the_jacobian(
    model: pm.Model, density: LogDensity
) -> None:
    log_posterior = model.compile_logp(mode=PYTHON)
    slopes = model.compile_dlogp(mode=PYTHON)
    rng = np.random.default_rng(1)
    for _ in range(10):
        x = 1.5 * rng.standard_normal(density.n_dim)
        value, gradient = density(x)
        at = density.variables(x)
        expected = float(log_posterior(point(density, x))) + at.log_jacobian
        near_0 = {"abs": 1e-8} if isinstance(density, ReactivatingDensity) else {}
        assert value == pytest.approx(expected, rel=1e-10, **near_0)
        # The chain rule through the change of coordinates, by central differences of the latter.
        slope = slopes(point(density, x))
        by_jacobian = np.empty(density.n_dim)
        moved = np.empty((density.n_dim, len(slope)))
        step = 1e-5
        for i in range(density.n_dim):
            ends = []
            for sign in (1, -1):
                y = x.copy()
                y[i] += sign * step
                flat = [np.ravel(part) for part in point(density, y).values()]
                ends.append((np.concatenate(flat), density.variables(y).log_jacobian))
            moved[i] = (ends[0][0] - ends[1][0]) / (2 * step)
            by_jacobian[i] = (ends[0][1] - ends[1][1]) / (2 * step)
        scale = np.abs(moved) @ np.abs(slope) + 1
        np.testing.assert_allclose(
            gradient / scale, (moved @ slope + by_jacobian) / scale, atol=1e-8
        )


@each_case
def test_the_jacobian_is_the_determinant_of_the_change_of_coordinates(
    model: pm.Model, density: LogDensity
) -> None:
    x = np.random.default_rng(2).standard_normal(density.n_dim)
    step = 1e-6
    columns = []
    for i in range(density.n_dim):
        move = np.zeros(density.n_dim)
        move[i] = step
        up, down = (
            np.concatenate([np.ravel(part) for part in point(density, x + sign * move).values()])
            for sign in (1, -1)
        )
        columns.append((up - down) / (2 * step))
    _, expected = np.linalg.slogdet(np.array(columns))
    assert density.variables(x).log_jacobian == pytest.approx(expected, rel=1e-6, abs=1e-6)


@each_case
def test_the_parameters_are_the_models_deterministics(model: pm.Model, density: LogDensity) -> None:
    x = np.random.default_rng(3).standard_normal((2, 3, density.n_dim))
    at = density.variables(x)
    outputs = [model[f"{name}_population"] for name in NAMES] + [model[name] for name in NAMES]
    values = model.replace_rvs_by_values(outputs)
    run = pytensor.function(model.value_vars, values, mode=PYTHON, on_unused_input="ignore")
    order = [value.name for value in model.value_vars]
    for index in np.ndindex(2, 3):
        seen = run(*(point(density, x[index])[name] for name in order))
        for which, name in enumerate(NAMES):
            groups = density.parameters(at)[name][index]
            np.testing.assert_allclose(groups[-1], seen[which], rtol=1e-12)
            own = groups[:-1] if density.n_segments else groups
            np.testing.assert_allclose(own, seen[4 + which], rtol=1e-12)


@pytest.mark.parametrize("dropout", list(Dropout))
def test_so_are_epsilon_and_the_law_of_a_fresh_start(dropout: Dropout) -> None:
    model, density = with_reactivation(dropout)
    x = np.random.default_rng(3).standard_normal((2, 3, density.n_dim))
    at = density.variables(x)
    values = model.replace_rvs_by_values([model[name] for name in density.scalars])
    run = pytensor.function(model.value_vars, values, mode=PYTHON, on_unused_input="ignore")
    order = [value.name for value in model.value_vars]
    for index in np.ndindex(2, 3):
        seen = run(*(point(density, x[index])[name] for name in order))
        for name, value in zip(density.scalars, seen, strict=True):
            assert density.scalars_at(at)[name][index] == pytest.approx(float(value), rel=1e-12)


def test_a_density_that_is_not_the_models_is_refused() -> None:
    model, density = CASES["segments"]
    check_density(model, density)
    other, _ = CASES["after any"]
    with pytest.raises(RuntimeError, match="differs from the PyMC model's"):
        check_density(other, density)


def test_any_two_arrays_of_the_stretches_that_are_swapped_are_noticed() -> None:
    model, density = CASES["reactivation, after any"]
    assert isinstance(density, ReactivatingDensity)
    fields = density._stretches._asdict()
    alike: dict[object, list[str]] = {}
    for name, values in fields.items():
        if values.dtype == np.int32 and name != "row_fresh":  # others would lead out of arrays
            alike.setdefault(values.shape, []).append(name)
    pairs = [pair for names in alike.values() for pair in itertools.combinations(names, 2)]
    pairs += [("key_x", "key_y"), ("key_y", "key_n"), ("fresh_days", "fresh_last")]
    assert len(pairs) == 9
    for one, other in pairs:
        swapped = copy(density)
        swapped._stretches = density._stretches._replace(**{one: fields[other], other: fields[one]})
        with pytest.raises(RuntimeError, match="differs from the PyMC model's"):
            check_density(model, swapped)


def test_any_two_arrays_of_the_layout_that_are_swapped_are_noticed() -> None:
    model, density = CASES["after any"]
    layout = density._layout
    alike: dict[object, list[str]] = {}
    for name, values in layout._asdict().items():
        # Indices into other arrays would lead out of those.
        if isinstance(values, np.ndarray) and values.dtype != np.int64:
            alike.setdefault((values.dtype, values.shape), []).append(name)
    pairs = [pair for names in alike.values() for pair in itertools.combinations(names, 2)]
    assert {("row_T", "row_recency"), ("time_weight", "time_x"), ("key_x", "key_n")} <= set(pairs)
    for one, other in pairs:
        fields = layout._asdict()
        swapped = copy(density)
        swapped._layout = layout._replace(**{one: fields[other], other: fields[one]})
        with pytest.raises(RuntimeError, match="differs from the PyMC model's"):
            check_density(model, swapped)


@pytest.mark.parametrize("component", range(4))
def test_where_tau_is_next_to_nothing_the_density_and_its_gradient_keep_their_digits(
    component: int,
) -> None:
    """Deviations from μ were once lost in it, and a chain stuck where nothing pulled it back."""
    _, density = CASES["segments"]
    x = 0.5 * np.random.default_rng(4).standard_normal(density.n_dim)
    for u in (-12.0, -17.0, -22.0):
        x[4 + component] = u
        assert density.variables(x).tau[component] < 1e-3
        _, gradient = density(x)
        step = 1e-4
        for place in range(density.n_dim):
            move = np.zeros(density.n_dim)
            move[place] = step
            difference = (density(x + move)[0] - density(x - move)[0]) / (2 * step)
            assert gradient[place] == pytest.approx(difference, rel=1e-4, abs=1e-4), (u, place)
        assert gradient[4 + component] > 1, "back to where τ may be"


@pytest.mark.long  # coordinates made for data do not suit the prior
def test_without_data_the_sampler_draws_from_the_prior() -> None:
    table = real_looking_table()
    nothing = replace(table, weight=np.zeros(len(table)))
    layout = LikelihoodLayout.of(nothing, len(SEGMENTS), 200.0, Dropout.AFTER_REPEAT)
    # Coordinates made for data: they may not matter either.
    of_data = LogDensity(
        LikelihoodLayout.of(table, 3, 200.0, Dropout.AFTER_REPEAT), PRIORS
    ).coordinates
    density = LogDensity(layout, PRIORS, of_data)
    model = build_model(nothing, SEGMENTS, PRIORS, time_unit=200.0)
    settings = SamplerSettings(draws=2000, tune=500, chains=4, seed=1, target_accept=0.97)
    tree = sample(model, density, settings)
    assert tree["sample_stats"]["diverging"].mean() <= MAX_DIVERGENT
    draws = tree["posterior"].to_dataset()
    mean, sd, between = (column(PRIORS, name) for name in ("mean", "sd", "between"))

    def p_value(values: Floats, expected: Any) -> float:
        """The test wants independent draws: of so many, about one in each stretch of them."""
        stretch = int(np.ceil(values.size / ess(values)))
        return float(kstest(values[:, ::stretch].ravel(), expected.cdf).pvalue)

    for c in range(4):
        for name, expected in (
            ("mu", norm(mean[c], sd[c])),
            ("tau", halfnorm(scale=between[c])),
        ):
            assert p_value(draws[name].to_numpy()[..., c], expected) > 1e-4, (name, c)
        for s in range(len(SEGMENTS)):
            assert p_value(draws["z"].to_numpy()[..., s, c], norm) > 1e-4, (s, c)
