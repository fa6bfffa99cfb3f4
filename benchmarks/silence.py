"""Does a longer silence ever make a customer look better? ``python -m benchmarks.silence``.

The default fit to CDNOW, and to the gift shop's log where its file is there (``--data``). For a
grid of customers (repeat orders, days from the first to the last, spend) silence grows from 0 to
365 days, day by day. P(alive) may not rise with it. P(purchase) may, a little: who orders seldom is
not given up soon. Where it rises by more than 0.03 in all, the second table has what customers like
these did: those of the same log, 90 days before its end, with similar orders, days and spend, by
how long they had been silent, beside the forecasts of a fit to the log until then.
"""

import datetime as dt
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv import HierarchicalBetaGeo, Posterior, Transactions, load_cdnow, read_transactions
from bayes_clv.evaluation.backtest.fit_and_score import customers_at
from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.segments.rules import RFMRule
from benchmarks import report
from benchmarks.data import RETAILERS, SHARED
from benchmarks.harness import Row, say
from benchmarks.report import Column, Report

type Floats = NDArray[np.float64]

ORDERS, FIRST_TO_LAST, SILENCE = (1, 3, 6, 12, 30), (100, 200, 300), np.arange(366.0)
HORIZON = 90
NOTABLE = 0.03  # rise of P(purchase) beside which the observed share is shown
ALIKE = 1.6  # orders and days within this factor
BINS = (0.0, 30.0, 60.0, 120.0, np.inf)  # days of silence
DRAWS, FEWER_DRAWS = 1000, 250

RISES = {
    "log": Column("log"),
    "alive_day": Column("P(alive), a day", ".5f"),
    "alive": Column("in all", ".5f"),
    "purchase_day": Column("P(purchase), a day", ".5f"),
    "purchase": Column("in all", ".3f"),
    "cells": Column(f"customers above {NOTABLE:g}", "d"),
}
OBSERVED = {
    "log": Column("log"),
    "frequency": Column("repeat orders", "d"),
    "recency": Column("first to last, days", ".0f"),
    "band": Column("spend"),
    "rise": Column("rises by", ".3f"),
    "silence": Column("days silent"),
    "customers": Column("customers", ",d"),
    "observed": Column("bought", ".1%"),
    "forecast": Column("forecast", ".1%"),
}


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    parser.add_argument("--data", type=Path, default=SHARED, metavar="FOLDER", help="logs' files")
    return parser


def measure(arguments: Namespace) -> list[Report]:
    rises, observed, notes = [], [], []
    logs = {"CDNOW": load_cdnow()}
    file = arguments.data / RETAILERS["retailer"]
    if file.exists():
        logs["retailer"] = read_transactions(file)
    else:
        notes.append("The retailer's file is missing.")
    for name, log in logs.items():
        say(f"{name}: fitting")
        draws = DRAWS if arguments.full else FEWER_DRAWS
        posterior = HierarchicalBetaGeo(spend=False).fit(log, draws=draws)
        found = list(curves(posterior))
        notable = [it for it in found if it["rise"] > NOTABLE]
        rises.append(
            {"log": name, "cells": len(notable)}
            | {key: max(it[key] for it in found) for key in ("alive_day", "alive", "purchase_day")}
            | {"purchase": max(it["rise"] for it in found)}
        )
        if notable:
            say(f"{name}: what customers like these did")
            customers, cuts = forecast_at(log, draws), _cuts(posterior)
            observed += [
                {"log": name} | it | row
                for it in notable
                for row in like(customers, it["frequency"], it["recency"], it["band"], cuts)
            ]
    notes.append(
        "The largest rises over a grid of customers: of the mean, from one silent day to the next, "
        "and in all, above the smallest value until then."
    )
    about = (
        f"Customers {HORIZON} days before the log's end with orders and days within a factor of "
        f"{ALIKE:g}, and the same band of spend; who bought in these {HORIZON} days."
    )
    return [
        Report("The largest rises with silence", RISES, rises, notes),
        Report("Where P(purchase) rises: what customers did", OBSERVED, observed, [about]),
    ]


def curves(posterior: Posterior) -> Iterator[Row]:
    """Yield the rises of P(alive) and P(purchase) with silence of every customer of the grid."""
    low, _, high = _cuts(posterior)
    for frequency, recency, band in product(ORDERS, FIRST_TO_LAST, ("unknown", "middle", "high")):
        spend = {"unknown": np.nan, "middle": low, "high": high}[band]
        silent = pd.DataFrame(
            {"frequency": frequency, "recency": float(recency), "T": recency + SILENCE}
        ).assign(monetary_value=spend)
        alive = posterior.probability_alive(silent)["mean"].to_numpy()
        buys = posterior.probability_of_purchase(silent, HORIZON)["mean"].to_numpy()
        yield {
            "frequency": frequency,
            "recency": recency,
            "band": band,
            "alive_day": float(np.diff(alive).max()),
            "alive": total_rise(alive),
            "purchase_day": float(np.diff(buys).max()),
            "rise": total_rise(buys),
        }


def total_rise(curve: Floats) -> float:
    """Return how far a curve rises above its smallest value until then."""
    return float((curve - np.minimum.accumulate(curve)).max())


def forecast_at(log: Transactions, draws: int) -> pd.DataFrame:
    """Return the customers before the log's last 90 days, with forecasts and what they did."""
    split = Split(log.end - dt.timedelta(days=HORIZON), HORIZON)
    posterior = HierarchicalBetaGeo(spend=False).fit(log.until(split.origin), draws=draws)
    customers = customers_at(log, [split])
    forecast = posterior.probability_of_purchase(customers, HORIZON)["mean"].to_numpy()
    return customers.assign(forecast=forecast, bought=customers[f"purchases_{HORIZON}"] > 0)


def like(
    customers: pd.DataFrame, frequency: int, recency: float, band: str, cuts: tuple[float, ...]
) -> list[Row]:
    """Return observed and forecast shares who bought of customers like one, by their silence."""
    spend = customers["monetary_value"]
    inside = {"unknown": spend.notna(), "middle": spend < cuts[1], "high": spend >= cuts[1]}[band]
    for name, value in (("frequency", frequency), ("recency", recency)):
        inside &= customers[name].between(value / ALIKE, value * ALIKE)
    some = customers[inside]
    silence = some["T"] - some["recency"]
    rows = []
    for first, last in pairwise(BINS):
        these = some[(silence >= first) & (silence < last)]
        rows.append(
            {
                "silence": f"{first:.0f}–{last - 1:.0f}" if np.isfinite(last) else f"{first:.0f}+",
                "customers": len(these),
                "observed": float(these["bought"].mean()) if len(these) else None,
                "forecast": float(these["forecast"].mean()) if len(these) else None,
            }
        )
    return rows


def _cuts(posterior: Posterior) -> tuple[float, ...]:
    """Spend of a middling customer, the cut between the bands, and spend of a good customer."""
    rule = cast(RFMRule, posterior.rule)
    return tuple(rule.monetary_cuts[k] for k in (1, 2, 3))


if __name__ == "__main__":
    report.run("silence", parser().parse_args(), measure)
