"""Simulation-based calibration of the whole procedure, from the priors to the answers.

A study draws parameters from the priors, simulates customers with them, and fits the data, many
times. If simulator, likelihood and sampler agree, the true value is equally likely to have any rank
among independent posterior draws, and a 90 % interval holds it nine times out of ten. A fit to one
dataset cannot show this.

Sources: Talts, Betancourt, Simpson, Vehtari & Gelman (2018), Validating Bayesian inference
algorithms with simulation-based calibration, arXiv:1804.06788; for the rest, see the modules.
"""

import multiprocessing as mp
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from bayes_clv import arguments
from bayes_clv.evaluation.sbc.design import Design
from bayes_clv.evaluation.sbc.replicates import FailedReplicate, Fit, Replicate, run_replicate
from bayes_clv.evaluation.sbc.results import Calibration
from bayes_clv.inference.fitting import fit_table


def calibrate(
    design: Design,
    n_replicates: int = 200,
    *,
    seed: int = 0,
    jobs: int | None = None,
    fit: Fit = fit_table,
    on_replicate: Callable[[], None] = lambda: None,
) -> Calibration:
    """Simulate and fit many datasets.

    Parameters
    ----------
    design
        How each dataset is simulated and fitted.
    n_replicates
        Number of simulated datasets.
    seed
        The same seed gives the same results, whatever `jobs`.
    jobs
        Number of processes, by default one per core; 1 runs everything in this process.
    fit
        The function under test; other processes must be able to import it.
    on_replicate
        Called when a replicate is done.

    Raises
    ------
    InputError
        If ``n_replicates``, ``seed`` or ``jobs`` is too small.
    """
    arguments.instance("design", design, Design)
    jobs = (os.cpu_count() or 1) if jobs is None else jobs
    for name, value, least in (
        ("n_replicates", n_replicates, 2),
        ("seed", seed, 0),
        ("jobs", jobs, 1),
    ):
        arguments.whole(name, value, least=least)
    done = []
    for replicate in _replicates(partial(run_replicate, design, seed, fit=fit), n_replicates, jobs):
        done.append(replicate)
        on_replicate()
    return Calibration.of(design, seed, done)


def _replicates(
    work: Callable[[int], Replicate | FailedReplicate], n_replicates: int, jobs: int
) -> Iterator[Replicate | FailedReplicate]:
    """Yield the results in the order of the replicates' numbers."""
    if jobs == 1:
        yield from map(work, range(n_replicates))
        return
    # Spawned, not forked: the sampler and DuckDB have threads of their own.
    with ProcessPoolExecutor(jobs, mp_context=mp.get_context("spawn")) as pool:
        yield from pool.map(work, range(n_replicates))
