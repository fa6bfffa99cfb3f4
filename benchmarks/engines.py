"""How long do DuckDB and Spark take, from a log to scores? ``python -m benchmarks.engines``.

From a Parquet file of two years of simulated transactions (`benchmarks.data.REGULARS`, without
amounts) to a model and a file with the scores of all customers, on DuckDB and on Spark in local
mode with two cores; both must come to the same model. `benchmarks.states` measures how the landmark
table grows with customers and days, which determines the driver's memory.
"""

import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from benchmarks import data, report
from benchmarks.harness import Row, in_a_process, say
from benchmarks.report import Column, Report

QUICK, FULL = (100_000,), (1_000_000, 10_000_000)
SPARK = (
    "spark://local[2]?spark.driver.memory=8g&spark.driver.maxResultSize=4g&spark.ui.enabled=false"
    "&spark.sql.shuffle.partitions=16&spark.driver.host=127.0.0.1"
)
LANDMARKS = 4
ENGINES = ("duckdb", "spark")
SHOP = replace(data.REGULARS, spend=None)

STAGES = {
    "engine": Column("engine"),
    "customers": Column("customers", ",d"),
    "transactions": Column("transactions", ",d"),
    "rows": Column("table's rows", ",d"),
    "states": Column("states scored", ",d"),
    "table": Column("table, s", ",.0f"),
    "fit": Column("fit, s", ",.0f"),
    "compared": Column("comparison, s", ",.0f"),
    "scores": Column("scores, s", ",.0f"),
    "written": Column("join and write, s", ",.0f"),
    "seconds": Column("wall, s", ",.0f"),
    "driver_mb": Column("driver's peak, MB", ",.0f"),
    "engine_mb": Column("engine's peak, MB", ",.0f"),
}


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    parser.add_argument("--customers", type=int, nargs="+", help="these sizes")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--draws", type=int, default=1000, help="draws of each chain")
    parser.add_argument("--chains", type=int, default=4, help="chains")
    return parser


def measure(arguments: Namespace) -> list[Report]:
    sizes = arguments.customers or (FULL if arguments.full else QUICK)
    rows: list[Row] = []
    with data.folder() as folder:
        for size in sizes:
            log = folder / "log.parquet"
            say(f"simulating {size:,} customers")
            in_a_process(data.write_log, log, size, SHOP)
            for engine in arguments.engines:
                say(f"{engine}: {size:,} customers")
                row = in_a_process(
                    run, engine, log, folder / f"{engine}-{size}", arguments.draws, arguments.chains
                )
                rows.append(row | {"seconds": sum(float(row[stage]) for stage in _STAGES)})
                say(f"{engine}: {rows[-1]}")
            versions = {row["version"] for row in rows if row["customers"] == rows[-1]["customers"]}
            assert len(versions) == 1, "the engines come to different models"
    return [
        Report(
            "From Parquet to the scores of all customers: RFM segments, 4 landmarks, "
            f"{arguments.chains * arguments.draws:,} draws",
            STAGES,
            rows,
            [
                "Scores: P(alive), P(purchase) and expected purchases with intervals, and the "
                "interval of the purchases themselves. Both engines come to the same model, to the "
                "last bit. DuckDB works within the driver's process, whose peak includes it; Spark "
                "works in a Java process of its own.",
            ],
        )
    ]


def run(engine: str, log: Path, target: Path, draws: int, chains: int) -> Row:
    """Go from a log to a model and to scores, on one engine."""
    from bayes_clv import HierarchicalBetaGeo, load_posterior, read_transactions
    from bayes_clv.data.engines import connect
    from bayes_clv.posterior.scores import score_log, write_scores

    row: Row = {"engine": engine}
    clock = [time.perf_counter()]

    def lap(name: str) -> None:
        clock.append(time.perf_counter())
        row[name] = clock[-1] - clock[-2]
        say(f"{engine}: {name} took {row[name]:,.0f} s; peak so far {_peak_mb('self'):,.0f} MB")

    def on_stage(words: str) -> None:
        if words in ends:
            lap(ends[words])
        say(f"{engine}: {words}")

    ends = {"looking for the posterior": "table", "comparing segments": "fit"}
    if engine == "duckdb":
        transactions = read_transactions(log, end=SHOP.end)
    else:
        transactions = read_transactions(connect(SPARK), table=str(log), end=SHOP.end)
    posterior = HierarchicalBetaGeo(landmarks=LANDMARKS).fit(
        transactions, draws=draws, chains=chains, on_stage=on_stage
    )
    lap("compared")
    model = target.with_suffix(".clv")
    posterior.save(model)
    posterior = load_posterior(model)
    scores = score_log(
        posterior, transactions, 90.0, on_states=lambda done, total: row.update(states=total)
    )
    lap("scores")
    write_scores(scores, str(target.with_suffix(".parquet")))
    lap("written")
    return row | {
        "customers": posterior.record.n_customers,
        "transactions": posterior.record.ledger.rows_in,
        "rows": posterior.record.n_rows,
        "version": posterior.version,
        "driver_mb": _peak_mb("self"),
        "engine_mb": _java_peak_mb(),
    }


_STAGES = ("table", "fit", "compared", "scores", "written")


def _peak_mb(process: str) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def _java_peak_mb() -> float | None:
    """The largest memory so far of the Java process that this one has started, if any."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == "java":
                return _peak_mb(folder.name)
        except OSError:
            continue  # the process has ended meanwhile
    return None


if __name__ == "__main__":
    report.run("engines", parser().parse_args(), measure)
