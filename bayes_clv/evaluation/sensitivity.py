"""Sensitivity to the priors: the log densities that ArviZ needs for power-scaling.

The posterior is proportional to p(θ) p(data | θ). Power-scaling raises one of the two factors to a
power near 1; how far an answer moves shows how much it depends on that factor. ArviZ does this by
importance sampling, without another fit, from the logarithms of both factors at every draw. This
module computes these logarithms. The prior is that of μ and τ, which users choose; z is standard
normal by construction.

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
from bayes_clv.posterior.comparison import MEASURES
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import POPULATION

type Floats = NDArray[np.float64]

DRAWS = 1000


def with_log_densities(
    posterior: Posterior, table: LandmarkTable, draws: int = DRAWS
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
    layout = LikelihoodLayout.of(
        table, len(posterior.segment_names), table.mean_T, posterior.dropout
    )
    # ArviZ's summary reserves the name "component".
    answers = thinned[[name for name in ("mu", "tau") if name in thinned]].rename(component="eta")
    if posterior.has_comparison:
        answers = answers.merge(_answers(posterior, stored).isel(draw=slice(None, None, step)))
    likelihood = xr.apply_ufunc(
        lambda eta: value_and_gradient_by_eta(eta, layout)[0],
        _eta(thinned),
        input_core_dims=[["group", "component"]],
        vectorize=True,
    )
    return xr.DataTree.from_dict(
        {
            "posterior": answers,
            "log_prior": _log_prior(posterior, thinned),
            "log_likelihood": likelihood.to_dataset(name="landmarks"),
        }
    )


def _eta(draws: xr.Dataset) -> xr.DataArray:
    """Return η ``(group, component)`` of every draw, the population last."""
    population = draws["mu"].expand_dims(group=[POPULATION])
    if "tau" not in draws:
        return population
    segments = draws["mu"] + draws["tau"] * draws["z"]
    of_segments = segments.drop_vars("segment").rename(segment="group")
    numbered = of_segments.assign_coords(group=np.arange(draws.sizes["segment"]))
    return xr.concat([numbered, population], dim="group")


def _log_prior(posterior: Posterior, draws: xr.Dataset) -> xr.Dataset:
    priors = posterior.record.priors
    mean, sd, between = (
        xr.DataArray(priors.column(name), dims="component") for name in ("mean", "sd", "between")
    )
    densities: dict[str, Any] = {
        "mu": draws["mu"].copy(data=norm.logpdf(draws["mu"], mean, sd)),
    }
    if "tau" in draws:
        densities["tau"] = draws["tau"].copy(data=halfnorm.logpdf(draws["tau"], scale=between))
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
