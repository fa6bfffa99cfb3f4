"""Diagnostics of draws: R-hat, effective sample size, divergences and E-BFMI."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from arviz_stats import bfmi, ess, rhat

from bayes_clv.posterior.diagnostics import Diagnostics


def diagnose(tree: xr.DataTree, *, most_careful: bool = False) -> Diagnostics:
    """Compute the worst figures over all variables, and the rules that they break.

    Parameters
    ----------
    tree
        With the groups ``posterior`` and ``sample_stats`` (``energy``, ``diverging``).
    most_careful
        Whether these are draws of the ladder's last rung; see ``Diagnostics.judged``.
    """
    draws, stats = tree["posterior"].to_dataset(), tree["sample_stats"]
    # Rank statistics would accept an infinite draw; a missing one makes them NaN.
    posterior = draws.where(np.isfinite(draws))
    r_hat = _worst(rhat(posterior), np.max)
    ess_bulk = _worst(ess(posterior, method="bulk"), np.min)
    ess_tail = _worst(ess(posterior, method="tail"), np.min)
    e_bfmi = float(np.min(bfmi(tree)["energy"].to_numpy()))
    return Diagnostics.judged(
        r_hat=r_hat,
        ess_bulk=ess_bulk,
        ess_tail=ess_tail,
        divergences=int(stats["diverging"].sum()),
        e_bfmi=e_bfmi,
        n_draws=stats["diverging"].size,
        most_careful=most_careful,
    )


def _worst(statistics: Any, extreme: Callable[[Any], Any]) -> float:
    """The extreme over all variables; NaN, which breaks every rule, if any of them is NaN."""
    values = np.concatenate(
        [np.ravel(statistics[name].to_numpy()) for name in map(str, statistics.data_vars)]
    )
    return float("nan") if np.isnan(values).any() else float(extreme(values))
