"""Data that several benchmarks use: logs, simulated or not in the project; a model of CDNOW.

The functions import what they need when they are called, because a measured process that imports
this module must not load the sampler.
"""

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from bayes_clv.evaluation.simulate.logs import Scenario, write_transactions
from bayes_clv.models.bgnbd import Parameters, expected_purchases
from benchmarks.harness import ROOT, Row

# Logs that are not in the project: measurements leave out those whose files are missing.
SHARED = ROOT.parent / "shared" / "data"
RETAILERS = {
    "retailer": "online_retail_II_2009_2010.parquet",
    "grocer": "grocery.parquet",
    "apparel": "apparel.parquet",
}

# Two years of a shop with customers like CDNOW's (Fader, Hardie & Lee 2005, in days). All of them
# buy first in the first year, so all are observed in the second. 2.9 purchases each.
TWO_YEARS = Scenario(
    Parameters(0.243, 4.414 * 7, 0.793, 2.426),
    start=dt.date(2023, 1, 1),
    end=dt.date(2024, 12, 31),
    acquisition_days=365,
)
# The same two years for a shop with regulars: nine purchases a year, and one in fourteen leaves
# after each purchase. 9.7 purchases each, so that a large log does not need as many customers.
REGULARS = replace(TWO_YEARS, parameters=Parameters(1.0, 40.0, 0.6, 8.0))


@contextmanager
def folder() -> Iterator[Path]:
    """Make a temporary folder for large files, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="bayes-clv-benchmark-") as name:
        yield Path(name)


def write_log(path: Path, n_customers: int, scenario: Scenario = TWO_YEARS) -> Row:
    """Write two simulated years of transactions."""
    return {"transactions": write_transactions(path, scenario, n_customers, seed=1)}


def purchases_per_customer(scenario: Scenario) -> float:
    """How many purchases a customer makes on average, the first one included."""
    days = scenario.days - np.arange(scenario.first_days)
    repeats = expected_purchases(scenario.parameters, 0.0, 0.0, 0.0, days, scenario.dropout)
    return 1 + float(repeats.mean())


def write_customers(path: Path, n_customers: int) -> Row:
    """Write the states of simulated customers at the end of the two years, and count them."""
    from bayes_clv import customers, read_transactions

    log = path.with_suffix(".log.parquet")
    write_log(log, n_customers)
    frame = customers(read_transactions(log, end=TWO_YEARS.end))
    frame.to_parquet(path)
    log.unlink()
    return {"states": len(frame[["frequency", "recency", "T"]].drop_duplicates())}


def write_cdnow(path: Path) -> Row:
    """Write CDNOW's customers at the observation end."""
    from bayes_clv import customers, load_cdnow

    customers(load_cdnow()).to_parquet(path)
    return {}


def write_model(path: Path) -> Row:
    """Fit CDNOW with the defaults, RFM segments and 4 landmarks, and save it: 4,000 draws."""
    from bayes_clv import HierarchicalBetaGeo, load_cdnow

    HierarchicalBetaGeo().fit(load_cdnow()).save(path)
    return {}


def write_pooled_model(path: Path) -> Row:
    """Fit CDNOW without segments; save the model, and its 4,000 draws as an .npz file beside it."""
    from bayes_clv import HierarchicalBetaGeo, load_cdnow

    model = HierarchicalBetaGeo(segmenter=None, dropout="after_repeat")  # as the peers have it
    posterior = model.fit(load_cdnow())
    posterior.save(path)
    draws = posterior.tree["posterior"]
    names = ("r", "alpha", "a", "b")
    np.savez(path.with_suffix(".npz"), **{name: draws[f"{name}_population"] for name in names})
    return {}
