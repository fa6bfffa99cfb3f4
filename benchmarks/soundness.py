"""Does a fit end sound, whatever the seed and the processor? ``python -m benchmarks.soundness``.

Each log is fitted as a user would fit it, with the defaults and one seed after the other:
purchases, and spend if the log has amounts. Whether a draw diverges depends on the last digits of
the arithmetic, so a few settings are run again, compiled for other processors (NUMBA_CPU_NAME). A
fit is sound, sound with a remark, or unsound, as its verdict says. The number of samplings shows
how careful it had to be.

Two logs are in the project and two are simulated. The logs of three retailers are not in the
project, and are left out if their files are missing. With ``--full`` it takes an hour or two on two
cores, so it is not part of ``python -m benchmarks``; ``--keep FILE`` saves each fit, and saved ones
are not repeated.
"""

import json
import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from rich.console import Console
from rich.progress import track

from bayes_clv import (
    HierarchicalBetaGeo,
    KMeansSegmenter,
    RFMSegmenter,
    Transactions,
    load_cdnow,
    read_transactions,
)
from bayes_clv.evaluation.simulate.logs import simulate_transactions
from bayes_clv.inference.parts import Prepared
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.models.bgnbd import Dropout
from benchmarks import report
from benchmarks.data import REGULARS, RETAILERS, SHARED, TWO_YEARS
from benchmarks.harness import Row
from benchmarks.report import Column, Report

SEEDS, FEWER_SEEDS, FEWEST_SEEDS = 10, 5, 2
HERE = "this machine's"
OTHER_TARGETS = ("generic", "haswell")
SIMULATED_CUSTOMERS = 2_000


FILES = {name: SHARED / file for name, file in RETAILERS.items()}
SCENARIOS = {"simulated": TWO_YEARS, "simulated, regulars": REGULARS}
LOGS = ("CDNOW", "CDNOW, 1/10 sample", *FILES, *SCENARIOS)
SEGMENTERS = {
    "rfm": RFMSegmenter(),
    **{f"kmeans {n}": KMeansSegmenter(n) for n in (3, 5, 8)},
    "none": None,
}
KEY_LOGS, KEY_SEGMENTS = ("CDNOW", "retailer"), ("rfm", "kmeans 5", "none")
COLUMNS = {
    "log": Column("log"),
    "segments": Column("segments"),
    "dropout": Column("customers leave"),
    "target": Column("compiled for"),
    "fits": Column("fits", "d"),
    "sound": Column("sound", ".0%"),
    "remark": Column("with a remark", ".0%"),
    "unsound": Column("unsound", ".0%"),
    "first": Column("sampled once", ".0%"),
    "samplings": Column("most samplings", "d"),
    "seconds": Column("median, s", ".1f"),
    "longest": Column("longest, s", ".1f"),
    "why": Column("messages"),
}


class Setting(NamedTuple):
    """One fit: names from ``LOGS`` and ``SEGMENTERS``, a dropout rule, a processor and a seed."""

    log: str
    segments: str
    dropout: str
    target: str
    seed: int


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (cores)")
    parser.add_argument("--keep", type=Path, help="file to save fits in, one line each")
    return parser


def settings(*, full: bool) -> list[Setting]:
    """All fits to make: the most important first, the rest seed by seed."""
    logs = [name for name in LOGS if name not in _missing()]
    if not full:
        logs = ["CDNOW, 1/10 sample", "simulated"]
    seeds = SEEDS if full else FEWEST_SEEDS
    key = [name for name in KEY_LOGS if name in logs]
    made = _all(key, KEY_SEGMENTS, HERE, seeds)
    for target in OTHER_TARGETS:
        made += _all(key, KEY_SEGMENTS, target, FEWER_SEEDS)
    return list(dict.fromkeys(made + _all(logs, tuple(SEGMENTERS), HERE, seeds)))


def _all(
    logs: Sequence[str], segmenters: Sequence[str], target: str, n_seeds: int
) -> list[Setting]:
    return [
        Setting(log, segments, dropout.value, target, seed)
        for seed in range(n_seeds)
        for log in logs
        for segments in segmenters
        for dropout in Dropout
    ]


def measure(arguments: Namespace) -> list[Report]:
    wanted = settings(full=arguments.full)
    made = _kept(arguments.keep)
    to_do = [it for it in wanted if it not in made]
    seen = track(
        _fits(to_do, arguments.jobs),
        "fitting",
        total=len(to_do),
        console=Console(stderr=True),
    )
    for setting, row in seen:
        made[setting] = row
        if arguments.keep:
            with arguments.keep.open("a") as file:
                file.write(json.dumps(setting._asdict() | row) + "\n")
    notes = [
        f"{arguments.jobs} fits at a time, seeds from 0 on. Time is that of sampling purchases and "
        "spend, with its preparation. Sampled once: neither purchases nor spend had to be sampled "
        "again. Messages: complaints and remarks on the last draws, and whether spend was left out."
    ]
    if missing := _missing():
        notes.append(f"Left out because their files are missing: {', '.join(missing)}.")
    fits = pd.DataFrame([it._asdict() | made[it] for it in wanted])
    return [
        Report("All fits, by log", COLUMNS, _summaries(fits, ["log", "target"]), notes),
        Report(
            "Each setting",
            COLUMNS,
            _summaries(fits, ["log", "segments", "dropout", "target"]),
            [],
        ),
    ]


def fit(setting: Setting) -> Row:
    """Sample once, as ``bayes-clv fit`` does."""
    estimator = HierarchicalBetaGeo(SEGMENTERS[setting.segments], dropout=Dropout(setting.dropout))
    data = _prepared(setting.log, setting.segments)
    began = time.perf_counter()
    sampled = estimator.sample(data, SamplerSettings(seed=setting.seed))
    verdict, of_spend = sampled.diagnostics, sampled.spend
    return {
        "seconds": time.perf_counter() - began,
        "grade": ("remark" if verdict.remarks else "sound") if verdict.sound else "unsound",
        "samplings": sampled.purchases.samplings,
        "spend_samplings": of_spend.fitted.samplings if of_spend else 0,
        "divergences": verdict.divergences,
        "why": "; ".join(
            filter(None, [*verdict.complaints, *verdict.remarks, sampled.left_out.split(":")[0]])
        ),
    }


def _fits(wanted: Iterable[Setting], jobs: int) -> Iterator[tuple[Setting, Row]]:
    """Make all fits, one target after the other: a process compiles for one only."""
    for target, some in groupby(wanted, lambda it: it.target):
        with (
            _compiled_for(target),
            ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
        ):
            futures = {pool.submit(fit, it): it for it in some}
            for future in as_completed(futures):
                yield futures[future], future.result()


@contextmanager
def _compiled_for(target: str) -> Iterator[None]:
    """Let the processes that start within this context compile for ``target``."""
    before = os.environ.get("NUMBA_CPU_NAME")
    if target != HERE:
        os.environ["NUMBA_CPU_NAME"] = target
    try:
        yield
    finally:
        os.environ.pop("NUMBA_CPU_NAME", None)
        if before is not None:
            os.environ["NUMBA_CPU_NAME"] = before


def _summaries(fits: pd.DataFrame, by: list[str]) -> list[Row]:
    rows = []
    for key, some in fits.groupby(by, sort=False):
        grades = some["grade"]
        once = (some["samplings"] <= 1) & (some["spend_samplings"] <= 1)
        whys = some["why"][some["why"] != ""].value_counts()
        rows.append(
            dict(zip(by, key, strict=True))
            | {
                "fits": len(some),
                **{grade: float((grades == grade).mean()) for grade in ("sound", "remark")},
                "unsound": float((grades == "unsound").mean()),
                "first": float(once.mean()),
                "samplings": int(some[["samplings", "spend_samplings"]].to_numpy().max()),
                "seconds": float(some["seconds"].median()),
                "longest": float(some["seconds"].max()),
                "why": "; ".join(f"{n} × {why}" for why, n in whys.items()) or None,
            }
        )
    return rows


def _kept(path: Path | None) -> dict[Setting, Row]:
    if path is None or not path.exists():
        return {}
    lines = map(json.loads, path.read_text().splitlines())
    return {Setting(*(it.pop(name) for name in Setting._fields)): it for it in lines}


def _missing() -> list[str]:
    return [name for name, file in FILES.items() if not file.exists()]


@lru_cache
def _prepared(log: str, segments: str) -> Prepared:
    return HierarchicalBetaGeo(SEGMENTERS[segments]).prepare(_log(log))


@lru_cache
def _log(name: str) -> Transactions:
    if name in FILES:
        return read_transactions(FILES[name])
    if name in SCENARIOS:
        scenario = SCENARIOS[name]
        made = simulate_transactions(scenario, SIMULATED_CUSTOMERS, seed=1)
        return read_transactions(made.log, end=scenario.end)
    return load_cdnow(sample=name != "CDNOW")


if __name__ == "__main__":
    report.run("soundness", parser().parse_args(), measure)
