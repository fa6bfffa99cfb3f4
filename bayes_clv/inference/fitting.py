"""From tables of the data to draws that can be trusted, or that say why they cannot.

Sampling climbs a ladder by itself, for whether a draw diverges hangs on the last digits, and so on
the machine. Every rung takes smaller steps and longer to choose them, which ends most divergences
(benchmarks.soundness counts how many). The last rung also reads its coordinates off the draws at
hand, in case those that were found beforehand do not suit. Where only the effective sample size is
short, or at the last rung R-hat is a little too large, it goes on for longer at the same rung, and
keeps every so-manieth draw.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pymc as pm
import xarray as xr

from bayes_clv.inference.convergence import diagnose
from bayes_clv.inference.hierarchy import HierarchicalDensity, Variables
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.progress import Stages
from bayes_clv.inference.purchases.density import LogDensity
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.model import build_model
from bayes_clv.inference.sampling import SamplerSettings, check_density, sample
from bayes_clv.inference.spend.density import SpendDensity
from bayes_clv.inference.spend.model import build_spend_model
from bayes_clv.inference.spend.table import SpendTable
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import Priors, SpendPriors
from bayes_clv.posterior.diagnostics import MIN_ESS, Diagnostics


class Rung(NamedTuple):
    """How often steps are accepted, how many times the tuning that was asked for, and the depth."""

    target_accept: float
    tune: int
    max_depth: int


# A chain that is stuck takes the most steps that it may; while there is a next rung, that is few.
RUNGS = (Rung(0.8, 1, 7), Rung(0.95, 2, 8), Rung(0.99, 4, 10))
_MARGIN, _MAX_THIN = 1.5, 8
_AGREED = 1.1  # R-hat


@dataclass(frozen=True)
class Fitted:
    """Draws, the verdict on them, and how they came about.

    Attributes
    ----------
    tree, diagnostics
        The draws, and what is said of them.
    settings
        That they were made with in the end.
    samplings
        How often sampling began: 1 where the first passed.
    """

    tree: xr.DataTree
    diagnostics: Diagnostics
    settings: SamplerSettings
    samplings: int = 1


def fit_table(
    table: LandmarkTable,
    segment_names: tuple[str, ...],
    settings: SamplerSettings,
    *,
    priors: Priors | None = None,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    time_unit: float | None = None,
    stages: Stages | None = None,
    rungs: Sequence[Rung] = RUNGS,
) -> Fitted:
    """Sample the posterior of a landmark table, more and more carefully until it can be trusted.

    Where so few draws are wanted that no care could make them pass, once is enough.

    Parameters
    ----------
    table
        The data: (segment, x, t_x, T) with weights, in days.
    segment_names
        In the order of their codes; fewer than two make a pooled model.
    settings
        How to sample at first.
    priors
        By default those of :class:`bayes_clv.models.priors.Priors`.
    dropout
        When customers may leave.
    time_unit
        Days that the priors' unit of time stands for; by default the table's mean T.
    stages
        Told what is being done.
    rungs
        Of the ladder; the last is as careful as it gets.
    """
    stages = stages or Stages()
    stages.begin("looking for the posterior")
    priors = priors or Priors()
    time_unit = time_unit or table.mean_T
    model = build_model(table, segment_names, priors, dropout=dropout, time_unit=time_unit)
    density = LogDensity(LikelihoodLayout.of(table, len(segment_names), time_unit, dropout), priors)
    return _climb(model, density, settings, "sampling", stages, rungs)


def fit_spend(
    table: SpendTable,
    segment_names: tuple[str, ...],
    settings: SamplerSettings,
    *,
    priors: SpendPriors | None = None,
    stages: Stages | None = None,
) -> Fitted:
    """Sample the posterior of a table of spend, as ``fit_table`` does that of purchases."""
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
    """How many times as many draws make the effective sample size pass with a margin."""
    return max(2, math.ceil(_MARGIN * MIN_ESS / min(verdict.ess_bulk, verdict.ess_tail)))


def _suited(density: HierarchicalDensity, fitted: Fitted) -> HierarchicalDensity:
    """The density in the coordinates that its draws suggest, if chains agree on where they are."""
    if not fitted.diagnostics.r_hat < _AGREED:
        return density
    draws = fitted.tree["posterior"].to_dataset().stack(draw_of_chain=("chain", "draw"))
    mu = draws["mu"].transpose("draw_of_chain", ...).to_numpy()
    tau, z = np.ones_like(mu), np.empty((len(mu), 0, mu.shape[1]))
    if density.n_segments:
        tau, z = (draws[it].transpose("draw_of_chain", ...).to_numpy() for it in ("tau", "z"))
    eta = Variables(mu, tau, z, np.zeros(len(mu))).eta
    good = np.isfinite(eta).all(axis=(1, 2)) & (tau > 0).all(axis=1)
    return density.in_coordinates_of(tau[good], eta[good])
