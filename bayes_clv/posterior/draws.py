"""Reads parameters from an ArviZ tree of posterior draws."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_clv.models.bgnbd import Parameters
from bayes_clv.models.gammagamma import SpendParameters
from bayes_clv.models.reactivation import Reactivation

type Floats = NDArray[np.float64]

PARAMETERS = ("r", "alpha", "a", "b")
SPEND_PARAMETERS = ("p", "q", "v")
REACTIVATION = ("reactivation", "r_afresh", "alpha_afresh")


def has_spend(tree: xr.DataTree) -> bool:
    """Whether the tree also holds draws of spend."""
    return "spend" in tree.children


def with_group(tree: xr.DataTree, name: str, group: xr.DataTree | xr.Dataset) -> xr.DataTree:
    """Return a copy of the tree with one more group."""
    more = tree.copy()
    more[name] = group.copy() if isinstance(group, xr.DataTree) else xr.DataTree(group)
    return more


def alike_in(tree: xr.DataTree, names: tuple[str, ...]) -> xr.DataTree:
    """Return the tree of a model with one segment, as of segments that all have its parameters."""
    more = tree.copy()
    posterior = tree["posterior"].to_dataset()
    every = posterior.isel(segment=[0] * len(names)).assign_coords(segment=list(names))
    more["posterior"] = xr.DataTree(every)
    return more


def by_code(tree: xr.DataTree) -> Parameters:
    """Return the parameters of purchases, ``(segment + 1, draw)``; the population is last."""
    draws = tree["posterior"].to_dataset()
    return Parameters(*(_by_code(draws, name) for name in PARAMETERS))


def spend_by_code(tree: xr.DataTree) -> SpendParameters:
    """Return the parameters of spend, ``(segment + 1, draw)``; the population is last."""
    draws = tree["spend/posterior"].to_dataset()
    return SpendParameters(*(_by_code(draws, name) for name in SPEND_PARAMETERS))


def reactivation_of(tree: xr.DataTree) -> Reactivation | None:
    """Return the draws of reactivation, ``(draw,)``, α in days; None of a model without it."""
    draws = tree["posterior"].to_dataset()
    if REACTIVATION[0] not in draws:
        return None
    return Reactivation(*(_flat(draws[name].transpose("chain", "draw")) for name in REACTIVATION))


def _flat(draws: xr.DataArray) -> Floats:
    return np.ascontiguousarray(draws.to_numpy().ravel(), dtype=float)


def _by_code(draws: xr.Dataset, name: str) -> Floats:
    by_segment = draws[name].transpose("segment", "chain", "draw").to_numpy()
    population = draws[f"{name}_population"].to_numpy()
    rows = np.concatenate([by_segment, population[None]])
    return np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=float)
