"""Gradient boosting, as a practitioner would forecast purchases: trained on earlier landmarks.

At a landmark, a day inside the past, each customer known by then is one example: features from the
purchases until that day, and as target the purchase days in the H days after it, all of them still
in the past. Scikit-learn's HistGradientBoosting learns two things from all examples

    p(x) = P(a customer with features x buys within H days)          log loss
    m(x) = E(further purchase days | the customer buys)              Poisson loss

and the forecast of the number of purchase days Y is the hurdle distribution

    P(Y = 0) = 1 − p(x),    P(Y = y) = p(x) NB(y − 1; mean m(x), variance m(x) + m(x)²/k),  y ≥ 1

with one dispersion k, of greatest likelihood for predictions that the models make for customers
whom they have not seen: the customers are in five folds, each fold has a model that learns from the
other four and stops early on its own fold, and a forecast is the mean of the five models. Nothing
after the origin is used, and no setting was tuned.
"""

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import nbinom
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import GroupKFold

from bayes_clv import Transactions
from bayes_clv.evaluation.backtest.scoring_rules import Floats, Ints
from bayes_clv.evaluation.backtest.splits import Split

MOST_LANDMARKS = 6
SHORTEST_HISTORY = 28  # days from the log's first purchase to the earliest landmark
FEWEST_EXAMPLES = 50  # of customers who buy twice within the horizon
RECENT = (30, 90, 180)  # days
FOLDS = 5
_COMMON = {"learning_rate": 0.05, "max_iter": 500, "max_leaf_nodes": 15, "early_stopping": True}
_LOG_DISPERSION = (-7.0, 12.0)


@dataclass(frozen=True)
class Examples:
    """What boosting learns from: one row for each customer and landmark.

    Attributes
    ----------
    features
        As returned by ``features_at``.
    outcome
        ``(example,)`` purchase days in the H days after the landmark.
    customer
        ``(example,)`` identifiers; all examples of a customer are in the same fold.
    """

    features: pd.DataFrame
    outcome: Ints
    customer: NDArray[np.generic]

    @property
    def enough(self) -> bool:
        """Whether enough customers came back, more than once, to learn from."""
        return int((self.outcome >= 2).sum()) >= FEWEST_EXAMPLES


@dataclass(frozen=True)
class Hurdle:
    """Forecast distributions: ``chance`` and ``mean`` are p and m ``(customer,)``, then k."""

    chance: Floats
    mean: Floats
    dispersion: float

    def probabilities(self, most: int) -> Floats:
        """Return the probabilities ``(customer, outcome)`` of 0 … ``most`` purchase days."""
        further = negative_binomial(np.arange(most), self.mean[:, None], self.dispersion)
        return np.column_stack([1 - self.chance, self.chance[:, None] * np.exp(further)])


def purchases_by_day(log: Transactions) -> pd.DataFrame:
    """Return one row per customer and purchase day: ``customer_id``, ``day`` and ``amount``.

    Days are counted from the first day of the log; there is no ``amount`` if the log has none.
    """
    days = log.table.group_by("customer_id", "date").agg(amount=ibis._.amount.sum())
    frame: pd.DataFrame = days.order_by("customer_id", "date").to_pandas()
    frame["day"] = (pd.to_datetime(frame["date"]) - pd.Timestamp(log.start)).dt.days
    return frame[["customer_id", "day", *(["amount"] if log.has_amounts else [])]]


def landmarks_before(origin: int, horizon: int) -> list[int]:
    """Return the days of the landmarks: the latest is a horizon before the origin.

    They are half a horizon apart. Each has H days of future before the origin, and a history of at
    least four weeks, so a short past has none.
    """
    step = max(1, round(horizon / 2))
    days = [origin - horizon - step * back for back in range(MOST_LANDMARKS)]
    return [day for day in days if day >= SHORTEST_HISTORY]


def features_at(purchases: pd.DataFrame, landmark: int) -> pd.DataFrame:
    """Return the features of all customers who are known on a day, from purchases until that day.

    Parameters
    ----------
    purchases
        From ``purchases_by_day``.
    landmark
        The day.

    Returns
    -------
    One row per ``customer_id``, sorted. Durations are in days. Gaps are those between purchase
    days; a customer with one purchase day has none (NaN).
    """
    known = purchases[purchases["day"] <= landmark].sort_values(["customer_id", "day"])
    grouped = known.groupby("customer_id")["day"]
    first, last, n = grouped.min(), grouped.max(), grouped.size()
    frame = pd.DataFrame({"frequency": n - 1, "recency": last - first, "T": landmark - first})
    frame["idle"] = landmark - last
    frame["mean_gap"] = frame["recency"] / frame["frequency"].where(frame["frequency"] > 0)
    frame["longest_gap"] = grouped.diff().groupby(known["customer_id"]).max()
    frame["idle_in_gaps"] = frame["idle"] / frame["mean_gap"]
    for days in RECENT:
        recent = known["day"] > landmark - days
        frame[f"bought_{days}"] = recent.groupby(known["customer_id"]).sum()
    if "amount" in known:
        spent = known.groupby("customer_id")["amount"]
        frame["mean_spend"], frame["last_spend"] = spent.mean(), spent.last()
    return frame.astype(float)


def purchases_after(
    purchases: pd.DataFrame, customers: pd.Index, landmark: int, horizon: int
) -> Ints:
    """Return the number of purchase days of given customers in the H days after a landmark."""
    within = purchases["day"].between(landmark + 1, landmark + horizon)
    counts = purchases.loc[within].groupby("customer_id").size()
    return counts.reindex(customers, fill_value=0).to_numpy(dtype=np.int64)


def examples_before(purchases: pd.DataFrame, origin: int, horizon: int) -> Examples | None:
    """Return the examples of all landmarks, or None if the past is too short for any."""
    found = [(day, features_at(purchases, day)) for day in landmarks_before(origin, horizon)]
    if not found:
        return None
    outcomes = [purchases_after(purchases, frame.index, day, horizon) for day, frame in found]
    features = pd.concat([frame for _, frame in found])
    customer = features.index.to_numpy()
    return Examples(features.reset_index(drop=True), np.concatenate(outcomes), customer)


def boosted(log: Transactions, split: Split, seed: int = 0) -> tuple[pd.Index, Hurdle] | None:
    """Learn from the log until the origin, and forecast for the customers who are known there.

    Returns
    -------
    The customers and their forecasts; None if the past is too short, or too few came back in it.
    """
    purchases = purchases_by_day(log.until(split.origin))
    origin = (split.origin - log.start).days
    examples = examples_before(purchases, origin, split.horizon)
    if examples is None or not examples.enough:
        return None
    unseen = features_at(purchases, origin)
    return unseen.index, learn(examples, unseen, seed)


def learn(examples: Examples, unseen: pd.DataFrame, seed: int) -> Hurdle:
    """Learn from examples, and forecast for the customers with the features ``unseen``."""
    bought = examples.outcome >= 1
    classifier = HistGradientBoostingClassifier(random_state=seed, **_COMMON)
    _, chance = _by_fold(classifier, examples, bought, unseen, seed)
    buyers = Examples(
        examples.features[bought], examples.outcome[bought] - 1, examples.customer[bought]
    )
    regressor = HistGradientBoostingRegressor(loss="poisson", random_state=seed, **_COMMON)
    of_buyers, mean = _by_fold(regressor, buyers, buyers.outcome, unseen, seed)
    return Hurdle(chance, mean, fitted_dispersion(buyers.outcome, of_buyers))


def negative_binomial(count: Ints, mean: Floats, dispersion: float) -> Floats:
    """Return ln P(count), for mean m and variance m + m²/dispersion."""
    probability: Floats = nbinom.logpmf(count, dispersion, dispersion / (dispersion + mean))
    return probability


def fitted_dispersion(count: Ints, mean: Floats) -> float:
    """Return the dispersion k of greatest likelihood, given each count's mean."""
    found = minimize_scalar(
        lambda log_k: -negative_binomial(count, mean, float(np.exp(log_k))).sum(),
        bounds=_LOG_DISPERSION,
        method="bounded",
    )
    return float(np.exp(found.x))


def _by_fold(
    model: HistGradientBoostingClassifier | HistGradientBoostingRegressor,
    examples: Examples,
    target: NDArray[np.generic],
    unseen: pd.DataFrame,
    seed: int,
) -> tuple[Floats, Floats]:
    """Predict each example by the model of its fold, and unseen customers by the mean model."""
    rows = examples.features
    of_examples, of_unseen = np.empty(len(target)), np.zeros(len(unseen))
    folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    for learnt, held in folds.split(rows, groups=examples.customer):
        fitted = clone(model).fit(
            rows.iloc[learnt], target[learnt], X_val=rows.iloc[held], y_val=target[held]
        )
        of_examples[held] = _predicted(fitted, rows.iloc[held])
        of_unseen += _predicted(fitted, unseen) / FOLDS
    return of_examples, of_unseen


def _predicted(
    model: HistGradientBoostingClassifier | HistGradientBoostingRegressor, features: pd.DataFrame
) -> Floats:
    is_classifier = isinstance(model, HistGradientBoostingClassifier)
    made: Floats = model.predict_proba(features)[:, 1] if is_classifier else model.predict(features)
    return made
