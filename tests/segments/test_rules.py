"""Segment rules, the same rules inside a database, and the estimators that learn them."""

import json
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.segments.cuts import RFM_GRID_CODES
from bayes_clv.segments.estimators import COLUMNS, FEATURES, KMeansSegmenter, RFMSegmenter
from bayes_clv.segments.expressions import segment_code
from bayes_clv.segments.rules import (
    POPULATION,
    ColumnRule,
    KMeansRule,
    PooledRule,
    RFMRule,
    SegmentRule,
    rule_from_dict,
    rule_to_dict,
)

RFM = RFMRule(
    idle_cuts=(10.0, 30.0, 90.0, 180.0),
    frequency_cuts=(1.0, 3.0, 8.0),
    monetary_cuts=(5.0, 12.5, 20.0, 60.0),
)
WITHOUT_SPEND = RFMRule(RFM.idle_cuts, RFM.frequency_cuts, ())


def random_customers(n: int = 4000, seed: int = 1) -> pd.DataFrame:
    """Customers of all kinds; many lie on a cut point of ``RFM``, a fifth has no known spend."""
    rng = np.random.default_rng(seed)
    frequency = rng.choice([0, 0, 1, 2, 3, 4, 8, 9, 50], n)
    idle = rng.choice([0, 1, *RFM.idle_cuts, 11, 31, 100, 300.5], n)
    recency = np.where(frequency > 0, np.round(rng.gamma(2.0, 50.0, n)), 0.0)
    spend = rng.choice([0.01, *RFM.monetary_cuts, 6, 13, 70, np.nan, np.nan], n)
    spend = np.where(frequency > 0, spend, rng.choice([0.0, np.nan, 9.0], n))
    return pd.DataFrame(
        {
            "frequency": frequency,
            "recency": recency,
            "T": recency + idle,
            "monetary_value": spend,
        }
    )


def in_duckdb(rule: SegmentRule, customers: pd.DataFrame) -> np.ndarray:
    """Assign by the Ibis expression, in the order of the frame."""
    numbered = customers.reset_index(drop=True).reset_index(names="position")
    table = ibis.memtable(pa.Table.from_pandas(numbered, preserve_index=False))
    answer = table.mutate(code=segment_code(rule, table)).order_by("position").to_pandas()
    return answer["code"].to_numpy()


def codes(rule: SegmentRule, customers: pd.DataFrame) -> np.ndarray:
    return rule.assign(States.from_frame(customers))


def names(rule: SegmentRule, **customer: object) -> str:
    row = pd.DataFrame([{"monetary_value": np.nan, **customer}])
    return rule.names[codes(rule, row)[0]]


def learnt_kmeans(n_segments: int = 6, features: tuple[str, ...] = FEATURES) -> KMeansRule:
    return KMeansSegmenter(n_segments, features=features).fit(random_customers(seed=2)).rule_


RULES = {
    "pooled": PooledRule(),
    "rfm": RFM,
    "rfm without spend": WITHOUT_SPEND,
    "learnt rfm": RFMSegmenter().fit(random_customers(seed=2)).rule_,
    "kmeans": learnt_kmeans(),
    "kmeans without spend": learnt_kmeans(4, ("idle_time", "frequency")),
    "kmeans of spend alone": learnt_kmeans(3, ("monetary_value",)),
    "one centroid": learnt_kmeans(1),
}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def test_the_random_customers_of_this_file_hold_what_is_hard() -> None:
    customers = random_customers()
    states = States.from_frame(customers)
    repeats = states.frequency > 0
    assert (np.isnan(states.monetary_value) & repeats).sum() > 100
    assert (np.isnan(states.monetary_value) & ~repeats).sum() > 100
    for cuts, values in (
        (RFM.idle_cuts, states.idle_time),
        (RFM.frequency_cuts, states.frequency),
        (RFM.monetary_cuts, states.repeat_spend),
    ):
        assert all((values == cut).sum() > 100 for cut in cuts)
    assert set(codes(RFM, customers)) == set(range(len(RFM.names))), "all must occur"
    assert len(set(codes(RULES["kmeans"], customers))) == 6


@each_rule
def test_one_state_is_assigned_as_it_is_among_others(rule: SegmentRule) -> None:
    customers = random_customers(seed=17)
    state = customers[["frequency", "recency", "T", "monetary_value"]]
    alone = [rule.assign_one(*row) for row in state.itertuples(index=False)]
    np.testing.assert_array_equal(alone, codes(rule, state))


@each_rule
def test_the_expression_in_duckdb_assigns_what_the_rule_assigns(rule: SegmentRule) -> None:
    customers = random_customers(seed=3)
    expected = codes(rule, customers)
    np.testing.assert_array_equal(in_duckdb(rule, customers), expected)
    assert expected.dtype == np.int64
    assert expected.min() >= 0
    assert expected.max() < len(rule.names)


@pytest.mark.parametrize("name", ["rfm", "kmeans"])
def test_a_spend_that_is_nan_in_the_database_is_as_unknown_as_one_that_is_null(name: str) -> None:
    customers = random_customers(400, seed=4)
    spend = pa.array(customers["monetary_value"].to_numpy(), from_pandas=False)
    assert spend.null_count == 0
    table = pa.Table.from_pandas(customers.drop(columns="monetary_value"), preserve_index=False)
    states = ibis.memtable(
        table.append_column("monetary_value", spend).append_column(
            "position", pa.array(range(len(customers)))
        )
    )
    rule = RULES[name]
    coded = states.mutate(code=segment_code(rule, states)).order_by("position").to_pandas()
    np.testing.assert_array_equal(coded["code"], codes(rule, customers))


@each_rule
def test_a_rule_survives_json(rule: SegmentRule) -> None:
    stored = json.loads(json.dumps(rule_to_dict(rule), allow_nan=False))
    assert stored["kind"] == rule.kind
    again = rule_from_dict(stored)
    assert again == rule
    assert type(again) is type(rule)
    assert again.names == rule.names
    customers = random_customers(500, seed=5)
    np.testing.assert_array_equal(codes(again, customers), codes(rule, customers))


def test_a_column_rule_survives_json() -> None:
    rule = ColumnRule(("web", "shop"))
    assert rule_from_dict(json.loads(json.dumps(rule_to_dict(rule)))) == rule


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"kind": "horoscope"},
        {"kind": "rfm", "idle_cuts": [1, 2, 3, 4]},
        {"kind": "none", "names": ["all"], "code": "import os"},
        {"kind": ["rfm"]},
    ],
)
def test_what_is_not_a_rule_is_refused_in_one_line(stored: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^not a segment rule: ") as caught:
        rule_from_dict(stored)
    assert "\n" not in str(caught.value)


def test_the_pooled_rule_puts_everybody_in_one_segment() -> None:
    assert set(codes(PooledRule(), random_customers(50))) == {0}
    assert len(PooledRule().names) == 1


def test_a_column_rule_sends_what_it_does_not_know_to_the_population() -> None:
    rule = ColumnRule(("shop", "web"))
    customers = random_customers(5).assign(segment=["web", "shop", "phone", None, "Web"])
    expected = [1, 0, POPULATION, POPULATION, POPULATION]
    assert codes(rule, customers).tolist() == expected
    assert in_duckdb(rule, customers).tolist() == expected


def test_a_column_rule_knows_nobody_where_there_is_no_column_or_it_has_no_names() -> None:
    customers = random_customers(3)
    assert codes(ColumnRule(("web",)), customers).tolist() == [POPULATION] * 3
    named = customers.assign(segment="web")
    assert codes(ColumnRule(()), named).tolist() == [POPULATION] * 3
    assert in_duckdb(ColumnRule(()), named).tolist() == [POPULATION] * 3


@pytest.mark.parametrize(
    ("customer", "segment"),
    [
        # idle time 0 scores 5, frequency 9 scores 5, spend 70 scores 5
        ({"frequency": 9, "recency": 40, "T": 40, "monetary_value": 70.0}, "champions"),
        # on a cut point the lower score holds: frequency 8 scores 4, spend 60 scores 4
        ({"frequency": 8, "recency": 40, "T": 50, "monetary_value": 60.0}, "champions"),
        ({"frequency": 8, "recency": 40, "T": 70, "monetary_value": 60.0}, "loyal"),
        # halves are rounded up: frequency 5 and spend 4 score 5
        ({"frequency": 9, "recency": 40, "T": 70, "monetary_value": 60.0}, "champions"),
        # the frequency alone where spend is unknown
        ({"frequency": 9, "recency": 40, "T": 70}, "champions"),
        ({"frequency": 9, "recency": 40, "T": 70, "monetary_value": 0.0}, "champions"),
        ({"frequency": 0, "recency": 0, "T": 10}, "new"),
        ({"frequency": 0, "recency": 0, "T": 11}, "promising"),
        ({"frequency": 0, "recency": 0, "T": 31}, "about to sleep"),
        ({"frequency": 0, "recency": 0, "T": 91}, "hibernating"),
        ({"frequency": 0, "recency": 0, "T": 500, "monetary_value": 80.0}, "lost"),
        ({"frequency": 50, "recency": 20, "T": 500, "monetary_value": 80.0}, "cannot lose them"),
        ({"frequency": 2, "recency": 20, "T": 500, "monetary_value": 12.6}, "at risk"),
    ],
)
def test_rfm_scores_lead_to_the_segment_in_the_grid(
    customer: dict[str, float], segment: str
) -> None:
    assert names(RFM, **customer) == segment


def test_the_grid_is_five_by_five_and_every_name_is_in_it() -> None:
    grid = np.array(RFM_GRID_CODES)
    assert grid.shape == (5, 5)
    assert set(grid.ravel()) == set(range(len(RFM.names)))
    assert len(set(RFM.names)) == len(RFM.names)


def test_rfm_learns_quintiles_of_idle_time_and_spend_and_quartiles_of_repeat_frequency() -> None:
    customers = random_customers(seed=6)
    states = States.from_frame(customers)
    rule = RFMSegmenter().fit(customers).rule_
    known = states.repeat_spend[~np.isnan(states.repeat_spend)]
    np.testing.assert_allclose(rule.idle_cuts, np.quantile(states.idle_time, [0.2, 0.4, 0.6, 0.8]))
    np.testing.assert_allclose(
        rule.frequency_cuts, np.quantile(states.frequency[states.frequency > 0], [0.25, 0.5, 0.75])
    )
    np.testing.assert_allclose(rule.monetary_cuts, np.quantile(known, [0.2, 0.4, 0.6, 0.8]))


def test_rfm_without_amounts_or_repeat_buyers_still_assigns_and_does_so_in_duckdb_too() -> None:
    customers = random_customers(300, seed=7)
    no_amounts = customers.assign(monetary_value=np.nan)
    rule = RFMSegmenter().fit(no_amounts).rule_
    assert rule.monetary_cuts == ()
    np.testing.assert_array_equal(in_duckdb(rule, no_amounts), codes(rule, no_amounts))

    one_time = no_amounts.assign(frequency=0, recency=0.0)
    rule = RFMSegmenter().fit(one_time).rule_
    assert rule.frequency_cuts == ()
    assert len(set(codes(rule, one_time))) > 2
    np.testing.assert_array_equal(in_duckdb(rule, one_time), codes(rule, one_time))


def groups(seed: int = 0, size: int = 150) -> tuple[pd.DataFrame, np.ndarray]:
    """Four groups that anybody would tell apart, and who is in which."""
    rng = np.random.default_rng(seed)
    centres = {  # frequency, idle time, spend
        "frequent, recent": (60, 4, 40.0),
        "regular": (12, 20, 15.0),
        "occasional, cooling": (2, 300, 12.0),
        "one-time, silent": (0, 400, np.nan),
    }
    frames = []
    for often, idle, spend in centres.values():
        frequency = np.round(often * rng.uniform(0.9, 1.1, size))
        recency = np.where(frequency > 0, 200.0, 0.0)
        frames.append(
            pd.DataFrame(
                {
                    "frequency": frequency,
                    "recency": recency,
                    "T": recency + np.round(idle * rng.uniform(0.9, 1.1, size)),
                    "monetary_value": spend * rng.uniform(0.9, 1.1, size),
                }
            )
        )
    return pd.concat(frames, ignore_index=True), np.repeat(np.arange(4), size)


def test_kmeans_finds_separate_groups_and_names_them_for_people() -> None:
    customers, truth = groups()
    segmenter = KMeansSegmenter(4).fit(customers)
    np.testing.assert_array_equal(segmenter.labels_, truth)  # most frequent buyers first
    first, second, third, fourth = segmenter.segment_names_
    assert first == "frequent, recent"
    assert second.startswith("regular, ")
    assert third == "occasional, cooling"
    assert fourth == "one-time, silent"


def test_kmeans_names_and_labels_depend_neither_on_the_seed_nor_on_the_order_of_rows() -> None:
    customers, _ = groups()
    customers.loc[::7, "monetary_value"] = np.nan
    reference = KMeansSegmenter(4).fit(customers)
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(customers))
        other = KMeansSegmenter(4, random_state=seed).fit(customers.iloc[order])
        assert other.rule_.names == reference.rule_.names
        np.testing.assert_array_equal(other.labels_, reference.labels_[order])
        np.testing.assert_allclose(other.rule_.centroids, reference.rule_.centroids, atol=1e-9)


def test_a_kmeans_centroid_is_the_mean_of_what_is_known_of_its_members() -> None:
    customers, truth = groups()
    hidden = (
        np.random.default_rng(12).random(len(customers)) < np.array([0.2, 0.1, 0.0, 0.0])[truth]
    )
    customers.loc[hidden, "monetary_value"] = np.nan
    segmenter = KMeansSegmenter(4).fit(customers)
    np.testing.assert_array_equal(segmenter.labels_, truth)
    known = segmenter.rule_.standardise(States.from_frame(customers))
    for code, centroid in enumerate(segmenter.rule_.centroids):
        members = known[truth == code]
        seen = ~np.isnan(members).all(axis=0)  # nobody knows what one-time buyers spend again
        assert seen.sum() == (2 if code == 3 else 3)
        expected = np.nanmean(members[:, seen], axis=0)
        np.testing.assert_allclose(np.array(centroid)[seen], expected, atol=1e-6)


def test_kmeans_learns_the_same_from_everybody_twice_over() -> None:
    customers = random_customers(1500, seed=13)
    once = KMeansSegmenter(6).fit(customers).rule_
    assert len(customers.drop_duplicates()) < len(customers)
    twice = KMeansSegmenter(6).fit(pd.concat([customers, customers])).rule_
    np.testing.assert_allclose(twice.centroids, once.centroids, atol=1e-8)
    assert twice.names == once.names


@pytest.mark.parametrize("n_segments", [2, 5, 9])
def test_kmeans_stops_where_every_centroid_is_the_mean_of_the_states_nearest_to_it(
    n_segments: int,
) -> None:
    customers = random_customers(3000, seed=14)
    segmenter = KMeansSegmenter(n_segments).fit(customers)
    z = segmenter.rule_.standardise(States.from_frame(customers))
    assert np.isnan(z).any()
    for code, centroid in enumerate(segmenter.rule_.centroids):
        members = z[segmenter.labels_ == code]
        assert len(members)
        for feature, value in enumerate(centroid):
            seen = members[np.isfinite(members[:, feature]), feature]
            assert value == pytest.approx(seen.mean() if len(seen) else 0.0, abs=1e-8)


def test_kmeans_with_one_seed_learns_one_rule() -> None:
    customers = random_customers(1500, seed=8)
    rules = {KMeansSegmenter(7, random_state=3).fit(customers).rule_ for _ in range(3)}
    assert len(rules) == 1


@pytest.mark.parametrize("n_segments", [1, 2, 5, 12, 25])
def test_kmeans_names_are_unique_readable_and_as_many_as_asked_for(n_segments: int) -> None:
    vocabulary = {
        *("one-time", "occasional", "regular", "frequent", "recent", "cooling", "silent"),
        *("small baskets", "medium baskets", "large baskets"),
    }
    found = KMeansSegmenter(n_segments).fit(random_customers(1500, seed=9)).rule_.names
    assert len(found) == len(set(found)) == n_segments
    for name in found:
        words = name.rstrip(" 0123456789").split(", ")
        assert set(words) <= vocabulary
        assert 2 <= len(words) <= 3


def test_kmeans_ignores_what_is_unknown_of_a_customer_and_uses_the_rest() -> None:
    customers, truth = groups()
    rule = KMeansSegmenter(4).fit(customers).rule_
    unknown = customers.assign(monetary_value=np.nan)
    np.testing.assert_array_equal(codes(rule, unknown), truth)
    without = customers.drop(columns="monetary_value")
    np.testing.assert_array_equal(codes(rule, without), truth)
    assert np.isnan(rule.standardise(States.from_frame(unknown))[:, 2]).all()


def test_kmeans_assigns_the_nearest_centroid_by_a_plain_loop_and_the_first_of_equals() -> None:
    rule = KMeansRule(
        names=("a", "b", "c"),
        features=FEATURES,
        location=(2.0, 1.0, 3.0),
        scale=(1.5, 0.5, 2.0),
        centroids=((0.0, 0.0, 0.0), (1.0, -1.0, 0.5), (0.0, 0.0, 0.0)),
    )
    customers = random_customers(300, seed=10)
    expected = []
    for row in customers.itertuples():
        spends = row.frequency > 0 and row.monetary_value > 0
        seen = (
            np.log(1 + row.T - row.recency),
            np.log(1 + row.frequency),
            np.log(row.monetary_value) if spends else None,
        )
        distances = [
            sum(
                ((value - at) / by - c) ** 2
                for value, at, by, c in zip(seen, rule.location, rule.scale, centroid, strict=True)
                if value is not None
            )
            for centroid in rule.centroids
        ]
        expected.append(distances.index(min(distances)))
    assert set(expected) == {0, 1}
    assert codes(rule, customers).tolist() == expected
    assert in_duckdb(rule, customers).tolist() == expected


def test_kmeans_drops_a_feature_that_is_unknown_for_everybody() -> None:
    customers, truth = groups()
    segmenter = KMeansSegmenter(4).fit(customers.drop(columns="monetary_value"))
    assert segmenter.rule_.features == ("idle_time", "frequency")
    np.testing.assert_array_equal(segmenter.labels_, truth)


@pytest.mark.parametrize(
    ("segmenter", "message"),
    [
        (KMeansSegmenter(0), "n_segments must be at least 1: 0"),
        (KMeansSegmenter(601), "n_segments must not exceed the number of distinct states, "),
        (KMeansSegmenter(2, features=()), "features must be some of idle_time, frequency, "),
        (KMeansSegmenter(2, features=("age",)), "features must be some of idle_time, frequency, "),
    ],
)
def test_kmeans_refuses_settings_that_cannot_be_by_name_rule_and_value(
    segmenter: KMeansSegmenter, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        segmenter.fit(groups()[0])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_kmeans_refuses_to_learn_from_a_feature_that_nobody_has() -> None:
    unknown = random_customers(50).assign(monetary_value=np.nan)
    with pytest.raises(InputError, match=r"^features .*monetary_value") as caught:
        KMeansSegmenter(2, features=("monetary_value",)).fit(unknown)
    assert "\n" not in str(caught.value)


SEGMENTERS = [KMeansSegmenter(4), RFMSegmenter()]
each_segmenter = pytest.mark.parametrize("segmenter", SEGMENTERS, ids=["kmeans", "rfm"])


@each_segmenter
def test_columns_are_found_by_name_in_any_order_among_others(segmenter: Any) -> None:
    customers = random_customers(500, seed=11)
    shuffled = customers.assign(country="UK", customer_id=range(500))
    shuffled = shuffled[["country", "T", "monetary_value", "frequency", "customer_id", "recency"]]
    expected = clone(segmenter).fit(customers[list(COLUMNS)])
    found = clone(segmenter).fit(shuffled)
    assert found.rule_ == expected.rule_
    np.testing.assert_array_equal(found.predict(shuffled), expected.labels_)
    by_position = clone(segmenter).fit(customers[list(COLUMNS)].to_numpy())
    assert by_position.rule_ == expected.rule_
    assert found.segment_names_.tolist() == list(found.rule_.names)


@each_segmenter
@pytest.mark.parametrize("n_columns", [1, 2, 5, 9])
def test_a_wrong_number_of_columns_is_refused_in_one_clear_line(
    segmenter: Any, n_columns: int
) -> None:
    with pytest.raises(InputError) as caught:
        clone(segmenter).fit(np.ones((20, n_columns)))
    assert str(caught.value) == (
        "X must hold frequency, recency, T and optionally monetary_value, in this order; "
        f"it has {n_columns} feature(s)"
    )


@each_segmenter
def test_states_that_cannot_be_are_refused_by_name(segmenter: Any) -> None:
    customers = random_customers(50)
    with pytest.raises(InputError, match=r"^recency must not exceed T: row 0 has "):
        clone(segmenter).fit(customers.assign(recency=customers["T"] + 1, frequency=3))
    with pytest.raises(InputError, match=r"^frequency must not be negative: row 0 has -1"):
        clone(segmenter).fit(customers).predict(customers.assign(frequency=-1))


@each_segmenter
def test_a_frame_that_lacks_a_column_is_told_which(segmenter: Any) -> None:
    with pytest.raises(InputError, match=r"^customers lack recency; "):
        clone(segmenter).fit(random_customers(50).drop(columns="recency"))


def any_states(segmenter: Any, X: Any, *, reset: bool) -> States:
    """Turn any numbers into states: the first feature says how often, the last how lately."""
    values = validate_data(
        segmenter, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
    )
    values = np.nan_to_num(values)
    often = np.floor(np.exp(3 + np.arcsinh(values[:, 0])))
    idle = np.exp(3 + np.arcsinh(values[:, -1]))
    recency = np.full(len(values), 30.0)
    return States(often, recency, recency + idle, np.full(len(values), np.nan))


class _Any:
    """Instead of four columns of customers, any numbers at all: what the checks of sklearn pass."""

    def _states(self, X: Any, *, reset: bool) -> States:
        return any_states(self, X, reset=reset)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = False
        return tags


class AnyKMeans(_Any, KMeansSegmenter):
    pass


class AnyRFM(_Any, RFMSegmenter):
    pass


def failures_with_a_reason(estimator: Any) -> dict[str, str]:
    if isinstance(estimator, KMeansSegmenter):
        return {"check_fit2d_1sample": "refused by the number of distinct states, not of samples"}
    return {"check_clustering": "the segments are a fixed grid: fifty states need not fill it"}


@parametrize_with_checks(
    [AnyKMeans(3), AnyRFM()], expected_failed_checks=failures_with_a_reason, xfail_strict=True
)
def test_the_protocol_of_scikit_learn_is_kept(estimator: Any, check: Any) -> None:
    check(estimator)
