"""How fast is a log turned into customer states? ``python -m benchmarks.summaries``.

First, simulated transactions of two years (`benchmarks.data.REGULARS`; ``--millions N`` of them)
from a Parquet file to the landmark table: cleaning with its ledger, summaries at 4 landmarks, 5
KMeans segments and the table. Then CDNOW's 69,659 rows from a frame in memory to one row per
customer, by us and by the peers.
"""

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pandas as pd

from benchmarks import data, report
from benchmarks.harness import Row, in_a_process, in_peer, say
from benchmarks.report import Column, Report

QUICK, FULL = 5.0, 50.0  # million transactions
LANDMARKS, SEGMENTS = 4, 5
REPEATS = 3

STAGES = {
    "transactions": Column("transactions", ",d"),
    "customers": Column("customers", ",d"),
    "file_mb": Column("file, MB", ",.0f"),
    "reading": Column("cleaning, s", ".1f"),
    "summaries": Column("summaries, s", ".1f"),
    "learning": Column("learning, s", ".1f"),
    "table": Column("table, s", ".1f"),
    "seconds": Column("wall, s", ".1f"),
    "rows": Column("rows", ",d"),
    "peak_mb": Column("peak, MB", ",.0f"),
}
CUSTOMERS = {
    "name": Column("CDNOW, customers from rows"),
    "customers": Column("customers", ",d"),
    "seconds": Column("wall, s", ".2f"),
    "peak_mb": Column("peak, MB", ",.0f"),
    "ratio_seconds": Column("times our wall", ".1f"),
}


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    parser.add_argument("--millions", type=float, help="how many million transactions")
    return parser


def measure(arguments: Namespace) -> list[Report]:
    millions = arguments.millions or (FULL if arguments.full else QUICK)
    reports = [_landmark_table(millions)]
    if arguments.peer:
        reports.append(_customers())
    return reports


def _landmark_table(millions: float) -> Report:
    with data.folder() as folder:
        log = folder / "log.parquet"
        size = round(1e6 * millions / data.purchases_per_customer(data.REGULARS))
        say(f"simulating {millions:g} million transactions of {size:,} customers")
        in_a_process(data.write_log, log, size, data.REGULARS)
        say("building the landmark table")
        row = in_a_process(build_table, log)
    return Report("From Parquet to the landmark table", STAGES, [row])


def build_table(log: Path) -> Row:
    """Do what a fit does before it samples, and time each stage."""
    from bayes_clv import HierarchicalBetaGeo, KMeansSegmenter, read_transactions

    clock = [time.perf_counter()]
    transactions = read_transactions(log, end=data.REGULARS.end)
    estimator = HierarchicalBetaGeo(KMeansSegmenter(SEGMENTS), landmarks=LANDMARKS)
    prepared = estimator.prepare(
        transactions, on_stage=lambda words: clock.append(time.perf_counter())
    )
    clock.append(time.perf_counter())
    stages = zip(("reading", "summaries", "learning", "table"), clock, clock[1:], strict=False)
    return {
        "transactions": transactions.ledger.rows_in,
        "customers": prepared.table.n_customers,
        "file_mb": log.stat().st_size / 1e6,
        "rows": len(prepared.table),
        "seconds": clock[-1] - clock[0],
    } | {name: end - began for name, began, end in stages}


def _customers() -> Report:
    with data.folder() as folder:
        log = folder / "cdnow.parquet"
        in_a_process(write_cdnow_log, log)
        say("summarising CDNOW by us")
        ours = in_a_process(summarise_cdnow, log) | {"name": "ours, with cleaning and ledger"}
        rows = [ours]
        for peer in ("pymc-marketing", "lifetimes"):
            say(f"summarising CDNOW by {peer}")
            row = in_peer("summarise", log, peer)
            rows.append(row | {"name": f"{peer} {row['version']}"})
    return Report(
        "From rows in memory to customers",
        CUSTOMERS,
        report.ratio_to(rows, "seconds", ours),
        ["The best of three calls in one process each."],
    )


def write_cdnow_log(path: Path) -> Row:
    from bayes_clv import load_cdnow

    load_cdnow().table.select("customer_id", "date", "amount").to_pandas().to_parquet(path)
    return {}


def summarise_cdnow(log: Path) -> Row:
    from bayes_clv import customers, read_transactions

    frame, seconds = pd.read_parquet(log), []
    for _ in range(REPEATS):
        began = time.perf_counter()
        summary = customers(read_transactions(frame, keep_zero_amounts=True))
        seconds.append(time.perf_counter() - began)
    return {"seconds": min(seconds), "customers": len(summary)}


if __name__ == "__main__":
    report.run("summaries", parser().parse_args(), measure)
