"""How fast are customers scored? ``python -m benchmarks.scoring [--customers N]``.

Mean and 90 % interval over 4,000 draws of a model of CDNOW (RFM segments), for customers simulated
over two years (`benchmarks.data.TWO_YEARS`). Then P(alive) of CDNOW's own customers from one pooled
posterior, by us and by pymc-marketing with the same draws. Time is that of the calls, with
customers and model in memory; peak memory is that of the whole process, with imports and customers.
"""

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np

from benchmarks import data, report
from benchmarks.harness import Row, in_a_process, in_peer, say
from benchmarks.report import Column, Report

QUICK, FULL = 100_000, 1_000_000
HORIZON = 90.0
LEVEL = 0.9

SCORES = {
    "name": Column("answers"),
    "customers": Column("customers", ",d"),
    "states": Column("distinct states", ",d"),
    "draws": Column("draws", ",d"),
    "seconds": Column("wall, s", ".1f"),
    "per_customer": Column("µs a customer", ".1f"),
    "peak_mb": Column("peak, MB", ",.0f"),
}
ALIVE = {
    "name": Column("P(alive) of CDNOW"),
    "customers": Column("customers", ",d"),
    "seconds": Column("wall, s", ".2f"),
    "peak_mb": Column("peak, MB", ",.0f"),
    "ratio_seconds": Column("times our wall", ".1f"),
    "ratio_peak_mb": Column("times our peak", ".1f"),
}


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    parser.add_argument("--customers", type=int, help="how many simulated customers")
    return parser


def measure(arguments: Namespace) -> list[Report]:
    size = arguments.customers or (FULL if arguments.full else QUICK)
    with data.folder() as folder:
        reports = [_scores(folder, size)]
        if arguments.peer:
            reports.append(_alive(folder))
    return reports


def _scores(folder: Path, size: int) -> Report:
    model, customers = folder / "model.clv", folder / "customers.parquet"
    say("fitting CDNOW")
    in_a_process(data.write_model, model)
    say(f"simulating {size:,} customers")
    states = in_a_process(data.write_customers, customers, size)["states"]
    rows = []
    for case in (alive_and_purchase, expected, spend, value, value_outcome):
        say(f"scoring {size:,} customers: {case.__doc__}")
        rows.append(in_a_process(case, model, customers) | {"states": states})
    return Report(f"Mean and {LEVEL:.0%} interval of simulated customers", SCORES, rows)


def alive_and_purchase(model: Path, customers: Path) -> Row:
    """P(alive) and P(purchase within 90 days)."""
    return _score(
        alive_and_purchase.__doc__,
        model,
        customers,
        lambda posterior, frame: (
            posterior.probability_alive(frame, level=LEVEL),
            posterior.probability_of_purchase(frame, HORIZON, level=LEVEL),
        ),
    )


def expected(model: Path, customers: Path) -> Row:
    """Expected purchases within 90 days."""
    return _score(
        expected.__doc__,
        model,
        customers,
        lambda posterior, frame: posterior.expected_purchases(frame, HORIZON, level=LEVEL),
    )


def spend(model: Path, customers: Path) -> Row:
    """Expected spend per purchase."""
    return _score(
        spend.__doc__,
        model,
        customers,
        lambda posterior, frame: posterior.expected_spend(frame, level=LEVEL),
    )


def value(model: Path, customers: Path) -> Row:
    """Customer lifetime value over a year, discounted."""
    return _score(
        value.__doc__,
        model,
        customers,
        lambda posterior, frame: posterior.customer_lifetime_value(frame, level=LEVEL),
    )


def value_outcome(model: Path, customers: Path) -> Row:
    """Outcome of the value: one simulated future for each draw."""
    return _score(
        value_outcome.__doc__,
        model,
        customers,
        lambda posterior, frame: posterior.sample_value(frame, level=LEVEL),
    )


def _score(name, model: Path, customers: Path, ask) -> Row:
    import pandas as pd

    from bayes_clv import load_posterior

    posterior, frame = load_posterior(model), pd.read_parquet(customers)
    began = time.perf_counter()
    ask(posterior, frame)
    seconds = time.perf_counter() - began
    sizes = posterior.tree["posterior"].sizes
    return {
        "name": name.rstrip("."),
        "customers": len(frame),
        "draws": sizes["chain"] * sizes["draw"],
        "seconds": seconds,
        "per_customer": 1e6 * seconds / len(frame),
    }


def _alive(folder: Path) -> Report:
    model, customers = folder / "pooled.clv", folder / "cdnow.parquet"
    say("fitting CDNOW without segments")
    in_a_process(data.write_pooled_model, model)
    in_a_process(data.write_cdnow, customers)
    say("P(alive) of CDNOW by us")
    ours = in_a_process(our_alive, model, customers)
    say("P(alive) of CDNOW by pymc-marketing")
    peer = in_peer("alive", customers, model.with_suffix(".npz"))
    same = np.abs(np.subtract(ours["mean"], peer["mean"])).max()
    name = f"pymc-marketing {peer['version']}"
    size = {"customers": len(ours["mean"])}
    rows = [
        ours | size | {"name": "ours: mean and interval"},
        size
        | {
            "name": f"{name}: draws only",
            "seconds": peer["seconds"],
            "peak_mb": peer["peak_of_draws_mb"],
        },
        size
        | {
            "name": f"{name}: mean and interval",
            "seconds": peer["seconds_with_interval"],
            "peak_mb": peer["peak_mb"],
        },
    ]
    for row in rows:
        row.pop("mean", None)
        row["ratio_seconds"] = row["seconds"] / ours["seconds"]
        row["ratio_peak_mb"] = row["peak_mb"] / ours["peak_mb"]
    return Report(
        "P(alive) from the same 4,000 draws",
        ALIVE,
        rows,
        [f"The means of the two differ by {same:.1e} at most."],
    )


def our_alive(model: Path, customers: Path) -> Row:
    import pandas as pd

    from bayes_clv import load_posterior

    posterior, frame = load_posterior(model), pd.read_parquet(customers)
    began = time.perf_counter()
    answers = posterior.probability_alive(frame, level=LEVEL)
    return {"seconds": time.perf_counter() - began, "mean": answers["mean"].tolist()}


if __name__ == "__main__":
    report.run("scoring", parser().parse_args(), measure)
