"""The ladder: what is done next about draws that cannot be trusted, whatever the draws."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
import xarray as xr

from bayes_clv import HierarchicalBetaGeo, load_cdnow
from bayes_clv.inference import fitting
from bayes_clv.inference.fitting import RUNGS, fit_table
from bayes_clv.inference.hierarchy import HierarchicalDensity
from bayes_clv.inference.progress import Stages
from bayes_clv.inference.purchases.density import LogDensity
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.model import build_model
from bayes_clv.inference.sampling import SamplerSettings, sample
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.diagnostics import Diagnostics
from tests.inference.hierarchy import PRIORS, SEGMENTS, real_looking_table

ASKED = SamplerSettings(draws=500, tune=100, chains=4, seed=3)
GOOD = Diagnostics(1.002, 2000.0, 1500.0, 0, 0.9, ())
DIVERGED = replace(GOOD, divergences=1, complaints=("1 divergent transitions",))
SHORT = replace(GOOD, ess_bulk=390.0, ess_tail=200.0, complaints=("tail ESS is 200",))
APART = replace(GOOD, r_hat=1.3, ess_bulk=9.0, complaints=("R-hat is 1.3",))
REMARK = replace(DIVERGED, complaints=(), remarks=("1 of 2,000 transitions diverged",))


@dataclass
class Sampler:
    """Stands in for NUTS: is told what to find, and remembers how it was asked."""

    verdicts: list[Diagnostics]
    tree: xr.DataTree
    settings: list[SamplerSettings] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    densities: list[HierarchicalDensity] = field(default_factory=list)
    most_careful: list[bool] = field(default_factory=list)

    def sample(
        self,
        model: Any,
        density: HierarchicalDensity,
        settings: SamplerSettings,
        *,
        label: str,
        stages: Stages,
    ) -> xr.DataTree:
        self.settings.append(settings)
        self.labels.append(label)
        self.densities.append(density)
        return self.tree

    def diagnose(self, tree: xr.DataTree, *, most_careful: bool) -> Diagnostics:
        self.most_careful.append(most_careful)
        return self.verdicts.pop(0)


def some_draws() -> xr.DataTree:
    rng = np.random.default_rng(1)
    dims = ("chain", "draw")
    shape, n_segments = (4, ASKED.draws), len(SEGMENTS)
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {
                    "mu": ((*dims, "component"), rng.normal(0, 0.2, (*shape, 4))),
                    "tau": ((*dims, "component"), rng.lognormal(-1, 0.3, (*shape, 4))),
                    "z": (
                        (*dims, "segment", "component"),
                        rng.normal(size=(*shape, n_segments, 4)),
                    ),
                }
            )
        }
    )


@pytest.fixture
def climb(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(*verdicts: Diagnostics, asked: SamplerSettings = ASKED) -> tuple[Any, Sampler]:
        sampler = Sampler(list(verdicts), some_draws())
        monkeypatch.setattr(fitting, "sample", sampler.sample)
        monkeypatch.setattr(fitting, "diagnose", sampler.diagnose)
        table = real_looking_table()
        fitted = fit_table(table, SEGMENTS, asked, priors=PRIORS)
        assert sampler.verdicts == [], "sampled as often as there were verdicts"
        assert fitted.samplings == len(verdicts)
        assert fitted.diagnostics == verdicts[-1]
        assert fitted.settings == sampler.settings[-1]
        return fitted, sampler

    return run


def test_draws_that_can_be_trusted_are_taken(climb: Any) -> None:
    _, sampler = climb(GOOD)
    first = RUNGS[0]
    assert sampler.settings == [replace(ASKED, max_depth=first.max_depth)]
    assert sampler.labels == ["sampling"]
    assert sampler.most_careful == [False]


@pytest.mark.parametrize("bad", [DIVERGED, APART])
def test_each_rung_takes_smaller_steps_and_tunes_for_longer(bad: Diagnostics, climb: Any) -> None:
    _, sampler = climb(bad, bad, REMARK)
    assert [it.target_accept for it in sampler.settings] == [0.8, 0.95, 0.99]
    assert [it.tune for it in sampler.settings] == [100, 200, 400]
    assert {(it.draws, it.chains, it.seed, it.thin) for it in sampler.settings} == {(500, 4, 3, 1)}
    assert sampler.most_careful == [False, False, True], "a remark is for the last rung only"
    assert sampler.labels[1:] == [f"sampling more carefully ({bad.complaints[0]})"] * 2


def test_the_ladder_has_an_end(climb: Any) -> None:
    fitted, _ = climb(DIVERGED, DIVERGED, DIVERGED)
    assert not fitted.diagnostics.sound


def test_the_last_rung_walks_in_the_coordinates_of_the_draws_where_chains_agree(
    climb: Any,
) -> None:
    _, sampler = climb(APART, DIVERGED, GOOD)
    first, second, last = (cast(LogDensity, it) for it in sampler.densities)
    assert first is second
    assert last is not first
    draws = sampler.tree["posterior"].to_dataset()
    log_tau = np.log(draws["tau"]).median(("chain", "draw")).to_numpy()
    origin = last.variables(np.zeros(last.n_dim))
    np.testing.assert_allclose(np.log(origin.tau), log_tau, atol=0.1)


def test_chains_that_disagree_tell_no_coordinates(climb: Any) -> None:
    _, sampler = climb(APART, APART, GOOD)
    assert sampler.densities[0] is sampler.densities[1] is sampler.densities[2]


def test_where_only_the_sample_is_short_the_same_rung_goes_on_for_longer(climb: Any) -> None:
    _, sampler = climb(SHORT, GOOD)
    once, longer = sampler.settings
    assert longer == replace(once, thin=3), "1.5 × 400 of 200 effective draws"
    assert sampler.labels[1] == "sampling for longer (tail ESS is 200)"
    # Were it still short, or too short for that, it climbs.
    _, sampler = climb(SHORT, SHORT, GOOD)
    assert [it.thin for it in sampler.settings] == [1, 3, 1]
    assert [it.target_accept for it in sampler.settings] == [0.8, 0.8, 0.95]
    hopeless = replace(SHORT, ess_tail=70.0)
    _, sampler = climb(hopeless, GOOD)
    assert [it.target_accept for it in sampler.settings] == [0.8, 0.95]


def test_chains_that_are_nearly_mixed_at_the_last_rung_go_on_for_longer(climb: Any) -> None:
    nearly = replace(GOOD, r_hat=1.011, complaints=("R-hat is 1.0110",))
    _, sampler = climb(nearly, nearly, nearly, GOOD)
    assert [it.target_accept for it in sampler.settings] == [0.8, 0.95, 0.99, 0.99]
    assert [it.thin for it in sampler.settings] == [1, 1, 1, 2]
    fitted, _ = climb(nearly, nearly, nearly, nearly)
    assert not fitted.diagnostics.sound


@pytest.mark.parametrize(("draws", "samplings"), [(100, 1), (101, 2)])
def test_no_care_is_taken_where_draws_are_too_few_to_pass(
    draws: int, samplings: int, climb: Any
) -> None:
    few = replace(ASKED, draws=draws)
    climb(*[DIVERGED, GOOD][:samplings], asked=few)


def test_kept_draws_are_thinned_ones_and_none_that_diverged_is_lost() -> None:
    table = real_looking_table()
    layout = LikelihoodLayout.of(table, len(SEGMENTS), 100.0, Dropout.AFTER_REPEAT)
    density = LogDensity(layout, PRIORS)
    model = build_model(table, SEGMENTS, PRIORS, time_unit=100.0)
    settings = SamplerSettings(draws=60, tune=50, chains=2, seed=1, target_accept=0.5)
    thinned = sample(model, density, replace(settings, draws=20, thin=3))
    whole = sample(model, density, settings)
    for name, values in thinned["posterior"].to_dataset().data_vars.items():
        np.testing.assert_array_equal(values, whole["posterior"][name].to_numpy()[:, 2::3])
    statistics, every = thinned["sample_stats"], whole["sample_stats"]
    np.testing.assert_array_equal(statistics["energy"], every["energy"].to_numpy()[:, 2::3])
    diverging = every["diverging"].to_numpy().reshape(2, 20, 3).any(axis=2)
    np.testing.assert_array_equal(statistics["diverging"], diverging)


@pytest.mark.slow
def test_a_posterior_that_once_diverged_in_every_seed_is_sampled_soundly() -> None:
    """CDNOW by RFM rules: τ of the shape is far out in its prior, and a sparse segment is bent."""
    data = HierarchicalBetaGeo(spend=False).prepare(load_cdnow())
    fitted = fit_table(data.table, data.rule.names, SamplerSettings(seed=0))
    assert fitted.diagnostics.sound
    assert fitted.diagnostics.ess_bulk > 1000
