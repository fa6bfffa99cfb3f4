"""Public objects say what they are in a line, and in a small table without anything to load."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_clv import HierarchicalBetaGeo, Posterior, load_cdnow, plots
from bayes_clv.data.ledger import Ledger
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.states import States
from bayes_clv.evaluation.simulate import Scenario, simulate_transactions
from bayes_clv.models import Parameters
from bayes_clv.segments.rules import ColumnRule, KMeansRule, PooledRule, RFMRule

NASTY = '<script src="http://x/y.js">alert(1)</script> & "friends"\n'
CUSTOMERS = pd.DataFrame(
    {"frequency": [3, 0], "recency": [31.0625, 0.0], "T": [61.0625, 9.0], "customer_id": ["Ada", 2]}
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: list[Any] = []

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.seen.add(tag)
        self.attributes += attrs


@pytest.fixture(scope="module")
def objects(posterior_by_hand: Callable[..., Posterior]) -> dict[str, Any]:
    names = (NASTY, *(f"segment {it}" for it in range(500)))
    posterior = posterior_by_hand(ColumnRule(names[:3]), spend=True)
    record = replace(posterior.record, source=NASTY * 50, warnings=(NASTY * 100,) * 30)
    posterior = replace(posterior, record=record)
    log = load_cdnow(sample=True)
    model = HierarchicalBetaGeo()
    prepared = model.prepare(log)
    simulated = simulate_transactions(
        Scenario(
            Parameters(*map(np.float64, (0.25, 30.0, 0.8, 2.5))),
            dt.date(2024, 1, 1),
            dt.date(2024, 12, 31),
        ),
        50,
    )
    own = CUSTOMERS.assign(segment=NASTY)
    return {
        "posterior": posterior,
        "record": record,
        "spend record": record.spend,
        "diagnostics": posterior.diagnostics,
        "unsound": replace(posterior.diagnostics, complaints=(NASTY * 9,) * 30),
        "comparison": posterior.compare_segments(own),
        "answer": posterior.answer(3, 10, 40),
        "log": log,
        "another log": replace(log, source=NASTY),
        "ledger": Ledger(9, ((NASTY, 3),)),
        "states": States.from_frame(own),
        "model": model,
        "prepared": prepared,
        "table": prepared.table,
        "column rule": ColumnRule(names),
        "kmeans rule": KMeansRule(names, ("frequency",), (0.0,), (1.0,), ((1.0,),) * 501),
        "rfm rule": RFMRule((1.0, 2.0, 3.0, 4.5), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0, 8.25)),
        "simulated": simulated,
        "matrix": plots.state_matrix(posterior),
        "densities": plots.heterogeneity(posterior),
        "calendar": plots.calendar(log),
        "history": plots.alive_history(posterior, log, 4),
    }


NAMES = [
    "posterior", "record", "spend record", "diagnostics", "unsound", "comparison", "answer", "log",
    "another log", "ledger", "states", "model", "prepared", "table", "column rule", "kmeans rule",
    "rfm rule", "simulated", "matrix", "densities", "calendar", "history",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::bayes_clv.errors.SegmentWarning")
@pytest.mark.parametrize("name", NAMES)
def test_an_object_is_described_in_a_line_and_a_table_of_plain_text(
    name: str, objects: dict[str, Any]
) -> None:
    assert set(NAMES) == {*objects}
    it = objects[name]
    words, html = repr(it), it._repr_html_()
    assert "\n" not in words
    assert len(words) < 400
    assert type(it).__name__ in words
    assert str(it) == words
    tags = Tags()
    tags.feed(html)
    assert tags.seen <= {"table", "caption", "tr", "th", "td"}
    assert tags.attributes == []
    assert len(html) < 2000
    assert "<script" not in html
    for secret in ("31.0625", "61.0625", "Ada"):
        assert secret not in words + html, "data of a customer"


def test_a_posterior_says_what_a_person_wants_to_know(
    posterior_by_hand: Callable[..., Posterior],
) -> None:
    assert repr(posterior_by_hand(PooledRule())) == (
        "Posterior(source: made by hand · été; window: 1997-01-01 … 1998-06-30; customers: 23,570; "
        "segments: 1 (all customers); model: BG/NBD; draws: 2 × 100; verdict: sound)"
    )


def test_a_log_says_its_window_and_rows_and_nothing_of_its_customers() -> None:
    rows = {"customer": ["Ada", None], "date": ["2024-01-01", "2024-01-02"], "amount": [31.0625, 1]}
    assert repr(read_transactions(pd.DataFrame(rows))) == (
        "Transactions(source: the DataFrame; window: 2024-01-01 … 2024-01-01; rows: 1 of 2; "
        "amounts: yes; warnings: 0)"
    )


def test_parameters_show_their_shape() -> None:
    parameters = Parameters(*(np.ones((3, 4000)) for _ in range(4)))
    assert repr(parameters) == "Parameters(r, alpha, a, b: arrays of shape (3, 4000))"
