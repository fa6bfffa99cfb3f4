"""NUTS by nutpie, with a progress bar on standard error."""

from dataclasses import dataclass
from typing import Any

import nutpie
import pymc as pm
import xarray as xr
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bayes_clv.errors import InputError

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
# Small steps: with few segments the posterior of τ has a narrow end near 0.
_TARGET_ACCEPT = 0.95


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """How long to sample; draws and tuning steps are per chain."""

    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("draws", 4), ("tune", 50), ("chains", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}: {getattr(self, name)}")


def sample(model: pm.Model, settings: SamplerSettings, *, progress: bool = False) -> xr.DataTree:
    """Draw from the posterior; the same seed gives the same draws on the same machine.

    Returns
    -------
    A DataTree with ``posterior`` and ``sample_stats``.
    """
    with _Progress(settings, show=progress) as bar:
        bar.describe("compiling the model")
        compiled = nutpie.compile_pymc_model(model)
        bar.describe("sampling")
        # A low-rank mass matrix: r goes with α and a with b, which a diagonal cannot follow.
        tree = nutpie.sample(
            compiled,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            seed=settings.seed,
            adaptation="low_rank",
            target_accept=_TARGET_ACCEPT,
            save_warmup=False,
            progress_bar=False,
            progress_callback=bar.update,
        )
    statistics = tree["sample_stats"].to_dataset()
    return xr.DataTree.from_dict(
        {
            "posterior": tree["posterior"].to_dataset(),
            "sample_stats": statistics[[name for name in _STATISTICS if name in statistics]],
        }
    )


class _Progress:
    """One bar over all chains."""

    def __init__(self, settings: SamplerSettings, *, show: bool) -> None:
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
        self._task = self._bar.add_task("", total=total, divergences="")

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def describe(self, words: str) -> None:
        self._bar.update(self._task, description=words)

    def update(self, chains: list[Any]) -> None:
        """Take nutpie's report; it comes from another thread, which Rich allows."""
        divergences = sum(chain.divergences for chain in chains)
        self._bar.update(
            self._task,
            completed=sum(chain.finished_draws for chain in chains),
            divergences=f"{divergences} divergent" if divergences else "",
        )
