"""Unpooled fits: each segment fitted alone, for comparison with partial pooling.

Each fit uses only the segment's own part of the landmark likelihood, with the prior of the
population. It serves the shrinkage plot, not prediction.
"""

from collections.abc import Callable
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.inference.fitting import fit_table
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.priors import Priors
from bayes_clv.posterior.draws import by_code


def fit_alone(
    table: LandmarkTable,
    segment_names: tuple[str, ...],
    settings: SamplerSettings,
    *,
    priors: Priors | None = None,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    on_stage: Callable[[str], None] = lambda words: None,
) -> Parameters:
    """Fit each segment to its own rows of the table.

    Parameters
    ----------
    table
        The landmark table of all segments, in days; its mean T is the unit of time of the priors.
    segment_names
        In the order of their codes.
    settings
        Sampler settings of each fit.
    priors
        The population's priors are used for each segment.
    dropout
        When customers may leave.
    on_stage
        Called with a text that names the segment being fitted.

    Returns
    -------
    ``(segment, draw)`` each, α in days; NaN for a segment without rows in the table.
    """
    arguments.instance("table", table, LandmarkTable)
    arguments.instance("settings", settings, SamplerSettings)
    n = settings.draws * settings.chains
    alone = np.full((4, len(segment_names), n), np.nan)
    for code, name in enumerate(segment_names):
        own = _rows(table, table.segment == code)
        if not len(own):
            continue
        on_stage(f"fitting {name} alone")
        fitted = fit_table(
            own, (name,), settings, priors=priors, dropout=dropout, time_unit=table.mean_T
        )
        of_population = by_code(fitted.tree)[-1]
        draws = np.stack([of_population.r, of_population.alpha, of_population.a, of_population.b])
        alone[:, code] = draws[:, :n]
    return Parameters(*alone)


def _rows(table: LandmarkTable, chosen: NDArray[np.bool_]) -> LandmarkTable:
    return LandmarkTable(
        **{field.name: getattr(table, field.name)[chosen] for field in fields(LandmarkTable)}
    )
