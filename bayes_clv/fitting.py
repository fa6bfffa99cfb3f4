"""From tables of the data to draws that can be trusted, or that say why they cannot."""

from collections.abc import Callable
from dataclasses import dataclass

import pymc as pm
import xarray as xr

from bayes_clv.bgnbd import Dropout
from bayes_clv.density import LogDensity, coordinates_for
from bayes_clv.diagnostics import diagnose
from bayes_clv.hierarchy import HierarchicalDensity
from bayes_clv.kernel import Layout
from bayes_clv.landmarks import LandmarkTable
from bayes_clv.model import build_model
from bayes_clv.priors import Priors, SpendPriors
from bayes_clv.record import MIN_ESS, Diagnostics
from bayes_clv.sampling import SamplerSettings, sample
from bayes_clv.spend import density as spend_density
from bayes_clv.spend.density import SpendDensity
from bayes_clv.spend.model import build_spend_model
from bayes_clv.spend.table import SpendTable


@dataclass(frozen=True)
class Fitted:
    """Draws, the verdict on them, and the settings that they were made with in the end."""

    tree: xr.DataTree
    diagnostics: Diagnostics
    settings: SamplerSettings


def fit_table(
    table: LandmarkTable,
    segment_names: tuple[str, ...],
    settings: SamplerSettings,
    *,
    priors: Priors | None = None,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    time_unit: float | None = None,
    progress: bool = False,
    on_stage: Callable[[str], None] = lambda words: None,
) -> Fitted:
    """Sample the posterior of a landmark table; once more, and more carefully, where that fails.

    Where so few draws are wanted that no care could make them pass, there is no second time.

    Parameters
    ----------
    table
        The data: (segment, x, t_x, T) with weights, in days.
    segment_names
        In the order of their codes; fewer than two make a pooled model.
    settings
        How long to sample at first.
    priors
        By default those of :class:`bayes_clv.priors.Priors`.
    dropout
        When customers may leave.
    time_unit
        Days that the priors' unit of time stands for; by default the table's mean T.
    progress
        Show a bar on standard error.
    on_stage
        Told in words what is being done.
    """
    priors = priors or Priors()
    layout = Layout.of(table, len(segment_names), time_unit or table.mean_T, dropout)
    model = build_model(layout, segment_names, priors)
    density = LogDensity(layout, priors, coordinates_for(layout, priors))
    return _fitted(model, density, settings, "sampling", progress=progress, on_stage=on_stage)


def fit_spend(
    table: SpendTable,
    segment_names: tuple[str, ...],
    settings: SamplerSettings,
    *,
    priors: SpendPriors | None = None,
    progress: bool = False,
    on_stage: Callable[[str], None] = lambda words: None,
) -> Fitted:
    """Sample the posterior of a table of spend, as ``fit_table`` does that of purchases."""
    priors = priors or SpendPriors()
    model = build_spend_model(table, segment_names, priors)
    density = SpendDensity(table, priors, spend_density.coordinates_for(table, priors))
    return _fitted(model, density, settings, "sampling spend", progress=progress, on_stage=on_stage)


def _fitted(
    model: pm.Model,
    density: HierarchicalDensity,
    settings: SamplerSettings,
    label: str,
    *,
    progress: bool,
    on_stage: Callable[[str], None],
) -> Fitted:
    tree = sample(model, density, settings, progress=progress, label=label)
    diagnostics = diagnose(tree)
    if not diagnostics.sound and settings.chains * settings.draws > MIN_ESS:
        on_stage(f"{label} more carefully ({'; '.join(diagnostics.complaints)})")
        settings = settings.more_careful()
        tree = sample(model, density, settings, progress=progress, label=label)
        diagnostics = diagnose(tree)
    return Fitted(tree, diagnostics, settings)
