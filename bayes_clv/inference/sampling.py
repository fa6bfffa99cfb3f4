"""NUTS by nutpie."""

import os
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from numpy.typing import NDArray
from nutpie.compile_pymc import CompiledPyMCModel
from pytensor.compile.mode import Mode

from bayes_clv import arguments
from bayes_clv.inference.c_function import copy_of_x, native
from bayes_clv.inference.hierarchy import HierarchicalDensity
from bayes_clv.inference.progress import Stages

_STATISTICS = (
    "depth",
    "diverging",
    "energy",
    "energy_error",
    "logp",
    "mean_tree_accept",
    "n_steps",
    "step_size",
)
_SAME = 1e-6  # tolerance: where p or a + b is large, both sums have lost some of their digits
_FALL = 1000.0  # below the log-density at the origin: farther out, densities are not compared
_INITIAL_STEP = 0.5  # all coordinates have about unit scale


_LEAST = {"draws": 4, "tune": 50, "chains": 2, "seed": 0, "thin": 1, "max_depth": 1}
_MOST = 2**63 - 1  # the sampler takes integers of 64 bits


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """Settings of NUTS.

    Attributes
    ----------
    draws, tune
        Draws per chain that are kept, and tuning steps per chain that are not.
    chains, seed
        The number of chains, and the seed of their random numbers.
    target_accept
        Target acceptance rate: the higher, the smaller the steps.
    thin
        Draws that are made for each one that is kept.
    max_depth
        Of the tree: a draw costs at most 2^max_depth steps.
    """

    draws: int = 1000
    tune: int = 200
    chains: int = 4
    seed: int = 0
    target_accept: float = 0.8
    thin: int = 1
    max_depth: int = 10

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = arguments.whole(name, getattr(self, name), least=least, most=_MOST)
            object.__setattr__(self, name, value)
        target = arguments.number("target_accept", self.target_accept, above=0, most=1)
        object.__setattr__(self, "target_accept", target)


def sample(
    model: pm.Model,
    density: HierarchicalDensity,
    settings: SamplerSettings,
    *,
    label: str = "sampling",
    stages: Stages | None = None,
) -> xr.DataTree:
    """Draw from the posterior; the same seed gives the same draws on the same machine.

    Parameters
    ----------
    model, density
        The model, and its log-density in the coordinates that NUTS moves in.
    settings
        Of NUTS.
    label
        Name of this stage in the progress report.
    stages
        The progress report.

    Returns
    -------
    A DataTree with ``posterior``, the model's variables, and ``sample_stats``. With thinning, a
    kept draw counts as divergent if any of the draws that were made for it diverged.

    Raises
    ------
    KeyboardInterrupt
        On an interrupt; the draws so far are lost.
    """
    stages = stages or Stages()
    made = settings.draws * settings.thin
    stages.begin(label, settings.chains * (made + settings.tune))
    sampler = nutpie.sample(
        _for_nutpie(density),
        draws=made,
        tune=settings.tune,
        chains=settings.chains,
        cores=min(settings.chains, os.cpu_count() or 1),
        seed=settings.seed,
        target_accept=settings.target_accept,
        maxdepth=settings.max_depth,
        initial_step=_INITIAL_STEP,
        adaptation="low_rank",  # a few directions of a segment may still be correlated
        save_warmup=False,
        progress_bar=False,
        progress_callback=lambda chains: _report(chains, stages),
        blocking=False,  # a blocking call would return the draws so far when interrupted
    )
    try:
        tree = sampler.wait()
    except BaseException:
        sampler.cancel()
        raise
    statistics = tree["sample_stats"].to_dataset()
    statistics.attrs.pop("created_at")  # equal draws make equal files, and one version
    statistics = statistics[[name for name in _STATISTICS if name in statistics]]
    kept = slice(settings.thin - 1, None, settings.thin)
    diverging = statistics["diverging"].coarsen(draw=settings.thin).any().to_numpy()
    statistics = statistics.isel(draw=kept).assign_coords(draw=np.arange(settings.draws))
    statistics["diverging"] = (statistics["diverging"].dims, diverging)
    return xr.DataTree.from_dict(
        {
            "posterior": _posterior(model, density, tree["posterior"]["x"].to_numpy()[:, kept]),
            "sample_stats": statistics,
        }
    )


def check_density(model: pm.Model, density: HierarchicalDensity) -> None:
    """Compare the density with the model's graph at three points, before sampling relies on it.

    The graph evaluates the likelihood row by row, the density in one fused pass: they share no
    code.

    Raises
    ------
    RuntimeError
        When they differ, which is a fault of this package.
    """
    log_posterior = model.compile_logp(jacobian=True, mode=Mode(linker="py", optimizer=None))
    for seed in range(3):
        x = _nearer(density.start(seed), density)
        at = density.variables(x)
        expected = float(log_posterior(density.point(at))) + float(at.log_jacobian)
        seen = density(x)[0]
        if not abs(seen - expected) <= _SAME * (1 + abs(expected)):
            raise RuntimeError(f"log-density {seen!r} differs from the PyMC model's {expected!r}")


def _nearer(x: NDArray[np.float64], density: HierarchicalDensity) -> NDArray[np.float64]:
    """Move towards the origin: farther out, the graph's sums of ln Γ lose their digits."""
    within = density(np.zeros_like(x))[0] - _FALL
    while not density(x)[0] > within and np.abs(x).max() > _SAME:
        x = x / 2
    return x


def _for_nutpie(density: HierarchicalDensity) -> CompiledPyMCModel:
    """Wrap the density as nutpie wraps models that it compiles; the only variable is x."""
    n_dim = density.n_dim
    log_density = native(density.compiled, density.arguments)
    return CompiledPyMCModel(
        compiled_logp_func=log_density.function,
        compiled_expand_func=copy_of_x,
        initial_point_func=density.start,
        shared_data={"arguments": log_density.arguments},  # keeps them alive
        shared_var_keys={},
        user_data=log_density.memory,
        n_expanded=n_dim,
        shape_info=(["x"], [slice(0, n_dim)], [(n_dim,)]),
        logp_func=None,
        expand_func=None,
        dims={},
        _n_dim=n_dim,
        _shapes={"x": (n_dim,)},
        _coords={},
    )


def _posterior(model: pm.Model, density: HierarchicalDensity, x: NDArray[np.float64]) -> xr.Dataset:
    """The model's variables at the coordinates ``x (chain, draw, n_dim)``."""
    at = density.variables(x)
    variables = {"mu": at.mu}
    if density.n_segments:
        variables |= {"tau": at.tau, "z": at.z}
    variables |= density.scalars_at(at)
    for name, by_group in density.parameters(at).items():
        variables[f"{name}_population"] = by_group[..., -1]
        variables[name] = by_group[..., :-1] if density.n_segments else by_group
    dims = {name: model.named_vars_to_dims.get(name) or () for name in variables}
    return xr.Dataset(
        {name: (("chain", "draw", *dims[name]), values) for name, values in variables.items()},
        coords={name: list(model.coords[name]) for name in dict.fromkeys(chain(*dims.values()))},
    ).assign_coords(chain=np.arange(x.shape[0]), draw=np.arange(x.shape[1]))


def _report(chains: list[Any], stages: Stages) -> None:
    """Pass on nutpie's progress, which comes from another thread."""
    divergences = sum(chain.divergences for chain in chains)
    stages.update(
        sum(chain.finished_draws for chain in chains),
        f"{divergences} divergent" if divergences else "",
    )
