"""The ladder: what is done next about draws that cannot be trusted, whatever the draws."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_clv import fitting
from bayes_clv.density import LogDensity
from bayes_clv.fitting import RUNGS, fit_table
from bayes_clv.hierarchy import HierarchicalDensity
from bayes_clv.progress import Stages
from bayes_clv.record import Diagnostics
from bayes_clv.sampling import SamplerSettings
from tests.hierarchy import PRIORS, SEGMENTS, real_looking_table

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
def climb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
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
    accept, tune = ([getattr(it, name) for it in sampler.settings] for name in RUNGS[0]._fields[:0])\
        if False else (
            [it.target_accept for it in sampler.settings],
            [it.tune for it in sampler.settings],
        )
    assert accept == sorted(set(accept))
    assert tune == [100, 200, 400]
    assert {it.draws for it in sampler.settings} == {ASKED.draws}
    assert {it.seed for it in sampler.settings} == {ASKED.seed}
    assert sampler.most_careful == [False, False, True], "a remark is for the last rung only"
    complaint = bad.complaints[0]
    assert sampler.labels[1:] == [f"sampling more carefully ({complaint})"] * 2
