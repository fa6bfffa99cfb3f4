"""Sensitivity to the priors: the log densities that ArviZ needs for power-scaling.

The posterior is proportional to p(θ) p(data | θ). Power-scaling raises one of the two factors to a
power near 1; how far an answer moves shows how much it depends on that factor. ArviZ does this by
importance sampling, without another fit, from the logarithms of both factors at every draw. This
module computes these logarithms. The prior is that of μ, τ and reactivation, which users choose; z
is standard normal by construction.

Source: Kallioinen, Paananen, Bürkner & Vehtari (2024), Statistics and Computing 34, 57.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import halfnorm, norm

from bayes_clv import arguments
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.likelihood import value_and_gradient_by_eta
from bayes_clv.inference.purchases.stretch_layout import StretchLayout
from bayes_clv.inference.purchases.stretch_likelihood import value_and_gradient_of_stretches
from bayes_clv.inference.stretches import StretchTable
from bayes_clv.models.hyperparameters import components_of
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.posterior.comparison import MEASURES
from bayes_clv.posterior.draws import REACTIVATION
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import POPULATION

type Floats = NDArray[np.float64]

DRAWS = 1000


def with_log_densities(
    posterior: Posterior,
    table: LandmarkTable,
    draws: int = DRAWS,
    *,
    stretches: StretchTable | None = None,
) -> xr.DataTree:
    """Return draws with their log prior and log likelihood, for ``arviz.psense_summary``.

    Parameters
    ----------
    posterior
        Fitted to ``table``.
    table
        From ``HierarchicalBetaGeo.prepare``, of the same log.
    draws
        Maximum number of draws over all chains; they are spread evenly.
    stretches
        From ``HierarchicalBetaGeo.prepare``, too, for a model with reactivation.

    Returns
    -------
    Groups ``posterior``, ``log_prior`` and ``log_likelihood``. ``posterior`` holds ``mu (eta)``,
    ``tau (eta)`` and, where the comparison of the segments is stored, its measures
    ``(answered)``, one per segment.
    """
    arguments.instance("posterior", posterior, Posterior)
    arguments.instance("table", table, LandmarkTable)
    draws = arguments.whole("draws", draws, least=1)
    stored = posterior.tree["posterior"].to_dataset()
    step = -(-stored.sizes["chain"] * stored.sizes["draw"] // draws)
    thinned = stored.isel(draw=slice(None, None, step))
    # ArviZ's summary reserves the name "component".
    answers = thinned[[name for name in ("mu", "tau", *REACTIVATION) if name in thinned]].rename(
        component="eta"
    )
    if posterior.has_comparison:
        answers = answers.merge(_answers(posterior, stored).isel(draw=slice(None, None, step)))
    likelihood = _log_likelihood(posterior, table, stretches, thinned)
    return xr.DataTree.from_dict(
        {
            "posterior": answers,
            "log_prior": _log_prior(posterior, thinned, table.mean_T),
            "log_likelihood": likelihood.to_dataset(name="landmarks"),
        }
    )


def _log_likelihood(
    posterior: Posterior,
    table: LandmarkTable,
    stretches: StretchTable | None,
    draws: xr.Dataset,
) -> xr.DataArray:
    unit, n_segments, dropout = table.mean_T, len(posterior.segment_names), posterior.dropout
    arguments.require(
        (stretches is None) == (REACTIVATION[0] not in draws),
        "stretches must be given for a model with reactivation, and for no other",
    )
    first = table if stretches is None else stretches.first
    layout = LikelihoodLayout.of(first, n_segments, unit, dropout)
    each: dict[str, Any] = {"input_core_dims": [["group", "component"]], "vectorize": True}
    of_states: xr.DataArray = xr.apply_ufunc(
        lambda eta: value_and_gradient_by_eta(eta, layout)[0], _eta(draws), **each
    )
    if stretches is None:
        return of_states
    after = StretchLayout.of(stretches, unit, dropout)
    each["input_core_dims"].append(["of_afresh"])
    of_stretches: xr.DataArray = xr.apply_ufunc(
        lambda eta, v: value_and_gradient_of_stretches(eta, v, after)[0],
        _eta(draws),
        _afresh(draws, unit),
        **each,
    )
    return of_states + of_stretches


def _afresh(draws: xr.Dataset, time_unit: float) -> xr.DataArray:
    """Return the variables of reactivation, ``(…, of_afresh)``."""
    at = Reactivation(*(draws[name].to_numpy() for name in REACTIVATION))
    dims = ("of_afresh", *draws[REACTIVATION[0]].dims)
    return xr.DataArray(components_of(at, time_unit), dims=dims)


def _eta(draws: xr.Dataset) -> xr.DataArray:
    """Return η ``(group, component)`` of every draw, the population last."""
    population = draws["mu"].expand_dims(group=[POPULATION])
    if "tau" not in draws:
        return population
    segments = draws["mu"] + draws["tau"] * draws["z"]
    of_segments = segments.drop_vars("segment").rename(segment="group")
    numbered = of_segments.assign_coords(group=np.arange(draws.sizes["segment"]))
    return xr.concat([numbered, population], dim="group")


def _log_prior(posterior: Posterior, draws: xr.Dataset, time_unit: float) -> xr.Dataset:
    priors = posterior.record.priors
    mean, sd, between = (
        xr.DataArray(priors.column(name), dims="component") for name in ("mean", "sd", "between")
    )
    densities: dict[str, Any] = {
        "mu": draws["mu"].copy(data=norm.logpdf(draws["mu"], mean, sd)),
    }
    if "tau" in draws:
        densities["tau"] = draws["tau"].copy(data=halfnorm.logpdf(draws["tau"], scale=between))
    if posterior.record.reactivation is not None:
        own, v = posterior.record.reactivation, _afresh(draws, time_unit)
        mean, sd = (xr.DataArray(own.column(name), dims="of_afresh") for name in ("mean", "sd"))
        standard = (v - mean) / sd
        densities["afresh"] = (-0.5 * standard**2 - np.log(sd)).transpose("chain", "draw", ...)
    return xr.Dataset(densities)


def _answers(posterior: Posterior, draws: xr.Dataset) -> xr.Dataset:
    """Return the comparison's measures by chain and draw; they are stored by sample."""
    compared = posterior.tree["segments"].to_dataset()
    shape = (-1, draws.sizes["chain"], draws.sizes["draw"])
    return xr.Dataset(
        {
            name: (
                ("answered", "chain", "draw"),
                compared[name].transpose("segment", "sample").to_numpy().reshape(shape),
            )
            for name in MEASURES
        },
        coords={
            "answered": compared["segment"].to_numpy().astype(str),
            "chain": draws["chain"],
            "draw": draws["draw"],
        },
    )
