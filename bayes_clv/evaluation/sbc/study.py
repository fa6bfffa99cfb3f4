"""Simulation-based calibration of the whole path, from the priors to the answers.

Draw parameters from the priors, simulate customers with them, and fit. If simulator, likelihood and
sampler agree, the rank of the truth among independent draws of the posterior is uniform, and a 90 %
interval covers it nine times out of ten. A fit to a single dataset cannot show that.

Sources: Talts, Betancourt, Simpson, Vehtari & Gelman (2018), Validating Bayesian inference
algorithms with simulation-based calibration, arXiv:1804.06788; for the rest, see the modules.
"""

import multiprocessing as mp
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from bayes_clv.errors import InputError
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
        What is simulated and fitted.
    n_replicates
        Number of datasets.
    seed
        The same seed gives the same results, whatever `jobs`.
    jobs
        Processes, by default one for each core; 1 stays in this one.
    fit
        The fit under test; a function that other processes can import.
    on_replicate
        Called when one more is done.

    Raises
    ------
    InputError
        A number is out of its range.
    """
    jobs = (os.cpu_count() or 1) if jobs is None else jobs
    for name, value, least in (
        ("n_replicates", n_replicates, 2),
        ("seed", seed, 0),
        ("jobs", jobs, 1),
    ):
        if value < least:
            raise InputError(f"{name} must be at least {least}: {value}")
    done = []
    for replicate in _replicates(partial(run_replicate, design, seed, fit=fit), n_replicates, jobs):
        done.append(replicate)
        on_replicate()
    return Calibration.of(design, seed, done)


def _replicates(
    work: Callable[[int], Replicate | FailedReplicate], n_replicates: int, jobs: int
) -> Iterator[Replicate | FailedReplicate]:
    """Yield results in order of their numbers."""
    if jobs == 1:
        yield from map(work, range(n_replicates))
        return
    # Spawned, not forked: the sampler and DuckDB have threads of their own.
    with ProcessPoolExecutor(jobs, mp_context=mp.get_context("spawn")) as pool:
        yield from pool.map(work, range(n_replicates))
