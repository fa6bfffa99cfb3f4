"""NUTS by nutpie, with a progress bar on standard error."""

import os
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from numpy.typing import NDArray
from pytensor.compile.mode import Mode
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bayes_clv.errors import InputError
from bayes_clv.hierarchy import HierarchicalDensity

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
_SAME = 1e-9
_INITIAL_STEP = 0.5  # all coordinates have about unit scale


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """How long to sample; draws and tuning steps are per chain."""

    draws: int = 1000
    tune: int = 200
    chains: int = 4
    seed: int = 0
    target_accept: float = 0.8

    def __post_init__(self) -> None:
        for name, least in (("draws", 4), ("tune", 50), ("chains", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}: {getattr(self, name)}")

    def more_careful(self) -> Self:
        """Tune four times as long, for smaller steps."""
        return replace(self, tune=4 * self.tune, target_accept=0.95)


def sample(
    model: pm.Model,
    density: HierarchicalDensity,
    settings: SamplerSettings,
    *,
    progress: bool = False,
    label: str = "sampling",
) -> xr.DataTree:
    """Draw from the posterior; the same seed gives the same draws on the same machine.

    Parameters
    ----------
    model, density
        The model, and its log-density in the coordinates that NUTS moves in.
    settings
        How long.
    progress
        Show a bar on standard error.
    label
        What it says.

    Returns
    -------
    A DataTree with ``posterior``, the model's variables, and ``sample_stats``.
    """
    check_density(model, density)
    with _Progress(settings, label, show=progress) as bar:
        tree = nutpie.sample(
            _for_nutpie(density),
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=min(settings.chains, os.cpu_count() or 1),
            seed=settings.seed,
            target_accept=settings.target_accept,
            initial_step=_INITIAL_STEP,
            adaptation="low_rank",  # a few directions of a segment may still be correlated
            save_warmup=False,
            progress_bar=False,
            progress_callback=bar.update,
        )
    statistics = tree["sample_stats"].to_dataset()
    statistics.attrs.pop("created_at")  # equal draws make equal files, and one version
    return xr.DataTree.from_dict(
        {
            "posterior": _posterior(model, density, tree["posterior"]["x"].to_numpy()),
            "sample_stats": statistics[[name for name in _STATISTICS if name in statistics]],
        }
    )


def check_density(model: pm.Model, density: HierarchicalDensity) -> None:
    """Hold the density against the model's graph at three points, before hours rest on it.

    Raises
    ------
    RuntimeError
        When they differ: a fault of this package.
    """
    log_posterior = model.compile_logp(jacobian=True, mode=Mode(linker="py", optimizer=None))
    for seed in range(3):
        x = density.start(seed)
        at = density.variables(x)
        point = {"mu": at.mu}
        if density.n_segments:
            point |= {"tau_log__": np.log(at.tau), "z": at.z}
        expected = float(log_posterior(point)) + float(at.log_jacobian)
        seen = density(x)[0]
        if not abs(seen - expected) <= _SAME * (1 + abs(expected)):
            raise RuntimeError(f"log-density {seen!r} differs from the PyMC model's {expected!r}")


def _for_nutpie(density: HierarchicalDensity) -> Any:
    return nutpie.compiled_pyfunc.from_pyfunc(
        density.n_dim,
        make_logp_fn=lambda: density,
        make_expand_fn=lambda *seeds: lambda x: {"x": x},
        expanded_dtypes=[np.dtype(np.float64)],
        expanded_shapes=[(density.n_dim,)],
        expanded_names=["x"],
        make_initial_point_fn=density.start,
    )


def _posterior(model: pm.Model, density: HierarchicalDensity, x: NDArray[np.float64]) -> xr.Dataset:
    """Name the model's variables at the coordinates ``x (chain, draw, n_dim)``."""
    at = density.variables(x)
    variables = {"mu": at.mu}
    if density.n_segments:
        variables |= {"tau": at.tau, "z": at.z}
    for name, by_group in density.parameters(at).items():
        variables[f"{name}_population"] = by_group[..., 0]
        variables[name] = by_group[..., 1:] if density.n_segments else by_group
    dims = {name: model.named_vars_to_dims.get(name) or () for name in variables}
    return xr.Dataset(
        {name: (("chain", "draw", *dims[name]), values) for name, values in variables.items()},
        coords={name: list(values) for name, values in model.coords.items()},
    ).assign_coords(chain=np.arange(x.shape[0]), draw=np.arange(x.shape[1]))


class _Progress:
    """One bar over all chains."""

    def __init__(self, settings: SamplerSettings, label: str, *, show: bool) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.total:,} draws"),
            TextColumn("{task.fields[divergences]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not show,
        )
        total = settings.chains * (settings.draws + settings.tune)
        self._task = self._bar.add_task(label, total=total, divergences="")

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def update(self, chains: list[Any]) -> None:
        """Take nutpie's report; it comes from another thread, which Rich allows."""
        divergences = sum(chain.divergences for chain in chains)
        self._bar.update(
            self._task,
            completed=sum(chain.finished_draws for chain in chains),
            divergences=f"{divergences} divergent" if divergences else "",
        )
