"""Weights of soft segments against mpmath and databases, and what they promise: no jumps."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import ibis
import mpmath
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone

from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.segments.cuts import RFM_GRID_CODES
from bayes_clv.segments.estimators import FEATURES, KMeansSegmenter, RFMSegmenter
from bayes_clv.segments.expressions import noticeable_weights, segment_weights, thousandths
from bayes_clv.segments.rules import (
    ColumnRule,
    KMeansRule,
    PooledRule,
    RFMRule,
    SegmentRule,
    rule_from_dict,
    rule_to_dict,
)
from bayes_clv.segments.weighted import noticeable, noticeable_one

COLUMNS = ["frequency", "recency", "T", "monetary_value"]
RFM = RFMRule((10.0, 30.0, 90.0, 180.0), (1.0, 3.0, 8.0), (5.0, 12.5, 20.0, 60.0), 0.6)
KMEANS = KMeansRule(
    names=("a", "b", "c", "d"),
    features=FEATURES,
    location=(4.0, 1.0, 2.5),
    scale=(1.5, 0.7, 0.9),
    centroids=((-1.0, 1.2, 0.8), (0.9, -0.8, 0.0), (0.2, 0.1, -1.0), (0.2, 0.1, 1.0)),
    bandwidth=1.0,
)
RULES = {
    "rfm": RFM,
    "rfm, wider": replace(RFM, bandwidth=2.5),
    "rfm without spend": replace(RFM, monetary_cuts=()),
    "rfm without repeat buyers": replace(RFM, frequency_cuts=(), monetary_cuts=()),
    "rfm, repeat buyers all unknown": replace(RFM, frequency_cuts=()),
    "rfm, some cuts equal": replace(
        RFM, idle_cuts=(0.0, 0.0, 40.0, 40.0), frequency_cuts=(1.0, 1.0, 2.0)
    ),
    "rfm, all cuts equal": RFMRule((30.0,) * 4, (1.0,) * 3, (20.0,) * 4, 0.6),
    "rfm, fewer cuts": RFMRule((30.0,), (2.0,), (20.0, 30.0), 0.6),
    "kmeans": KMEANS,
    "kmeans, narrow": replace(KMEANS, bandwidth=0.3),
    "kmeans of frequency and spend": replace(
        KMEANS,
        features=FEATURES[1:],
        location=(1.0, 2.5),
        scale=(0.7, 0.9),
        centroids=((1.2, 0.8), (-0.8, 0.0), (0.1, -1.0), (0.1, 1.0)),
    ),
    "kmeans of spend": replace(
        KMEANS,
        names=("a", "b"),
        features=FEATURES[2:],
        location=(2.5,),
        scale=(0.9,),
        centroids=((0.8,), (-1.0,)),
    ),
    "one centroid": replace(KMEANS, names=("a",), centroids=((0.0, 0.0, 0.0),)),
}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def customers(n: int = 150, seed: int = 1) -> pd.DataFrame:
    """Customers of all kinds; some on a cut, a third without known spend."""
    rng = np.random.default_rng(seed)
    frequency = rng.choice([0, 1, 2, 3, 4, 8, 9, 50, 700], n)
    recency = np.where(frequency > 0, np.round(rng.gamma(2.0, 50.0, n)), 0.0)
    idle = rng.choice([0, 1, 10, 11, 30, 90.5, 100, 181, 3000], n)
    spend = rng.choice([0.01, 5, 12.5, 13, 20, 60.5, 1e6, 0.0, np.nan, np.nan], n)
    return pd.DataFrame(
        dict(zip(COLUMNS, (frequency, recency, recency + idle, spend), strict=True))
    )


def weights(rule: SegmentRule, frame: pd.DataFrame) -> np.ndarray:
    return rule.weights(States(*(frame[name].to_numpy(float) for name in COLUMNS)))


def one_by_one(rule: SegmentRule, frame: pd.DataFrame) -> np.ndarray:
    return np.array([rule.weights_one(*row) for row in frame[COLUMNS].itertuples(index=False)])


def levels_by_hand(z: Any, centres: list[Any], h: float) -> list[Any]:
    """The levels between logistics at the centres."""
    n = len(centres)
    gap = (centres[-1] - centres[0]) / (n - 1) if n > 1 else mpmath.mpf(0)
    b = h * max(gap, mpmath.mpf("0.1"))
    above = [1, *(1 / (1 + mpmath.exp(-(z - at) / b)) for at in centres), 0]
    return [one - other for one, other in pairwise(above)]


def rfm_by_hand(rule: RFMRule, x: float, idle: float, spend: float) -> list[Any]:
    """DESIGN's formulas as they read: cell by cell, score by score."""
    log, h = mpmath.log, rule.bandwidth
    rows = levels_by_hand(log(1 + idle), [log(1.5 + c) for c in rule.idle_cuts], h)
    of_frequency = {1: mpmath.mpf(1)}
    if x > 0:
        centres = [log(1.5 + c) for c in rule.frequency_cuts]
        levels = levels_by_hand(log(1 + x), centres, h) if centres else [mpmath.mpf(1)]
        of_frequency = dict(enumerate(levels, start=2))
    found = [mpmath.mpf(0)] * len(rule.names)
    for row, w_row in enumerate(rows):
        for f, w_f in of_frequency.items():
            if x > 0 and spend > 0 and rule.monetary_cuts:
                centres = [log(c) for c in rule.monetary_cuts]
                for m, w_m in enumerate(levels_by_hand(log(spend), centres, h), start=1):
                    found[RFM_GRID_CODES[row][(f + m + 1) // 2 - 1]] += w_row * w_f * w_m
            else:
                found[RFM_GRID_CODES[row][f - 1]] += w_row * w_f
    return found


def kmeans_by_hand(rule: KMeansRule, x: float, idle: float, spend: float) -> list[Any]:
    values = {
        "idle_time": mpmath.log(1 + idle),
        "frequency": mpmath.log(1 + x),
        "monetary_value": mpmath.log(spend) if x > 0 and spend > 0 else None,
    }
    scores = []
    for centroid in rule.centroids:
        squared = mpmath.mpf(0)
        for name, at, by, c in zip(rule.features, rule.location, rule.scale, centroid, strict=True):
            if values[name] is not None:
                squared += ((values[name] - at) / by - c) ** 2
        scores.append(mpmath.exp(-squared / (2 * mpmath.mpf(rule.bandwidth) ** 2)))
    return [score / mpmath.fsum(scores) for score in scores]


@each_rule
def test_weights_are_those_of_the_formulas_in_high_precision(rule: Any) -> None:
    frame = customers()
    by_hand = rfm_by_hand if isinstance(rule, RFMRule) else kmeans_by_hand
    with mpmath.workdps(40):
        expected = [
            [float(it) for it in by_hand(rule, row.frequency, row.T - row.recency, spend)]
            for row in frame.itertuples()
            for spend in [row.monetary_value]
        ]
    np.testing.assert_allclose(weights(rule, frame), expected, rtol=0, atol=1e-13)


@each_rule
def test_one_state_has_the_weights_that_it_has_among_others(rule: SegmentRule) -> None:
    frame = customers(seed=2)
    np.testing.assert_allclose(one_by_one(rule, frame), weights(rule, frame), rtol=0, atol=1e-14)


@pytest.mark.parametrize("engine", [ibis.duckdb, ibis.sqlite], ids=["duckdb", "sqlite"])
@pytest.mark.parametrize("bandwidth", ["soft", "hard"])
@each_rule
def test_the_expressions_in_a_database_give_the_weights_of_the_rule(
    rule: Any, bandwidth: str, engine: Any
) -> None:
    rule = rule if bandwidth == "soft" else replace(rule, bandwidth=None)
    frame = customers(300, seed=3)
    connection = engine.connect()
    table = connection.create_table(
        "t", pa.Table.from_pandas(frame.assign(row=range(len(frame))), preserve_index=False)
    )
    columns = {f"w{k}": it for k, it in enumerate(segment_weights(rule, table))}
    found = table.select("row", **columns).order_by("row").to_pandas().drop(columns="row")
    connection.disconnect()
    assert found.shape == (len(frame), len(rule.names))
    np.testing.assert_allclose(found.to_numpy(), weights(rule, frame), rtol=0, atol=1e-12)


def extreme_states() -> pd.DataFrame:
    frequencies, idles = [0, 1, 1e15], [0.0, 1e-9, 400.0, 1e300]
    spends = [np.nan, -1.0, 0.0, 5e-324, 1.0, 1e308, np.inf]
    rows = [(x, 0.0, idle, m) for x in frequencies for idle in idles for m in spends]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize("bandwidth", [5e-324, 1e-6, 0.6, 50.0, 1.7e308])
@each_rule
def test_weights_are_never_negative_and_sum_to_one_wherever_the_state_lies(
    rule: Any, bandwidth: float
) -> None:
    rule = replace(rule, bandwidth=bandwidth)
    frame = pd.concat([customers(seed=4), extreme_states()])
    for found in (weights(rule, frame), one_by_one(rule, frame)):
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bandwidth", [1e-12, 0.01, 0.6, 1e12])
@each_rule
def test_no_exponential_overflows_in_a_database(rule: Any, bandwidth: float) -> None:
    frame = extreme_states().assign(row=range(84))
    table = ibis.memtable(pa.Table.from_pandas(frame))
    soft = replace(rule, bandwidth=bandwidth)
    columns = {f"w{k}": it for k, it in enumerate(segment_weights(soft, table))}
    found = table.select(**columns).to_pandas().to_numpy()
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rule", [RFM, KMEANS], ids=["rfm", "kmeans"])
def test_with_a_vanishing_bandwidth_weights_are_those_of_the_hard_rule(rule: Any) -> None:
    frame = customers(600, seed=5)
    if isinstance(rule, RFMRule):  # on a cut half the weight is on either side
        frame = frame[~frame["monetary_value"].isin(rule.monetary_cuts) & (frame["T"] % 1 == 0)]
    else:  # two centroids differ in spend alone
        frame = frame[(frame["frequency"] > 0) & (frame["monetary_value"] > 0)]
    hard = replace(rule, bandwidth=None)
    sharp = replace(rule, bandwidth=1e-4)
    assert len(frame) > 200
    np.testing.assert_allclose(weights(sharp, frame), weights(hard, frame), rtol=0, atol=1e-12)
    assert sharp.assign(States.from_frame(frame)).tolist() == (
        hard.assign(States.from_frame(frame)).tolist()
    )


def silence(days: np.ndarray, x: float = 12.0, spend: float = 15.0) -> pd.DataFrame:
    return pd.DataFrame({"frequency": x, "recency": 200.0, "T": 200.0 + days}).assign(
        monetary_value=spend
    )


@pytest.mark.parametrize("spend", [np.nan, 4.0, 20.0, 500.0])
@pytest.mark.parametrize("x", [0.0, 1.0, 3.0, 12.0])
def test_one_more_silent_day_moves_no_more_weight_than_the_slope_of_the_logistics(
    x: float, spend: float
) -> None:
    days = np.arange(0.0, 731.0)
    frame = silence(days, x, spend)
    steps = np.abs(np.diff(weights(RFM, frame), axis=0)).sum(axis=1)
    z, centres = np.log1p(days), np.log(1.5 + np.array(RFM.idle_cuts))
    b = 0.6 * (centres[-1] - centres[0]) / 3
    # A logistic is never steeper than 1/4, and what one cut moves leaves a segment and enters one.
    assert (steps <= 2 * 4 * np.diff(z) / (4 * b)).all()
    assert steps[days[1:] > 60].max() < 0.06
    hard = np.abs(np.diff(weights(replace(RFM, bandwidth=None), frame), axis=0)).sum(axis=1)
    assert hard.max() == 2.0, "else there would be no jump to avoid"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("frequency", np.geomspace(1.0, 300.0, 20_001)),
        ("monetary_value", np.geomspace(0.01, 1e5, 20_001)),
        ("T", 200.0 + np.geomspace(1e-3, 1e4, 20_001)),
    ],
)
@each_rule
def test_weights_are_continuous_in_every_feature(
    rule: SegmentRule, name: str, values: np.ndarray
) -> None:
    frame = silence(np.full(len(values), 45.0)).assign(**{name: values})
    step = np.abs(np.diff(weights(rule, frame), axis=0)).max()
    assert step < 0.01
    double = np.abs(np.diff(weights(rule, frame.iloc[::2]), axis=0)).max()
    assert double > 1.5 * step or step < 1e-12, "a jump would be as large in steps half as long"


@pytest.mark.parametrize("unknown", [math.nan, 0.0, -3.0, math.inf])
@pytest.mark.parametrize("rule", [RFM, KMEANS], ids=["rfm", "kmeans"])
def test_what_is_not_known_of_spend_is_left_out(rule: Any, unknown: float) -> None:
    frame = customers(seed=6).assign(monetary_value=unknown)
    if isinstance(rule, RFMRule):
        without: Any = replace(rule, monetary_cuts=())
    else:
        without = replace(
            rule,
            features=FEATURES[:2],
            location=rule.location[:2],
            scale=rule.scale[:2],
            centroids=tuple(centroid[:2] for centroid in rule.centroids),
        )
    spends = frame.assign(monetary_value=33.0)
    for found in (weights, one_by_one):
        np.testing.assert_allclose(found(rule, frame), found(without, spends), rtol=0, atol=1e-14)
    table = ibis.memtable(pa.Table.from_pandas(frame.assign(row=range(len(frame)))))
    columns = {f"w{k}": it for k, it in enumerate(segment_weights(rule, table))}
    inside = table.select("row", **columns).order_by("row").to_pandas().drop(columns="row")
    np.testing.assert_allclose(inside, weights(without, spends), rtol=0, atol=1e-12)


def test_one_time_buyers_have_a_level_of_frequency_to_themselves() -> None:
    one_time = pd.DataFrame({"frequency": 0, "recency": 0.0, "T": np.arange(400.0)})
    found = weights(RFM, one_time.assign(monetary_value=50.0))
    first_column = {row[0] for row in RFM_GRID_CODES}
    others = [code for code in range(len(RFM.names)) if code not in first_column]
    assert (found[:, others] == 0).all()
    assert (found[:, sorted(first_column)] > 0).all()


def test_hard_rules_give_all_weight_to_the_segment_they_assign() -> None:
    frame = customers(60, seed=7)
    for rule in (PooledRule(), replace(RFM, bandwidth=None), replace(KMEANS, bandwidth=None)):
        assert not rule.soft
        codes = rule.assign(States.from_frame(frame))
        expected = np.eye(len(rule.names))[codes]
        np.testing.assert_array_equal(weights(rule, frame), expected)
        np.testing.assert_array_equal(one_by_one(rule, frame), expected)
    assert RFM.soft
    assert KMEANS.soft


def test_who_has_no_segment_of_a_column_has_no_weight_anywhere() -> None:
    rule = ColumnRule(("shop", "web"))
    frame = customers(4).assign(segment=["web", "phone", None, "shop"])
    expected = [[0, 1], [0, 0], [0, 0], [1, 0]]
    assert rule.weights(States.from_frame(frame)).tolist() == expected
    assert rule.weights_one(1, 2.0, 3.0) == (0.0, 0.0)
    assert not rule.soft
    table = ibis.memtable(pa.Table.from_pandas(frame.assign(row=range(4))))
    columns = {f"w{k}": it for k, it in enumerate(segment_weights(rule, table))}
    inside = table.select("row", **columns).order_by("row").to_pandas().drop(columns="row")
    assert inside.to_numpy().tolist() == expected
    with pytest.raises(InputError, match=r"^segments of your own are hard"):
        thousandths(rule, table)


@each_rule
def test_thousandths_are_whole_add_up_and_are_off_by_less_than_one(rule: SegmentRule) -> None:
    frame = customers(400, seed=8)
    table = ibis.memtable(pa.Table.from_pandas(frame.assign(row=range(len(frame)))))
    found = thousandths(rule, table).order_by("row").to_pandas()
    assert list(found.columns) == [*COLUMNS, "row", *(f"w{k}" for k in range(len(rule.names)))]
    whole = found[[f"w{k}" for k in range(len(rule.names))]].to_numpy()
    assert whole.dtype.kind == "i"
    assert (whole >= 0).all()
    assert (whole.sum(axis=1) == 1000).all()
    assert np.abs(whole - 1000 * weights(rule, frame)).max() < 1 + 1e-6
    sums = np.abs(whole.cumsum(axis=1) - 1000 * weights(rule, frame).cumsum(axis=1))
    assert sums.max() <= 0.5 + 1e-6


def test_thousandths_of_hard_segments_are_all_or_nothing() -> None:
    table = ibis.memtable(pa.Table.from_pandas(customers(100, seed=9)))
    found = thousandths(replace(RFM, bandwidth=None), table).to_pandas()
    assert set(found[[f"w{k}" for k in range(11)]].to_numpy().ravel()) == {0, 1000}


def test_weights_too_small_to_notice_are_left_out_alike_everywhere_and_move_little() -> None:
    frame, rng = customers(400, seed=8), np.random.default_rng(8)
    table = ibis.memtable(pa.Table.from_pandas(frame.assign(row=range(len(frame)))))
    for rule in (RFM, replace(RFM, bandwidth=0.1), KMEANS):
        full = weights(rule, frame)
        kept = noticeable(full)
        assert ((full > 0) & (kept == 0)).any(), "some are left out"
        assert ((kept == 0) == (full <= 1e-5)).all()
        np.testing.assert_allclose(kept.sum(axis=1), 1, rtol=1e-14)
        chances = rng.uniform(size=(full.shape[1], 200))
        assert np.abs((kept - full) @ chances).max() <= full.shape[1] * 1e-5
        names = [f"share{k}" for k in range(full.shape[1])]
        found = noticeable_weights(rule, table, names).order_by("row").to_pandas()[names]
        np.testing.assert_allclose(found.to_numpy(), kept, rtol=1e-9, atol=1e-12)
        for row in range(0, len(full), 37):
            one = np.zeros(full.shape[1])
            for code, weight in noticeable_one(tuple(full[row].tolist())):
                one[code] = weight
            np.testing.assert_allclose(one, kept[row], rtol=1e-14)


SEGMENTERS = [RFMSegmenter(), KMeansSegmenter(3)]
each_segmenter = pytest.mark.parametrize("segmenter", SEGMENTERS, ids=["rfm", "kmeans"])


@each_segmenter
def test_segmenters_learn_soft_rules_unless_told_and_name_the_hard_segment(segmenter: Any) -> None:
    frame = customers(500, seed=10)
    soft = clone(segmenter).fit(frame)
    hard = clone(segmenter).set_params(bandwidth=None).fit(frame)
    assert soft.rule_ == replace(hard.rule_, bandwidth=segmenter.bandwidth)
    assert (soft.rule_.soft, hard.rule_.soft) == (True, False)
    np.testing.assert_array_equal(soft.predict(frame), hard.predict(frame))
    np.testing.assert_array_equal(soft.predict_weights(frame), weights(soft.rule_, frame))
    expected = np.eye(len(hard.segment_names_))[hard.predict(frame)]
    np.testing.assert_array_equal(hard.predict_weights(frame), expected)
    assert not np.array_equal(soft.predict_weights(frame), expected)


def test_the_bandwidths_are_parameters_of_scikit_learn() -> None:
    assert RFMSegmenter().get_params() == {"bandwidth": 0.6}
    assert KMeansSegmenter(3).get_params()["bandwidth"] == 1.0
    assert clone(RFMSegmenter(bandwidth=0.3)).bandwidth == 0.3
    assert RFMSegmenter(bandwidth=np.float32(0.5)).fit(customers()).rule_.bandwidth == 0.5


@pytest.mark.parametrize("bandwidth", [0, -1.0, math.nan, math.inf, "0.6", True])
@each_segmenter
def test_a_bandwidth_that_cannot_be_is_refused_by_name_and_value(
    segmenter: Any, bandwidth: object
) -> None:
    with pytest.raises(InputError) as caught:
        clone(segmenter).set_params(bandwidth=bandwidth).fit(customers())
    assert str(caught.value) == f"bandwidth must be a positive number: {bandwidth!r}"


@each_rule
def test_a_soft_rule_survives_json(rule: SegmentRule) -> None:
    again = rule_from_dict(json.loads(json.dumps(rule_to_dict(rule), allow_nan=False)))
    assert again == rule
    assert again.soft


@pytest.mark.parametrize("rule", [RFM, KMEANS], ids=["rfm", "kmeans"])
def test_a_stored_rule_without_a_bandwidth_is_hard(rule: Any) -> None:
    stored = rule_to_dict(rule)
    del stored["bandwidth"]
    assert rule_from_dict(stored) == replace(rule, bandwidth=None)


@pytest.mark.parametrize("bandwidth", [0, -0.6, math.nan, math.inf, "0.6", [0.6], False, {}])
@pytest.mark.parametrize("rule", [RFM, KMEANS], ids=["rfm", "kmeans"])
def test_a_stored_bandwidth_that_cannot_be_is_refused_in_one_line(
    rule: Any, bandwidth: object
) -> None:
    with pytest.raises(InputError, match=r"^not a segment rule: bandwidth must be a") as caught:
        rule_from_dict({**rule_to_dict(rule), "bandwidth": bandwidth})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"idle_cuts": [30.0, 10.0, 90.0, 180.0]},
        {"idle_cuts": [-2.0, 10.0, 90.0, 180.0]},
        {"idle_cuts": [1.0, 2.0, 3.0, 4.0, 5.0]},
        {"frequency_cuts": [1.0, math.nan, 3.0]},
        {"frequency_cuts": [1.0, 2.0, math.inf]},
        {"monetary_cuts": [0.0, 1.0, 2.0, 3.0]},
        {"monetary_cuts": ["a", "b"]},
        {"monetary_cuts": 5},
    ],
)
def test_stored_cuts_whose_logistics_would_cross_or_be_undefined_are_refused(
    change: dict[str, Any],
) -> None:
    with pytest.raises(InputError, match=r"^not a segment rule: ") as caught:
        rule_from_dict({**rule_to_dict(RFM), **change})
    assert "\n" not in str(caught.value)
