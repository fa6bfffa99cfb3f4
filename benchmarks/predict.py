"""How long does one prediction take, in process? ``python -m benchmarks.predict``.

The model is CDNOW with the defaults (RFM segments, 4,000 draws). CDNOW's customers take turns, so
that no question comes twice in a row. `Posterior.answer` is measured by itself, and within ``POST
/predict`` through Flask's test client, without a network: parsing, checking, answering and writing
JSON, and the client's own work.
"""

import json
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import data, report
from benchmarks.harness import Row, in_a_process, say
from benchmarks.report import Column, Report

CALLS, WARM_UP, CUSTOMERS = 5_000, 200, 997
FIELDS = ("frequency", "recency", "T", "monetary_value")

COLUMNS = {
    "name": Column("call"),
    "calls": Column("calls", ",d"),
    "median_ms": Column("median, ms", ".3f"),
    "p95_ms": Column("95 %, ms", ".3f"),
    "p99_ms": Column("99 %, ms", ".3f"),
    "peak_mb": Column("peak, MB", ",.0f"),
}


def parser() -> ArgumentParser:
    return report.parser(__doc__ or "")


def measure(arguments: Namespace) -> list[Report]:
    with data.folder() as folder:
        model, customers = folder / "model.clv", folder / "cdnow.parquet"
        say("fitting CDNOW")
        in_a_process(data.write_model, model)
        in_a_process(data.write_cdnow, customers)
        rows = []
        for case in (answer, post):
            say(f"timing {case.__name__}")
            rows.append(in_a_process(case, model, customers))
    return [Report("One prediction in process", COLUMNS, rows)]


def answer(model: Path, customers: Path) -> Row:
    """Call `Posterior.answer`."""
    from bayes_clv import load_posterior

    posterior = load_posterior(model)
    return _timed(
        "Posterior.answer", lambda customer: posterior.answer(**customer), _customers(customers)
    )


def post(model: Path, customers: Path) -> Row:
    """Post a JSON object to the app."""
    from api.app import create_app

    client = create_app(model).test_client()
    bodies = [json.dumps(customer) for customer in _customers(customers)]

    def ask(body: str) -> None:
        if client.post("/predict", data=body).status_code != 200:
            raise RuntimeError(f"the service refused {body}")

    return _timed("POST /predict", ask, bodies)


def _customers(path: Path) -> list[dict[str, float]]:
    import pandas as pd

    frame = pd.read_parquet(path).sample(CUSTOMERS, random_state=0)[list(FIELDS)]
    return frame.astype(float).to_dict("records")


def _timed[Q](name: str, call: Callable[[Q], object], questions: list[Q]) -> Row:
    seconds = np.empty(WARM_UP + CALLS)
    for turn in range(len(seconds)):
        question = questions[turn % len(questions)]
        began = time.perf_counter()
        call(question)
        seconds[turn] = time.perf_counter() - began
    median, p95, p99 = 1e3 * np.quantile(seconds[WARM_UP:], (0.5, 0.95, 0.99))
    return {"name": name, "calls": CALLS, "median_ms": median, "p95_ms": p95, "p99_ms": p99}


if __name__ == "__main__":
    report.run("predict", parser().parse_args(), measure)
