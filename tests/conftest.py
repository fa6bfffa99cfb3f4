"""Posteriors made by hand: what is tested above the sampler needs no sampling.

And turns: where several processes share the tests, those marked `alone` have the machine to
themselves, for they measure time.
"""

import datetime as dt
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_clv.data.ledger import Ledger
from bayes_clv.data.states import States
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import ComponentPrior, Priors, SpendPriors
from bayes_clv.posterior.choices import DropoutChoice, SegmentChoice
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.draws import PARAMETERS, with_group
from bayes_clv.posterior.fit_record import FitRecord, SpendRecord
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.posterior.totals import Tally, draws_by_segment
from bayes_clv.segments.rules import KMeansRule, SegmentRule


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is long is slow, too, so that "not slow" leaves it out."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test, with its fixtures, beside those of other processes, or alone."""
    with Path(tempfile.gettempdir(), f"bayes-clv-tests-{os.getuid()}").open("w") as turns:
        fcntl.flock(turns, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        try:
            return (yield)
        finally:
            fcntl.flock(turns, fcntl.LOCK_UN)  # not by closing it, which leaves it to forks


CDNOW = (0.243, 4.414 * 7, 0.793, 2.426)  # Fader, Hardie & Lee 2005: r, alpha in days, a, b

CDNOW_SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}  # Fader & Hardie 2013

BY_FREQUENCY = KMeansRule(
    names=("regulars", "passers-by · été", "in between"),
    features=("frequency",),
    location=(0.0,),
    scale=(1.0,),
    centroids=((2.5,), (0.2,), (1.2,)),
)

RECORD = FitRecord(
    source="made by hand · été",
    start=dt.date(1997, 1, 1),
    end=dt.date(1998, 6, 30),
    landmarks=(dt.date(1997, 9, 30), dt.date(1998, 6, 30)),
    ledger=Ledger(rows_in=69_659, rejected=(("no customer", 3), ("not a sale", 80))),
    n_customers=23_570,
    n_rows=47_140,
    priors=Priors(rate=ComponentPrior(0.25, 1.5, 0.75)),
    draws=100,
    tune=50,
    chains=2,
    seed=7,
    seconds=1.5,
    versions={"numpy": np.__version__, "xarray": xr.__version__},
    warnings=("only 12 customers came back · été",),
    dropout=DropoutChoice("auto", Dropout.AFTER_REPEAT, -259.5, -258.25, 1.5),
    segments=SegmentChoice("pooled", dt.date(1998, 1, 1), 180, {"pooled": -0.5, "RFM": -0.625}),
)


SPEND_RECORD = SpendRecord(
    unit=35.1,
    stretches=12_345,
    without_spend=1,
    pearson=0.11,
    spearman=None,
    priors=SpendPriors(tail=ComponentPrior(0.5, 1.0)),
    tune=50,
)


def posterior_of(
    rule: SegmentRule = BY_FREQUENCY,
    *,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    draws: int = 100,
    seed: int = 4414,
    fitted_to: pd.DataFrame | None = None,
    spend: bool = False,
) -> Posterior:
    """Two chains of draws round the published CDNOW values, every segment with its own.

    With ``fitted_to``, the comparison of these customers is stored, as a fit does.
    """
    rng = np.random.default_rng(seed)
    groups = groups_of(rng, rule.names, draws, dict(zip(PARAMETERS, CDNOW, strict=True)))
    if spend:
        of_spend = groups_of(rng, rule.names, draws, CDNOW_SPEND)
        groups |= {f"spend/{name}": group for name, group in of_spend.items()}
    posterior = Posterior(
        tree=xr.DataTree.from_dict(groups),
        rule=rule,
        dropout=dropout,
        record=replace(RECORD, spend=SPEND_RECORD) if spend else RECORD,
        diagnostics=Diagnostics(1.002, 812.5, 640.25, 0, 0.9, ()),
    )
    if fitted_to is not None:
        states = States.from_frame(fitted_to)
        tally = Tally.of_customers(states, posterior.assigned(states))
        model, terms = posterior.model(money=spend), ValueTerms() if spend else None
        compared = draws_by_segment(model, rule.names, tally, 90.0, terms)
        tree = with_group(posterior.tree, "segments", compared)
        posterior = replace(posterior, tree=tree)
    return posterior


def groups_of(
    rng: np.random.Generator, names: Sequence[str], draws: int, centres: Mapping[str, float]
) -> dict[str, xr.Dataset]:
    own = rng.normal(0, 0.3, size=(len(centres), len(names)))
    mu = rng.normal(size=(2, draws, len(centres)))
    variables = {"mu": (("chain", "draw", "component"), mu)}
    for (name, centre), shift in zip(centres.items(), own, strict=True):
        noise = rng.normal(0, 0.15, size=(2, draws, len(names) + 1))
        variables[name] = (
            ("chain", "draw", "segment"),
            centre * np.exp(noise[..., :-1] + shift),
        )
        variables[f"{name}_population"] = (("chain", "draw"), centre * np.exp(noise[..., -1]))
    stats = {
        "energy": (("chain", "draw"), rng.normal(size=(2, draws))),
        "diverging": (("chain", "draw"), np.zeros((2, draws), dtype=bool)),
    }
    return {
        "posterior": xr.Dataset(variables, coords={"segment": list(names)}),
        "sample_stats": xr.Dataset(stats),
    }


def customers_of(n: int, seed: int = 23_570) -> pd.DataFrame:
    """Customers in no order, a third of them with one purchase, T up to two years."""
    rng = np.random.default_rng(seed)
    T = np.round(rng.uniform(0.5, 730, size=n), 1)
    frequency = np.where(rng.random(n) < 1 / 3, 0, rng.geometric(0.25, size=n))
    recency = np.where(frequency > 0, np.round(T * rng.beta(2, 1.5, size=n), 1), 0.0)
    return pd.DataFrame({"frequency": frequency, "recency": recency, "T": T})


@pytest.fixture(scope="session")
def posterior_by_hand() -> Callable[..., Posterior]:
    return posterior_of


@pytest.fixture(scope="session")
def make_customers() -> Callable[..., pd.DataFrame]:
    return customers_of
