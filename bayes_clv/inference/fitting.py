"""Sampling with retries: from a table of the data to draws and the verdict on them.

Whether a draw diverges depends on the last digits of floating-point sums, and so on the machine.
When the diagnostics fail, sampling is repeated on the next rung of a ladder, with smaller steps and
longer tuning, which ends most divergences (benchmarks.soundness counts them). The last rung also
estimates its coordinates from the draws of the rung before, in case those found beforehand do not
suit the posterior.

Two failures are cured on the same rung by more draws: an effective sample size that is too small
and, on the last rung, an R-hat slightly above its limit. The chains then run longer and are
thinned, so that as many draws are kept as before.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pymc as pm
import xarray as xr

from bayes_clv import arguments
from bayes_clv.data.described import Described
from bayes_clv.inference.convergence import diagnose
from bayes_clv.inference.hierarchy import HierarchicalDensity, Variables
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.progress import Stages
from bayes_clv.inference.purchases.density import LogDensity
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.model import build_model
from bayes_clv.inference.purchases.reactivating import ReactivatingDensity
from bayes_clv.inference.purchases.stretch_layout import StretchLayout
from bayes_clv.inference.sampling import SamplerSettings, check_density, sample
from bayes_clv.inference.spend.density import SpendDensity
from bayes_clv.inference.spend.model import build_spend_model
from bayes_clv.inference.spend.table import SpendTable
from bayes_clv.inference.stretches import StretchTable
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import Priors, ReactivationPriors, SpendPriors
from bayes_clv.posterior.diagnostics import MIN_ESS, Diagnostics


class Rung(NamedTuple):
    """Target acceptance rate, multiple of the requested tuning, and maximum depth of the tree."""

    target_accept: float
    tune: int
    max_depth: int


# A stuck chain takes the maximum number of steps for each draw: only the last rung allows many.
RUNGS = (Rung(0.8, 1, 7), Rung(0.95, 2, 8), Rung(0.99, 4, 10))
_MARGIN, _MAX_THIN = 1.5, 8
_AGREED = 1.1  # R-hat, below which chains agree on where the posterior is


@dataclass(frozen=True, repr=False)
class Fitted(Described):
    """Draws, the verdict on them, and how they were sampled.

    Attributes
    ----------
    tree, diagnostics
        The draws, and the verdict on them.
    settings
        Of the sampling that made these draws.
    samplings
        How often sampling was started: 1 where the first draws passed.
    """

    tree: xr.DataTree
    diagnostics: Diagnostics
    settings: SamplerSettings
    samplings: int = 1

    def _facts(self) -> Mapping[str, object]:
        return {
            "draws": f"{self.settings.chains} × {self.settings.draws}",
            "verdict": self.diagnostics.verdict,
        }


def fit_table(
    table: LandmarkTable,
    segment_names: tuple[str, ...],
    settings: SamplerSettings,
    *,
    priors: Priors | None = None,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    time_unit: float | None = None,
    stretches: StretchTable | None = None,
    reactivation: ReactivationPriors | None = None,
    stages: Stages | None = None,
    rungs: Sequence[Rung] = RUNGS,
) -> Fitted:
    """Sample the posterior of a landmark table, more carefully each time the diagnostics fail.

    With too few draws to pass the diagnostics in any case, it samples once.

    Parameters
    ----------
    table
        The data: (segment, x, t_x, T) with weights, in days.
    segment_names
        In the order of their codes; fewer than two make a pooled model.
    settings
        Of the first sampling.
    priors
        By default those of :class:`bayes_clv.models.priors.Priors`.
    dropout
        When customers may leave.
    time_unit
        Days that the priors' unit of time stands for; by default the table's mean T.
    stretches
        The same data, for a model with reactivation, which needs two segments or more: then
        ``table`` only gives the unit of time.
    reactivation
        Priors of reactivation, by default those of
        :class:`bayes_clv.models.priors.ReactivationPriors`.
    stages
        Where progress is reported.
    rungs
        Of the ladder, from the least to the most careful.
    """
    arguments.instance("table", table, LandmarkTable)
    arguments.instance("settings", settings, SamplerSettings)
    stages = stages or Stages()
    stages.begin("looking for the posterior")
    priors = priors or Priors()
    time_unit = time_unit or table.mean_T
    if stretches is None:
        model = build_model(table, segment_names, priors, dropout=dropout, time_unit=time_unit)
        layout = LikelihoodLayout.of(table, len(segment_names), time_unit, dropout)
        return _climb(model, LogDensity(layout, priors), settings, "sampling", stages, rungs)
    model, density = _reactivating(
        stretches, segment_names, priors, reactivation or ReactivationPriors(), dropout, time_unit
    )
    return _climb(model, density, settings, "sampling", stages, rungs)


def _reactivating(
    stretches: StretchTable,
    segment_names: tuple[str, ...],
    priors: Priors,
    reactivation: ReactivationPriors,
    dropout: Dropout,
    time_unit: float,
) -> tuple[pm.Model, HierarchicalDensity]:
    arguments.instance("stretches", stretches, StretchTable)
    arguments.require(
        len(segment_names) > 1, f"reactivation needs two segments or more: {segment_names}"
    )
    model = build_model(
        stretches.first,
        segment_names,
        priors,
        dropout=dropout,
        time_unit=time_unit,
        stretches=stretches,
        reactivation=reactivation,
    )
    density = ReactivatingDensity(
        LikelihoodLayout.of(stretches.first, len(segment_names), time_unit, dropout),
        StretchLayout.of(stretches, time_unit, dropout),
        priors,
        reactivation,
    )
    return model, density


def fit_spend(
    table: SpendTable,
    segment_names: tuple[str, ...],
    settings: SamplerSettings,
    *,
    priors: SpendPriors | None = None,
    stages: Stages | None = None,
) -> Fitted:
    """Sample the posterior of a table of spend, as ``fit_table`` does that of purchases."""
    arguments.instance("table", table, SpendTable)
    arguments.instance("settings", settings, SamplerSettings)
    stages = stages or Stages()
    stages.begin("looking for the posterior of spend")
    priors = priors or SpendPriors()
    model = build_spend_model(table, segment_names, priors)
    return _climb(model, SpendDensity(table, priors), settings, "sampling spend", stages, RUNGS)


def _climb(
    model: pm.Model,
    density: HierarchicalDensity,
    asked: SamplerSettings,
    label: str,
    stages: Stages,
    rungs: Sequence[Rung],
) -> Fitted:
    check_density(model, density)
    rung, settings, words = 0, _on_rung(asked, rungs[0]), label
    samplings, last = 0, len(rungs) - 1
    while True:
        tree = sample(model, density, settings, label=words, stages=stages)
        samplings += 1
        verdict = diagnose(tree, most_careful=rung == last)
        fitted = Fitted(tree, verdict, settings, samplings)
        if verdict.sound or asked.chains * asked.draws <= MIN_ESS:
            return fitted
        why = "; ".join(verdict.complaints)
        longer = verdict.only_short or (rung == last and verdict.nearly_mixed)
        if longer and settings.thin == 1 and (thin := _thin(verdict)) <= _MAX_THIN:
            settings, words = replace(settings, thin=thin), f"{label} for longer ({why})"
            continue
        if rung == last:
            return fitted
        rung += 1
        settings, words = _on_rung(asked, rungs[rung]), f"{label} more carefully ({why})"
        if rung == last:
            density = _suited(density, fitted)
            check_density(model, density)


def _on_rung(asked: SamplerSettings, rung: Rung) -> SamplerSettings:
    return replace(
        asked,
        tune=rung.tune * asked.tune,
        target_accept=rung.target_accept,
        max_depth=rung.max_depth,
    )


def _thin(verdict: Diagnostics) -> int:
    """The factor on the number of draws that makes the effective sample size pass with a margin."""
    return max(2, math.ceil(_MARGIN * MIN_ESS / min(verdict.ess_bulk, verdict.ess_tail)))


def _suited(density: HierarchicalDensity, fitted: Fitted) -> HierarchicalDensity:
    """The density in coordinates estimated from its draws, if the chains agree."""
    if not fitted.diagnostics.r_hat < _AGREED:
        return density
    draws = fitted.tree["posterior"].to_dataset().stack(draw_of_chain=("chain", "draw"))
    mu = draws["mu"].transpose("draw_of_chain", ...).to_numpy()
    tau, z = np.ones_like(mu), np.empty((len(mu), 0, mu.shape[1]))
    if density.n_segments:
        tau, z = (draws[it].transpose("draw_of_chain", ...).to_numpy() for it in ("tau", "z"))
    eta = Variables(mu, tau, z, np.zeros(len(mu))).eta
    good = np.isfinite(eta).all(axis=(1, 2)) & (tau > 0).all(axis=1)
    scalars = {name: draws[name].to_numpy()[good] for name in density.scalars}
    return density.in_coordinates_of(tau[good], eta[good], scalars)
