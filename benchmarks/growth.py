"""How does a fit grow with the number of customers? ``python -m benchmarks.growth``.

From a Parquet file of two years of simulated customers (`benchmarks.data.TWO_YEARS`), with daily
states, to a saved model with 5 KMeans segments and 4 landmarks; each size runs in its own process.
The smallest size is fitted twice and the second fit counts, so that no size includes the first
compilation.
"""

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from benchmarks import data, report
from benchmarks.harness import Row, in_a_process, say
from benchmarks.report import Column, Report, ratio_to

QUICK = (10_000, 100_000)
FULL = (10_000, 100_000, 1_000_000)
TEN_MILLION = 10_000_000

COLUMNS = {
    "customers": Column("customers", ",d"),
    "transactions": Column("transactions", ",d"),
    "states": Column("states", ",d"),
    "seconds": Column("wall, s", ".1f"),
    "sampling_seconds": Column("sampling, s", ".1f"),
    "other_seconds": Column("other, s", ".1f"),
    "ratio_seconds": Column("ratio of wall", ".1f"),
    "peak_mb": Column("peak, MB", ",.0f"),
    "ess_bulk": Column("min ESS", ",.0f"),
    "divergences": Column("diverg.", "d"),
    "sound": Column("sound"),
    "model_mb": Column("model, MB", ".2f"),
}


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    parser.add_argument("--customers", type=int, nargs="+", help="numbers of customers, ascending")
    parser.add_argument("--ten-million", action="store_true", help="10,000,000 customers as well")
    return parser


def measure(arguments: Namespace) -> list[Report]:
    sizes = tuple(arguments.customers or (FULL if arguments.full else QUICK))
    if arguments.ten_million:
        sizes += (TEN_MILLION,)
    rows = []
    with data.folder() as folder:
        for size in sizes:
            say(f"simulating {size:,} customers")
            log = folder / f"{size}.parquet"
            in_a_process(data.write_log, log, size)
            if size == sizes[0]:
                say(f"fitting {size:,} customers to warm up")
                in_a_process(fit, log, folder / "model.clv")
            say(f"fitting {size:,} customers")
            rows.append(in_a_process(fit, log, folder / "model.clv"))
            log.unlink()
    return [
        Report(
            "From Parquet to a saved model: 5 segments, 4 landmarks, two years of simulated days",
            COLUMNS,
            ratio_to(rows, "seconds", rows[0]),
            [
                "States: distinct rows of the landmark table, which is all that the sampler uses. "
                "Sampling includes compilation. Other: reading, summaries, segments, the landmark "
                "table, diagnostics, the comparison of segments and saving; imports are excluded.",
            ],
        )
    ]


def fit(log: Path, model: Path) -> Row:
    """Fit once, from file to file."""
    from bayes_clv import HierarchicalBetaGeo, KMeansSegmenter, read_transactions

    began = time.perf_counter()
    transactions = read_transactions(log, end=data.TWO_YEARS.end)
    posterior = HierarchicalBetaGeo(KMeansSegmenter(5), landmarks=4).fit(transactions, seed=0)
    posterior.save(model)
    seconds = time.perf_counter() - began
    verdict, record = posterior.diagnostics, posterior.record
    return {
        "customers": record.n_customers,
        "transactions": record.ledger.rows_in,
        "states": record.n_rows,
        "seconds": seconds,
        "sampling_seconds": record.seconds,
        "other_seconds": seconds - record.seconds,
        "ess_bulk": verdict.ess_bulk,
        "divergences": verdict.divergences,
        "sound": "yes" if verdict.sound else "NO",
        "model_mb": model.stat().st_size / 1e6,
    }


if __name__ == "__main__":
    report.run("growth", parser().parse_args(), measure)
