"""How large does the model's table get? ``python -m benchmarks.states``.

The landmark table holds the distinct states of customers, and is all that the sampler uses of a
log, wherever the log is stored. It is measured for logs of half a year, a year and two years, of up
to ten million customers, and extrapolated to a billion.
"""

import datetime as dt
import math
import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from benchmarks import data, report
from benchmarks.harness import Row, in_a_process, say
from benchmarks.report import Column, Report

QUICK, FULL = (10_000, 100_000), (10_000, 100_000, 1_000_000, 10_000_000)
DAYS = (182, 365, 730)
BILLION = 10**9
LANDMARKS = 4
BYTES = 5 * 8  # of a row of the landmark table

COLUMNS = {
    "days": Column("days", ",d"),
    "customers": Column("customers", ",d"),
    "rows": Column("table's rows", ",d"),
    "power": Column("power of customers", ".2f"),
    "table_mb": Column("table, MB", ",.0f"),
    "seconds": Column("to make it, s", ",.1f"),
    "peak_mb": Column("peak, MB", ",.0f"),
}


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    parser.add_argument("--customers", type=int, nargs="+", help="numbers of customers, ascending")
    return parser


def measure(arguments: Namespace) -> list[Report]:
    sizes = arguments.customers or (FULL if arguments.full else QUICK)
    rows: list[Row] = []
    with data.folder() as folder:
        log = folder / "log.parquet"
        for days in DAYS:
            shop = replace(
                data.TWO_YEARS,
                spend=None,
                end=data.TWO_YEARS.start + dt.timedelta(days=days),
                acquisition_days=days // 2,
            )
            measured: list[Row] = []
            for size in sizes:
                say(f"counting the states of {size:,} customers in {days} days")
                in_a_process(data.write_log, log, size, shop)
                measured.append(in_a_process(count, log, shop.end) | {"days": days})
            for before, row in pairwise(measured):
                row["power"] = math.log(row["rows"] / before["rows"]) / math.log(
                    row["customers"] / before["customers"]
                )
            rows += [*measured, at_a_billion(measured[-1])]
    return [
        Report(
            "The landmark table by customers and days: like CDNOW, RFM segments, 4 landmarks",
            COLUMNS,
            [row | {"table_mb": row["rows"] * BYTES / 1e6} for row in rows],
            [
                "Power: since the row before, the table grew with the number of customers to this "
                "power. It falls, because states repeat. The rows for a billion customers are not "
                "measured: they are extrapolated from the largest log with its power, and so are "
                "too many.",
            ],
        )
    ]


def count(log: Path, end: dt.date) -> Row:
    """Build the landmark table, and count it."""
    from bayes_clv import HierarchicalBetaGeo, read_transactions

    began = time.perf_counter()
    transactions = read_transactions(log, end=end)
    table = HierarchicalBetaGeo(landmarks=LANDMARKS).prepare(transactions).table
    return {
        "customers": table.n_customers,
        "rows": len(table),
        "seconds": time.perf_counter() - began,
    }


def at_a_billion(largest: Row) -> Row:
    """The table of a billion customers, from the largest one measured."""
    grown = (BILLION / largest["customers"]) ** largest["power"]
    return {
        "days": largest["days"],
        "customers": BILLION,
        "rows": round(largest["rows"] * grown),
        "power": largest["power"],
    }


if __name__ == "__main__":
    report.run("states", parser().parse_args(), measure)
