"""The verdict on a posterior: can its draws be trusted?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from arviz_stats import bfmi, ess, rhat

from bayes_clv.record import MAX_DIVERGENT, MAX_R_HAT, MIN_E_BFMI, MIN_ESS, Diagnostics


def diagnose(tree: xr.DataTree, *, most_careful: bool = False) -> Diagnostics:
    """Compute the worst figures over all variables, and the rules that they break.

    Parameters
    ----------
    tree
        With the groups ``posterior`` and ``sample_stats`` (``energy``, ``diverging``).
    most_careful
        Whether sampling was as careful as it gets: then a few divergences are a remark, for smaller
        steps would not end them.
    """
    draws, stats = tree["posterior"].to_dataset(), tree["sample_stats"]
    # Statistics of ranks would not notice an infinite draw.
    posterior = draws.where(np.isfinite(draws))
    r_hat = _worst(rhat(posterior), np.max)
    ess_bulk = _worst(ess(posterior, method="bulk"), np.min)
    ess_tail = _worst(ess(posterior, method="tail"), np.min)
    e_bfmi = float(np.min(bfmi(tree)["energy"].to_numpy()))
    divergences, n_draws = int(stats["diverging"].sum()), stats["diverging"].size
    few = most_careful and divergences <= MAX_DIVERGENT * n_draws
    rules = (
        (r_hat < MAX_R_HAT, f"R-hat is {r_hat:.4f}, it must be below {MAX_R_HAT}"),
        (ess_bulk > MIN_ESS, f"bulk ESS is {ess_bulk:.0f}, it must be above {MIN_ESS}"),
        (ess_tail > MIN_ESS, f"tail ESS is {ess_tail:.0f}, it must be above {MIN_ESS}"),
        (few or divergences == 0, f"{divergences} divergent transitions, there must be none"),
        (e_bfmi > MIN_E_BFMI, f"E-BFMI is {e_bfmi:.2f}, it must be above {MIN_E_BFMI}"),
    )
    complaints = tuple(words for holds, words in rules if not holds)
    remarks: tuple[str, ...] = ()
    if few and divergences:
        remarks = (
            f"{divergences} of {n_draws:,} transitions diverged, no more than 1 in "
            f"{1 / MAX_DIVERGENT:,.0f}",
        )
    return Diagnostics(r_hat, ess_bulk, ess_tail, divergences, e_bfmi, complaints, remarks)


def _worst(statistics: Any, extreme: Callable[[Any], Any]) -> float:
    """The extreme over all variables; NaN, which breaks every rule, where one is not defined."""
    values = np.concatenate(
        [np.ravel(statistics[name].to_numpy()) for name in map(str, statistics.data_vars)]
    )
    return float("nan") if np.isnan(values).any() else float(extreme(values))
