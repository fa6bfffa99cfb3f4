"""Gradient boosting: its features, targets and distributions, and that it sees no future."""

import datetime as dt
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from bayes_clv import read_transactions
from bayes_clv.evaluation.backtest.splits import Split
from benchmarks.boosting import (
    SHORTEST_HISTORY,
    Examples,
    Hurdle,
    boosted,
    examples_before,
    features_at,
    fitted_dispersion,
    landmarks_before,
    learn,
    negative_binomial,
    purchases_after,
    purchases_by_day,
)

START = dt.date(2024, 1, 1)


def some_purchases(n_customers: int = 60, days: int = 400, seed: int = 0) -> pd.DataFrame:
    """Purchases of customers who buy at different rates, one row per purchase day."""
    random = np.random.default_rng(seed)
    found = []
    for customer in range(n_customers):
        first = int(random.integers(0, days // 3))
        chance = random.uniform(0.0, 0.1)
        later = [day for day in range(first + 1, days) if random.random() < chance]
        found += [(customer, day, round(random.gamma(2, 20), 2)) for day in (first, *later)]
    return pd.DataFrame(found, columns=["customer_id", "day", "amount"])


def brute_force(rows: list[tuple[int, float]], landmark: int) -> dict[str, float]:
    """The features of one customer, in plain Python, from (day, amount)."""
    rows = sorted(row for row in rows if row[0] <= landmark)
    days = [day for day, _ in rows]
    gaps = [b - a for a, b in pairwise(days)]
    mean_gap = sum(gaps) / len(gaps) if gaps else math.nan
    return {
        "frequency": len(days) - 1,
        "recency": days[-1] - days[0],
        "T": landmark - days[0],
        "idle": landmark - days[-1],
        "mean_gap": mean_gap,
        "longest_gap": max(gaps) if gaps else math.nan,
        "idle_in_gaps": (landmark - days[-1]) / mean_gap,
        **{
            f"bought_{n}": sum(landmark - n < day <= landmark for day in days)
            for n in (30, 90, 180)
        },
        "mean_spend": sum(amount for _, amount in rows) / len(rows),
        "last_spend": rows[-1][1],
    }


@pytest.mark.parametrize("landmark", [10, 40, 200, 399])
def test_features_are_those_of_each_customer_counted_one_by_one(landmark: int) -> None:
    purchases = some_purchases().sample(frac=1, random_state=1)  # in any order
    made = features_at(purchases, landmark)
    histories: dict[int, list[tuple[int, float]]] = {}
    for row in purchases.itertuples():
        histories.setdefault(row.customer_id, []).append((row.day, row.amount))
    known = [it for it in sorted(histories) if min(histories[it])[0] <= landmark]
    expected = pd.DataFrame([brute_force(histories[it], landmark) for it in known], dtype=float)
    assert list(made.index) == known
    pd.testing.assert_frame_equal(made.reset_index(drop=True), expected, check_like=True)


def test_targets_are_the_purchase_days_after_the_landmark_and_up_to_the_horizon() -> None:
    purchases = pd.DataFrame(
        {"customer_id": [1, 1, 1, 1, 2, 3], "day": [0, 10, 11, 20, 10, 21], "amount": 1.0}
    )
    assert purchases_after(purchases, pd.Index([2, 1]), 10, 10).tolist() == [0, 2]
    assert purchases_after(purchases, pd.Index([2, 1]), 9, 1).tolist() == [1, 1]


@pytest.mark.parametrize(("origin", "horizon"), [(300, 90), (300, 91), (186, 124), (2000, 1)])
def test_every_landmark_has_its_whole_horizon_before_the_origin(origin: int, horizon: int) -> None:
    days = landmarks_before(origin, horizon)
    assert days[0] == origin - horizon
    assert all(SHORTEST_HISTORY <= day <= origin - horizon for day in days)
    assert len(set(days)) == len(days)


def test_a_past_as_short_as_the_horizon_has_no_landmarks_and_no_forecast() -> None:
    assert landmarks_before(272, 273) == []
    assert landmarks_before(90 + SHORTEST_HISTORY - 1, 90) == []
    assert examples_before(some_purchases(), 100, 90) is None


def test_nothing_after_the_origin_changes_what_boosting_learns_from() -> None:
    purchases, origin, horizon = some_purchases(), 250, 60
    future = purchases["day"] > origin
    assert future.any()
    without = purchases[~future]
    other = pd.DataFrame(
        {"customer_id": np.arange(80), "day": origin + 1, "amount": 1e6}
    )  # everyone buys on the next day, and people come who were unknown
    whole, altered = (
        examples_before(pd.concat(it), origin, horizon) for it in ([purchases], [without, other])
    )
    assert whole is not None
    assert altered is not None
    pd.testing.assert_frame_equal(whole.features, altered.features)
    np.testing.assert_array_equal(whole.outcome, altered.outcome)
    np.testing.assert_array_equal(whole.customer, altered.customer)


def test_a_forecast_from_a_log_is_the_same_whatever_happens_after_the_origin() -> None:
    frame = some_purchases(120)
    frame["date"] = [START + dt.timedelta(days=int(day)) for day in frame["day"]]
    log = frame[["customer_id", "date", "amount"]]
    origin = START + dt.timedelta(days=300)
    late = log["date"] > origin
    other = log.assign(amount=log["amount"].where(~late, 999.0))
    other = pd.concat([other[~late], other[late].iloc[::3]])
    (ids, made), (same_ids, same) = (
        boosted(read_transactions(it), Split(origin, 60)) or pytest.fail("no forecast")
        for it in (log, other)
    )
    assert list(ids) == list(same_ids) == sorted(frame[frame["day"] <= 300]["customer_id"].unique())
    np.testing.assert_array_equal(made.chance, same.chance)
    np.testing.assert_array_equal(made.mean, same.mean)
    assert made.dispersion == same.dispersion


def test_purchases_on_one_day_are_one_and_days_count_from_the_start_of_the_log() -> None:
    log = pd.DataFrame(
        {
            "customer_id": ["b", "a", "a", "a"],
            "date": ["2024-01-01", "2024-01-03", "2024-01-03", "2024-03-01"],
            "amount": [5.0, 1.0, 2.0, 4.0],
        }
    )
    made = purchases_by_day(read_transactions(log))
    assert made["customer_id"].tolist() == ["a", "a", "b"]
    assert made["day"].tolist() == [2, 60, 0]
    assert made["amount"].tolist() == [3.0, 4.0, 5.0]
    without = purchases_by_day(read_transactions(log.drop(columns="amount")))
    assert list(without) == ["customer_id", "day"]
    assert "mean_spend" not in features_at(without, 60)


def test_a_negative_binomial_is_a_mixture_of_poissons_with_gamma_rates() -> None:
    mean, k, count = 2.3, 0.7, 4
    rates = np.linspace(1e-9, 80, 800_001)
    gamma = rates ** (k - 1) * np.exp(-rates * k / mean) * (k / mean) ** k / math.gamma(k)
    poisson = np.exp(-rates) * rates**count / math.factorial(count)
    made = np.exp(negative_binomial(np.array([count]), np.array([mean]), k))[0]
    assert made == pytest.approx(np.trapezoid(gamma * poisson, rates), rel=1e-6)


def test_the_hurdles_probabilities_sum_to_one_and_have_its_chance_and_mean() -> None:
    hurdle = Hurdle(np.array([0.0, 0.1, 0.6, 1.0]), np.array([0.5, 0.01, 3.0, 1.0]), 1.4)
    made = hurdle.probabilities(300)
    np.testing.assert_allclose(made.sum(axis=1), 1)
    np.testing.assert_allclose(1 - made[:, 0], hurdle.chance, atol=1e-15)
    np.testing.assert_allclose(made @ np.arange(301), hurdle.chance * (1 + hurdle.mean))
    assert hurdle.probabilities(0).shape == (4, 1)


def test_the_dispersion_of_simulated_counts_is_found() -> None:
    random = np.random.default_rng(3)
    mean = random.uniform(0.5, 4, 40_000)
    count = random.poisson(random.gamma(2.0, mean / 2.0))
    assert fitted_dispersion(count, mean) == pytest.approx(2.0, rel=0.1)  # error: about 2 %


def test_boosting_learns_chances_and_means_that_depend_on_a_feature() -> None:
    random = np.random.default_rng(5)
    busy = random.integers(0, 2, 6_000).astype(float)
    outcome = np.where(
        random.random(6_000) < 0.2 + 0.5 * busy, 1 + random.poisson(0.5 + 2 * busy), 0
    )
    examples = Examples(pd.DataFrame({"busy": busy}), outcome, np.arange(6_000) // 3)
    made = learn(examples, pd.DataFrame({"busy": [0.0, 1.0]}), seed=0)
    np.testing.assert_allclose(made.chance, [0.2, 0.7], atol=0.05)  # errors: about 0.01
    np.testing.assert_allclose(made.mean, [0.5, 2.5], atol=0.2)  # about 0.03
    assert made.dispersion > 10  # a Poisson's is infinite


def test_too_few_customers_who_came_back_are_not_enough() -> None:
    features = pd.DataFrame({"T": np.zeros(100)})
    assert not Examples(features, np.ones(100, dtype=np.int64), np.arange(100)).enough
    assert Examples(features, np.full(100, 2), np.arange(100)).enough
