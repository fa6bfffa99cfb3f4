"""Prior against posterior of the population's μ and τ."""

from typing import Any, cast

import arviz_plots
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from bayes_clv import arguments
from bayes_clv.models.hyperparameters import draw_prior
from bayes_clv.models.priors import COMPONENTS
from bayes_clv.plots.style import (
    TEXT,
    WIDTH,
)
from bayes_clv.posterior.posterior import Posterior

_MEANING = {
    "rate": "rate, ln(r/α)",
    "shape": "shape, ln r",
    "dropout": "dropout, logit a/(a+b)",
    "concentration": "concentration, ln(a+b)",
}


def plot_prior_posterior(posterior: Posterior, *, seed: int = 0, **how: Any) -> Any:
    """Draw prior and posterior densities of μ and, where there are segments, of τ.

    Times are in units of the mean T, as in :mod:`bayes_clv.models.priors`.

    Parameters
    ----------
    posterior
        The posterior; its record holds the priors.
    seed
        Seed of the prior's draws.
    **how
        Passed to ``arviz_plots.plot_prior_posterior``, e.g. a ``plot_collection`` to draw on.

    Returns
    -------
    The ``arviz_plots.PlotCollection``; its figure is ``.viz["figure"].item()``.

    Examples
    --------
    >>> from bayes_clv import HierarchicalBetaGeo, load_cdnow
    >>> model = HierarchicalBetaGeo(segmenter=None)
    >>> posterior = model.fit(load_cdnow(sample=True), draws=50, tune=50)
    >>> drawn = plot_prior_posterior(posterior)
    >>> list(drawn.viz["dist"].data_vars)
    ['μ']
    """
    arguments.instance("posterior", posterior, Posterior)
    seed = arguments.seed(seed)
    stored = posterior.tree["posterior"].to_dataset()
    names = {"mu": "μ"} | ({"tau": "τ"} if "tau" in stored else {})
    n = stored.sizes["chain"] * stored.sizes["draw"]
    prior = draw_prior(np.random.default_rng(seed), posterior.record.priors, len(names) - 1, 1.0, n)
    meaning = [_MEANING[name] for name in COMPONENTS]
    prior_draws = xr.Dataset(
        {
            greek: (("chain", "draw", "of"), cast(Any, getattr(prior, name)).T[None])
            for name, greek in names.items()
        },
        coords={"of": meaning},
    )
    posterior_draws = (
        stored[list(names)].rename(names | {"component": "of"}).assign_coords(of=meaning)
    )
    tree = xr.DataTree.from_dict({"prior": prior_draws, "posterior": posterior_draws})
    options: dict[str, Any] = {
        "figure_kwargs": {"figsize": (WIDTH, 2.9 * len(names)), "layout": "constrained"},
        "visuals": {"dist": {"width": 2}, "title": {"size": TEXT - 1}},
    }
    collection = arviz_plots.plot_prior_posterior(tree, **options | how)
    if "plot_collection" not in how:
        plt.close(collection.viz["figure"].item())  # pyplot manages no figure of ours
    return collection
