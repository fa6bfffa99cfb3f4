"""How long does a fit take, and what does an effective draw cost? ``python -m benchmarks.fit``.

Time is from data in memory to the posterior. For us the data are transactions, and time includes
summaries, segments, compilation, sampling, diagnostics and the comparison of segments; with the
defaults also spend. The peer, pymc-marketing with nutpie, gets customers that are already
summarised. For both, time excludes imports and files. Compiled code that is on disk from earlier
runs is used again: run twice and use the second result. ESS and R-hat are the worst of all
variables; peak memory is that of the whole process.

The peer is fitted with our priors and, with ``--full``, also with its own (durations in weeks, the
unit that those are made for). The second table shows that both packages find the same posterior.
"""

import json
import math
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from benchmarks import data, report
from benchmarks.harness import Row, in_a_process, in_peer, say
from benchmarks.report import Column, Report

DRAWS, CHAINS = 1000, 4
PARAMETERS = ("r", "alpha", "a", "b")

COLUMNS = {
    "name": Column("fit"),
    "customers": Column("customers", ",d"),
    "states": Column("states", ",d"),
    "tune": Column("tuning", ",d"),
    "seconds": Column("wall, s", ".1f"),
    "sampling_seconds": Column("sampling, s", ".1f"),
    "peak_mb": Column("peak, MB", ",.0f"),
    "ess_bulk": Column("min ESS", ",.0f"),
    "ess_per_second": Column("ESS/s", ",.1f"),
    "r_hat": Column("R-hat", ".3f"),
    "divergences": Column("diverg.", "d"),
    "sound": Column("sound"),
    "times_faster": Column("times faster", ".1f"),
    "times_ess": Column("times ESS/s", ".1f"),
}


@dataclass(frozen=True)
class Case:
    name: str
    sample: bool = False
    segments: Literal["none", "rfm", "kmeans"] = "none"
    spend: bool = False


SAMPLE = Case("CDNOW 1/10 sample, pooled, purchases only", sample=True)
POOLED = Case("CDNOW, pooled, purchases only")
DEFAULT = Case("CDNOW, the default: RFM segments, with spend", segments="rfm", spend=True)
KMEANS = Case("CDNOW, 5 KMeans segments, with spend", segments="kmeans", spend=True)


def parser() -> ArgumentParser:
    return report.parser(__doc__ or "")


def measure(arguments: Namespace) -> list[Report]:
    rows = []
    for case in (SAMPLE, POOLED, DEFAULT, KMEANS):
        say(f"fitting {case.name}")
        rows.append(in_a_process(fit, case))
    if not arguments.peer:
        return [_fits(rows)]
    peers = _fit_peer(rows[1]["customers"], with_its_own_priors=arguments.full)
    same_priors = peers[0]
    rows = [
        row
        if row["name"] == SAMPLE.name
        else row
        | {
            "times_faster": same_priors["seconds"] / row["seconds"],
            "times_ess": row["ess_per_second"] / same_priors["ess_per_second"],
        }
        for row in rows
    ]
    return [_fits(rows, peers), _agreement(rows[1], same_priors)]


def fit(case: Case) -> Row:
    """Fit once."""
    from arviz_stats import ess

    from bayes_clv import HierarchicalBetaGeo, KMeansSegmenter, RFMSegmenter, load_cdnow

    segmenters = {"none": None, "rfm": RFMSegmenter(), "kmeans": KMeansSegmenter(5)}
    dropout = "after_repeat" if case.segments == "none" else "auto"  # the peer has BG/NBD alone
    estimator = HierarchicalBetaGeo(segmenters[case.segments], dropout=dropout, spend=case.spend)
    transactions = load_cdnow(sample=case.sample)
    began = time.perf_counter()
    posterior = estimator.fit(transactions, draws=DRAWS, chains=CHAINS, seed=0)
    seconds = time.perf_counter() - began
    verdict, record = posterior.diagnostics, posterior.record
    names = [f"{name}_population" for name in PARAMETERS]
    draws = posterior.tree["posterior"].to_dataset()[names]
    effective = ess(draws, method="bulk")
    return {
        "name": case.name,
        "customers": record.n_customers,
        "states": record.n_rows,
        "tune": record.tune,
        "seconds": seconds,
        "sampling_seconds": record.seconds,
        "ess_bulk": verdict.ess_bulk,
        "ess_per_second": verdict.ess_bulk / seconds,
        "r_hat": verdict.r_hat,
        "divergences": verdict.divergences,
        "sound": "yes" if verdict.sound else "NO",
        "parameters": {
            short: [float(draws[name].mean()), float(draws[name].std() / effective[name] ** 0.5)]
            for short, name in zip(PARAMETERS, names, strict=True)
        },
    }


def _fit_peer(n_customers: int, *, with_its_own_priors: bool) -> list[Row]:
    from bayes_clv import Priors

    with data.folder() as folder:
        in_days, in_weeks = folder / "days.parquet", folder / "weeks.parquet"
        in_a_process(data.write_cdnow, in_days)
        customers = pd.read_parquet(in_days)
        customers.assign(**{name: customers[name] / 7 for name in ("recency", "T")}).to_parquet(
            in_weeks
        )
        ours = {name: (it["mean"], it["sd"]) for name, it in Priors().to_dict().items()}
        # The unit of our priors is the mean T of those who were observed for a day or more.
        ours["mean_T"] = float(customers.loc[customers["T"] > 0, "T"].mean())
        runs = [("our priors", in_days, json.dumps(ours))]
        if with_its_own_priors:
            runs.append(("its own priors", in_weeks, "default"))
        rows = []
        for priors, path, config in runs:
            say(f"fitting pymc-marketing with {priors}")
            row = in_peer("fit", path, config)
            name = f"pymc-marketing, pooled, {priors}"
            rows.append(row | {"name": name, "customers": n_customers, "tune": 1000})
    return rows


def _fits(rows: list[Row], peers: Sequence[Row] = ()) -> Report:
    notes = [
        "From data in memory to the posterior, compilation included. Worst bulk ESS and R-hat of "
        "all variables."
    ]
    if peers:
        notes.append(
            f"Times faster, times ESS/s: against pymc-marketing {peers[0]['version']} with our "
            "priors."
        )
    return Report(f"Fits of {CHAINS} chains × {DRAWS} draws", COLUMNS, [*rows, *peers], notes)


def _agreement(ours: Row, peer: Row) -> Report:
    rows = []
    for name in PARAMETERS:
        (mean, error), (peer_mean, peer_error) = ours["parameters"][name], peer["parameters"][name]
        rows.append(
            {
                "name": name,
                "ours": mean,
                "peer": peer_mean,
                "errors": (mean - peer_mean) / math.hypot(error, peer_error),
            }
        )
    columns = {
        "name": Column("posterior mean of"),
        "ours": Column("ours", ".5f"),
        "peer": Column("pymc-marketing", ".5f"),
        "errors": Column("difference, Monte Carlo errors", "+.1f"),
    }
    return Report("The same posterior: CDNOW, pooled, the same priors (α in days)", columns, rows)


if __name__ == "__main__":
    report.run("fit", parser().parse_args(), measure)
