"""Rounding noise decides no segment: not of a mean, a cut, a centroid or a name."""

from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bayes_clv.data.reading import read_transactions
from bayes_clv.data.rfm import customers, durations, summarise
from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.segments.cuts import NOISE
from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter
from bayes_clv.segments.expressions import segment_code
from bayes_clv.segments.naming import centroid_names
from bayes_clv.segments.rules import KMeansRule, RFMRule, SegmentRule

PRICE = 33.33


def one_price(n: int = 400, price: float = PRICE, seed: int = 3) -> pd.DataFrame:
    """A log in which everybody always pays one price."""
    rng = np.random.default_rng(seed)
    counts = 1 + rng.poisson(6, n)
    customer = np.repeat(np.arange(n), counts)
    days = rng.integers(0, 700, len(customer))
    date = np.datetime64("2022-01-01") + days
    log = pd.DataFrame({"customer_id": customer, "date": date, "amount": price})
    return log.drop_duplicates()  # one purchase a day


def noisy(values: Any) -> np.ndarray:
    """The values, two neighbours of each in floating point, and means that engines compute."""
    values = np.asarray(values, dtype=float)
    sums = [sum([value] * n) / n for value in values for n in (3, 7, 10, 49)]
    return np.concatenate([values, np.nextafter(values, 0), np.nextafter(values, 1e9), sums])


def in_duckdb(rule: SegmentRule, frame: pd.DataFrame) -> list[int]:
    table = ibis.memtable(pa.Table.from_pandas(frame.assign(row=range(len(frame)))))
    coded = table.select("row", code=segment_code(rule, table)).order_by("row")
    return coded.to_pyarrow()["code"].to_pylist()


def one_by_one(rule: SegmentRule, frame: pd.DataFrame) -> list[int]:
    columns = ("frequency", "recency", "T", "monetary_value")
    return [rule.assign_one(*row) for row in frame[list(columns)].itertuples(index=False)]


def test_the_means_of_one_price_do_differ_by_noise() -> None:
    means = customers(one_price())
    spent = means.loc[means["frequency"] > 0, "monetary_value"]
    assert 0 < spent.max() - spent.min() < 1e-12, "else the tests below would show nothing"


@pytest.mark.parametrize("price", [PRICE, 0.1, 19.99, 1e6 / 3, 100 / 3])
def test_one_price_is_one_class_of_spend_by_rfm(price: float) -> None:
    frame = customers(one_price(price=price))
    rule = RFMSegmenter().fit(frame).rule_
    assert isinstance(rule, RFMRule)
    assert len(set(rule.monetary_cuts)) == 1
    twins = pd.DataFrame({"frequency": 5, "recency": 50, "T": 60, "monetary_value": noisy([price])})
    for codes in (
        rule.assign(States.from_frame(twins)).tolist(),
        one_by_one(rule, twins),
        in_duckdb(rule, twins),
    ):
        assert len(set(codes)) == 1


@pytest.mark.parametrize("price", [PRICE, 0.1, 1e6 / 3])
def test_one_price_splits_no_segment_by_kmeans(price: float) -> None:
    frame = customers(one_price(price=price))
    with_money = KMeansSegmenter(4).fit(frame)
    without = KMeansSegmenter(4, features=("idle_time", "frequency")).fit(frame)
    assert with_money.labels_.tolist() == without.labels_.tolist()
    rule = with_money.rule_
    assert isinstance(rule, KMeansRule)
    assert rule.scale[2] == 1
    assert len({centroid[2] for centroid in rule.centroids}) == 1
    assert not any("baskets" in name for name in rule.names)
    with pytest.raises(InputError, match="must not exceed the number of distinct states, 1"):
        KMeansSegmenter(2, features=("monetary_value",)).fit(frame[frame["frequency"] > 0])


def test_noise_chooses_no_word_of_a_name() -> None:
    money = np.log(noisy([PRICE]))
    known = {"frequency": np.log1p(np.arange(7.0)), "idle_time": np.log1p(np.arange(7.0))}
    population = known | {"monetary_value": money}
    ends = np.array([money.min(), money.max(), np.nextafter(money.max(), 9)])
    names = []
    for spend in (ends, ends[::-1]):
        one = {"frequency": np.full(3, 1.0), "idle_time": np.full(3, 1.0), "monetary_value": spend}
        order, found = centroid_names(one, population)
        assert order == [0, 1, 2]
        names.append(found)
    assert names[0] == names[1]
    assert {name.rsplit(" ", 1)[0] for name in names[0]} == {"occasional, recent, small baskets"}


@pytest.mark.parametrize("segmenter", [RFMSegmenter(), KMeansSegmenter(5)], ids=["rfm", "kmeans"])
def test_the_order_of_the_log_changes_the_segment_of_nobody(segmenter: Any) -> None:
    rng = np.random.default_rng(8)
    log = one_price()
    log["amount"] = rng.choice([33.33, 19.99, 7.1, 0.3], len(log))
    found = []
    for seed in (1, 2, 3):
        table = durations(summarise(read_transactions(log.sample(frac=1, random_state=seed))))
        frame = table.order_by("customer_id").to_pyarrow().to_pandas()
        rule = segmenter.fit(frame.sample(frac=1, random_state=seed)).rule_
        by_engine = table.select("customer_id", code=segment_code(rule, table))
        by_engine = by_engine.order_by("customer_id").to_pyarrow()["code"].to_pylist()
        here = rule.assign(States.from_frame(frame)).tolist()
        assert here == by_engine == one_by_one(rule, frame)
        found.append((rule, here))
    assert found[0] == found[1] == found[2]


def test_what_lies_on_a_cut_up_to_noise_is_below_it_everywhere() -> None:
    rule = RFMRule((0.0, 30.0, 90.1, 180.3), (1.0, 3.0, 8.0), (0.1, 12.34, 33.33333333, 1e6 / 3))
    spend = noisy(rule.monetary_cuts)
    on_cuts = pd.DataFrame({"frequency": 2, "recency": 5.0, "T": 9.0, "monetary_value": spend})
    idle = pd.DataFrame({"frequency": 2, "recency": 0.1, "monetary_value": 5.0}, index=range(4))
    idle["T"] = np.array([0.0, 30.0, 90.1, 180.3]) + 0.1  # T − recency has noise
    frame = pd.concat([on_cuts, idle], ignore_index=True)
    clear = frame.copy()  # a clear bit below each cut
    clear["monetary_value"] *= 1 - 1e-6
    clear["T"] = np.where(frame["T"] > 0.1, frame["T"] - 1e-6, frame["T"])
    expected = rule.assign(States.from_frame(clear)).tolist()
    for assigned in (
        rule.assign(States.from_frame(frame)).tolist(),
        one_by_one(rule, frame),
        in_duckdb(rule, frame),
    ):
        assert assigned == expected
    above = frame.assign(monetary_value=frame["monetary_value"] * (1 + 1e-6))
    assert rule.assign(States.from_frame(above)).tolist() != expected


def test_a_customer_between_two_centroids_is_the_firsts_everywhere() -> None:
    rule = KMeansRule(
        names=("a", "b", "c"),
        features=("frequency", "monetary_value"),
        location=(0.3, 3.1),
        scale=(0.7, 0.9),
        centroids=((0.1, 0.2), (0.5, 0.2), (0.3, 5.0)),
    )
    half = np.expm1(0.3 + 0.7 * 0.3)
    spend = np.exp(3.1 + 0.9 * np.linspace(-1, 1, 40))
    frame = pd.DataFrame({"frequency": half, "recency": 1.0, "T": 9.0, "monetary_value": spend})
    states = States(*(frame[name].to_numpy() for name in frame))
    for codes in (rule.assign(states).tolist(), one_by_one(rule, frame), in_duckdb(rule, frame)):
        assert set(codes) == {0}


def test_rules_of_older_models_answer_as_before_beyond_rounding_noise() -> None:
    rule = RFMRule((7.0, 30.0, 90.0, 180.0), (1.0, 3.0, 8.0), (5.0, 12.5, 20.0, 60.0))
    rng = np.random.default_rng(5)
    spend = np.round(rng.gamma(2.0, 15.0, 5000), 2)
    n = rng.integers(0, 12, 5000)
    scores = [(n > 0) * (1 + sum(n > cut for cut in rule.frequency_cuts))]
    money = sum((spend > cut).astype(int) for cut in rule.monetary_cuts)
    known = (n > 0) & (spend > 0)
    value = np.where(known, (1 + scores[0] + 1 + money + 1) // 2, 1 + scores[0])
    frame = pd.DataFrame({"frequency": n, "recency": np.where(n > 0, 5.0, 0.0)})
    frame["T"] = frame["recency"] + 45.0
    frame["monetary_value"] = spend
    names = [rule.names[code] for code in rule.assign(States.from_frame(frame))]
    row = ("about to sleep", "about to sleep", "need attention", "loyal", "loyal")
    assert names == [row[it - 1] for it in value]
    assert NOISE < 1e-8, "a cent of a million must still decide"
