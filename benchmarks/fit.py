"""How long does a fit take, and what does it cost a draw? ``python -m benchmarks.fit [--json]``.

Each case runs in its own process, so that peak memory and compilation are its own; what compilers
keep on disk from earlier runs stays in use, so run twice and read the second.
Time runs from transactions in memory to the posterior: summaries, segments, compilation, sampling,
diagnostics and the comparison of segments; not the imports, nor reading the file. Peak memory is
that of the whole process. ESS is the worst bulk ESS of all variables.
"""

import argparse
import json
import multiprocessing as mp
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from bayes_clv import HierarchicalBetaGeo

DRAWS, TUNE, CHAINS = 1000, 500, 4


@dataclass(frozen=True)
class Case:
    name: str
    sample: bool
    segments: int  # 0: pooled
    landmarks: int

    def estimator(self) -> "HierarchicalBetaGeo":
        from bayes_clv import HierarchicalBetaGeo, KMeansSegmenter

        segmenter = KMeansSegmenter(self.segments) if self.segments else None
        return HierarchicalBetaGeo(segmenter, landmarks=self.landmarks)


CASES = (
    Case("CDNOW 1/10 sample, pooled", sample=True, segments=0, landmarks=1),
    Case("CDNOW, pooled", sample=False, segments=0, landmarks=1),
    Case("CDNOW, 5 segments × 4 landmarks", sample=False, segments=5, landmarks=4),
)


@dataclass(frozen=True)
class Result:
    name: str
    customers: int
    states: int
    seconds: float
    sampling_seconds: float
    peak_mb: float
    ess_bulk: float
    ess_per_second: float
    divergences: int
    sound: bool


def measure(case: Case) -> Result:
    """Fit once; to be run in a process of its own."""
    from bayes_clv import load_cdnow

    estimator, transactions = case.estimator(), load_cdnow(sample=case.sample)
    began = time.perf_counter()
    posterior = estimator.fit(transactions, draws=DRAWS, tune=TUNE, chains=CHAINS, seed=0)
    seconds = time.perf_counter() - began
    verdict, record = posterior.diagnostics, posterior.record
    return Result(
        name=case.name,
        customers=record.n_customers,
        states=record.n_rows,
        seconds=seconds,
        sampling_seconds=record.seconds,
        peak_mb=_peak_mb(),
        ess_bulk=verdict.ess_bulk,
        ess_per_second=verdict.ess_bulk / seconds,
        divergences=verdict.divergences,
        sound=verdict.sound,
    )


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kilobytes on Linux


def _in_a_process[R](work: Callable[[Case], R], case: Case) -> R:
    with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as pool:
        return pool.submit(work, case).result()


def _table(results: list[Result]) -> Table:
    table = Table(
        title=f"{CHAINS} chains × ({TUNE} tuning + {DRAWS} draws), {os.cpu_count()} cores",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("fit", min_width=16)
    for heading in ("customers", "wall, s", "peak, MB", "min ESS", "ESS/s", "diverg.", "sound"):
        table.add_column(heading, justify="right", no_wrap=True)
    for it in results:
        table.add_row(
            it.name,
            f"{it.customers:,}",
            f"{it.seconds:.1f}",
            f"{it.peak_mb:,.0f}",
            f"{it.ess_bulk:,.0f}",
            f"{it.ess_per_second:.1f}",
            f"{it.divergences}",
            "yes" if it.sound else "NO",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    as_json = parser.parse_args().json
    results = []
    for case in CASES:
        print(f"fitting {case.name} …", file=sys.stderr)
        results.append(_in_a_process(measure, case))
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        Console().print(_table(results))


if __name__ == "__main__":
    main()
