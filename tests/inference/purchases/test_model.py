"""The PyMC model against the design: a direct simulation of its priors, and prior × likelihood."""

from dataclasses import replace
from functools import cache

import numpy as np
import pymc as pm
import pytensor
import pytest
from pytensor.compile.mode import Mode
from scipy.stats import halfnorm, norm

from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.purchases.model import build_model
from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Parameters
from bayes_clv.models.priors import COMPONENTS
from bayes_clv.segments.rules import POPULATION
from tests.inference.hierarchy import (
    PRIORS,
    SEGMENTS,
    Floats,
    column,
    from_eta,
    in_eta,
    real_looking_table,
)

# Monte Carlo, in standard errors; some hundred seeded comparisons are made.
SIGMAS = 4.5
NAMES = ("r", "alpha", "a", "b")
PYTHON = Mode(linker="py", optimizer="fast_compile")  # no compiler to wait for


@cache
def built() -> tuple[LandmarkTable, pm.Model]:
    table = real_looking_table()
    return table, build_model(table, SEGMENTS, PRIORS)


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


def test_the_prior_of_the_parameters_is_the_designs() -> None:
    table, model = built()
    names = [*NAMES, *(f"{name}_population" for name in NAMES)]
    with model:
        drawn = pm.draw([model[name] for name in names], 4000, random_seed=12, mode=PYTHON)
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


def test_the_density_is_prior_times_likelihood() -> None:
    table, model = built()
    mean, sd, between = (column(PRIORS, name) for name in ("mean", "sd", "between"))
    density = pytensor.function(model.value_vars, model.logp(jacobian=False), mode=PYTHON)
    order = [value.name for value in model.value_vars]
    days = np.array([1.0, table.mean_T, 1.0, 1.0])[:, None]
    rng = np.random.default_rng(14)
    for _ in range(5):
        mu, tau = rng.normal(mean, 0.5), np.exp(rng.normal(np.log(between), 0.3))
        z = rng.standard_normal((len(SEGMENTS), 4))
        eta = np.vstack([mu + tau * z, mu])
        theta = Parameters(*(from_eta(eta) * days)[:, table.segment])
        each = bgnbd.log_likelihood(theta, table.frequency, table.recency, table.T)
        unit = table.weight @ table.frequency * np.log(table.mean_T)
        expected = (
            norm.logpdf(mu, mean, sd).sum()
            + halfnorm.logpdf(tau, scale=between).sum()
            + norm.logpdf(z).sum()
            + table.weight @ each
            + unit
        )
        point = {"mu": mu, "tau_log__": np.log(tau), "z": z}
        assert density(*(point[name] for name in order)) == pytest.approx(expected, rel=1e-9)


def test_the_models_variables_and_their_dimensions_are_named() -> None:
    _, model = built()
    assert {variable.name for variable in model.free_RVs} == {"mu", "tau", "z"}
    dims = {name: model.named_vars_to_dims.get(name) for name in model.named_vars}
    assert dims == {
        "mu": ("component",),
        "tau": ("component",),
        "z": ("segment", "component"),
        **dict.fromkeys(NAMES, ("segment",)),
        **{f"{name}_population": None for name in NAMES},
        "landmark_log_likelihood": None,
    }
    assert tuple(model.coords["segment"]) == SEGMENTS
    assert tuple(model.coords["component"]) == COMPONENTS


@pytest.mark.long  # PyMC's own sampler compiles the graph
def test_other_samplers_run_on_the_model() -> None:
    _, model = built()
    with model:
        with pytest.warns(UserWarning, match="Potentials"):  # there are no data to predict
            prior = pm.sample_prior_predictive(20, random_seed=1)
        tree = pm.sample(tune=200, draws=100, chains=2, cores=1, random_seed=1, progressbar=False)
    assert prior["prior"]["r"].shape == (1, 20, len(SEGMENTS))
    posterior = tree["posterior"].to_dataset()
    assert posterior["z"].shape == (2, 100, len(SEGMENTS), 4)
    assert np.isfinite(posterior["alpha"]).all()


def pooled_potential(table: LandmarkTable, names: tuple[str, ...]) -> tuple[pm.Model, float, float]:
    """Build the model of at most one segment; its potential at a point, and what it should be."""
    model = build_model(table, names)
    assert {variable.name for variable in model.free_RVs} == {"mu"}
    potential = model.replace_rvs_by_values(model.potentials)
    eta = np.array([[0.2, -0.4, -0.8, 0.9]])
    value = pytensor.function(model.value_vars, potential, mode=PYTHON)(eta[0])[0]
    theta = Parameters(*from_eta(eta))
    times = table.recency / table.mean_T, table.T / table.mean_T
    each = bgnbd.log_likelihood(theta, table.frequency, *times)
    return model, float(value), float(table.weight @ each)


def test_a_pooled_model_has_neither_tau_nor_z_and_everybody_in_it() -> None:
    table, _ = built()
    everybody = replace(table, segment=np.full(len(table), POPULATION))
    model, value, expected = pooled_potential(everybody, ("all customers",))
    assert value == pytest.approx(expected, rel=1e-10)
    assert model.named_vars_to_dims["r"] == ("segment",)
    assert model["r"].type.shape == (1,) or model["r"].eval().shape == (1,)
    assert "tau" not in model.named_vars
    assert "z" not in model.named_vars


def test_a_single_segment_is_pooled_with_the_population_though_its_rows_carry_its_code() -> None:
    table, _ = built()
    alone = replace(table, segment=np.where(table.segment == POPULATION, POPULATION, 0))
    assert set(alone.segment) == {POPULATION, 0}
    _, value, expected = pooled_potential(alone, ("everybody",))
    assert value == pytest.approx(expected, rel=1e-10)
