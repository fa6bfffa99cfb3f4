"""Do the answers depend on the priors? The log-densities that ArviZ's power-scaling needs.

The posterior is proportional to p(θ) p(data | θ). Raising one of the two factors to a power near 1
moves an answer by as much as it depends on that factor. ArviZ does this by importance sampling,
without another fit, from the logarithms of both factors at every draw, which are computed here. The
prior is that of μ and τ, which users choose; z is standard normal by construction.

Source: Kallioinen, Paananen, Bürkner & Vehtari (2024), Statistics and Computing 34, 57.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import halfnorm, norm

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
    """Add the logarithms of prior and likelihood to some draws, for ``arviz.psense_summary``.

    Parameters
    ----------
    posterior
        Fitted to ``table``.
    table
        From ``HierarchicalBetaGeo.prepare``, of the same log.
    draws
        How many, over all chains, at most; they are spread evenly.

    Returns
    -------
    ``posterior`` with ``mu (eta)``, ``tau (eta)`` and, where the comparison of the
    segments is stored, its measures ``(answered)``; ``log_prior`` and ``log_likelihood``.
    """
    stored = posterior.tree["posterior"].to_dataset()
    step = -(-stored.sizes["chain"] * stored.sizes["draw"] // draws)
    kept = stored.isel(draw=slice(None, None, step))
    layout = LikelihoodLayout.of(
        table, len(posterior.segment_names), table.mean_T, posterior.dropout
    )
    # ArviZ's summary uses the name "component" itself.
    asked = kept[[name for name in ("mu", "tau") if name in kept]].rename(component="eta")
    if posterior.has_comparison:
        asked = asked.merge(_answers(posterior, stored).isel(draw=slice(None, None, step)))
    likelihood = xr.apply_ufunc(
        lambda eta: value_and_gradient_by_eta(eta, layout)[0],
        _eta(kept),
        input_core_dims=[["group", "component"]],
        vectorize=True,
    )
    return xr.DataTree.from_dict(
        {
            "posterior": asked,
            "log_prior": _log_prior(posterior, kept),
            "log_likelihood": likelihood.to_dataset(name="landmarks"),
        }
    )


def _eta(draws: xr.Dataset) -> xr.DataArray:
    """η ``(group, component)`` of every draw, the population last."""
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
    """The comparison's measures by chain and draw; they are stored as one sequence."""
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
