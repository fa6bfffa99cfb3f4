"""Backtest of spend from one origin: fit to the past, forecast each customer's spend, and score.

The counterpart of :mod:`bayes_clv.evaluation.backtest.purchases`; nothing is discounted. Outcomes
are sampled independently for every customer and draw, so that the interval of the total holds both
the uncertainty of the parameters and chance.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayes_clv import arguments
from bayes_clv.data.dates import as_date
from bayes_clv.data.described import Described, listed
from bayes_clv.data.given_log import Log, as_log
from bayes_clv.data.rfm import customers
from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation.backtest.methods import POOLED, Method
from bayes_clv.evaluation.backtest.scoring_rules import coverage
from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.mixtures import Evaluator, expected_value
from bayes_clv.posterior.outcomes import sample_value
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.posterior.state_groups import (
    MAX_BLOCK,
    Floats,
    Group,
    cut,
    distinct_cases,
    each_group,
)
from bayes_clv.segments.estimators import RFMSegmenter

LEVEL = 0.9  # mass of the interval of the total
GROUPS = 10
METHODS = (POOLED, Method("RFM", RFMSegmenter(), 4, options="--segments rfm --landmarks 4"))


@dataclass(frozen=True, repr=False)
class MoneyForecasts(Described):
    """Forecasts of each customer's spend, ``(customer,)`` each, except for ``total``.

    Attributes
    ----------
    actual
        Observed spend.
    expected
        Predictive mean.
    below, up_to
        Shares of the sampled outcomes that are below the observed spend, and not above it.
    total
        ``(draw,)`` sampled spend of all customers together.
    """

    actual: Floats
    expected: Floats
    below: Floats
    up_to: Floats
    total: Floats

    def _facts(self) -> Mapping[str, object]:
        return {"customers": len(self.actual), "draws": len(self.total)}


@dataclass(frozen=True, repr=False)
class MoneyBacktest(Described):
    """Scores of every method's forecasts of spend.

    Attributes
    ----------
    split
        Origin and horizon of the forecasts.
    table
        One row per method: expected total with the interval of the outcome, observed total
        (``actual``), MAE, Gini coefficient as a share of that of a perfect ranking, and coverage of
        the customers' intervals.
    deciles
        Per method, customers in ten groups by expected spend: mean expected and mean observed
        spend.
    """

    split: Split
    table: pd.DataFrame
    deciles: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "origin": self.split.origin.isoformat(),
            "horizon_days": self.split.horizon,
            "methods": self.table.to_dict(orient="records"),
            "deciles": self.deciles.to_dict(orient="records"),
        }

    def _facts(self) -> Mapping[str, object]:
        return {
            "origin": self.split.origin,
            "horizon": f"{self.split.horizon} days",
            "methods": listed(self.table["method"]),
        }


def backtest_money(
    transactions: Log,
    origin: dt.date | str | None = None,
    horizon: float | dt.timedelta | None = None,
    *,
    methods: Sequence[Method] = METHODS,
    draws: int = 1000,
    seed: int = 0,
    on_step: Callable[[str, int, int], None] = lambda words, done, total: None,
) -> MoneyBacktest:
    """Fit methods to the log until the origin, and score their forecasts of the days after it.

    Parameters
    ----------
    transactions
        A log with amounts.
    origin, horizon
        Last day of the past, by default the middle of the log; and days ahead, by default all
        remaining days.
    methods
        By default pooled, and RFM segments with four landmarks.
    draws, seed
        Draws per chain, and the random seed.
    on_step
        Called with the name of the method, the number of methods done, and the number of all.

    Raises
    ------
    InputError
        If the log has no amounts, or origin or horizon is outside the log.
    """
    transactions = as_log(transactions)
    seed = arguments.whole("seed", seed, least=0)
    methods = arguments.instances("methods", methods, Method)
    if not transactions.has_amounts:
        raise InputError("a backtest of money needs a log with amounts")
    start, end = transactions.start, transactions.end
    origin = start + (end - start) / 2 if origin is None else as_date(origin, "origin")
    ahead = (end - origin).days if horizon is None else arguments.whole_days("horizon", horizon)
    split = Split(origin, ahead)
    if not (start < split.origin and split.horizon >= 1 and split.end <= end):
        raise InputError(
            f"origin and horizon must lie within {start} and {end}: {split.origin} and "
            f"{split.horizon} days"
        )
    known, actual = spend_after(transactions, split)
    rows, deciles = [], []
    for done, method in enumerate(methods):
        on_step(method.name, done, len(methods))
        model = HierarchicalBetaGeo(method.segmenter, method.landmarks, dropout=method.dropout)
        posterior = model.fit(transactions.until(split.origin), draws=draws, seed=seed)
        forecasts = forecast_money(posterior, known, actual, float(split.horizon), seed)
        labels = {"method": method.name, "sound": posterior.diagnostics.sound}
        rows.append(labels | scores_of(forecasts))
        deciles.append(by_decile(forecasts).assign(method=method.name))
    on_step("done", len(methods), len(methods))
    return MoneyBacktest(split, pd.DataFrame(rows), pd.concat(deciles, ignore_index=True))


def spend_after(transactions: Transactions, split: Split) -> tuple[pd.DataFrame, Floats]:
    """Return the customers at the origin, and each one's spend in the days after it."""
    (now, then) = (
        customers(transactions.until(day)).set_index("customer_id")
        for day in (split.origin, split.end)
    )
    spent = (then.frequency * then.monetary_value).reindex(now.index)
    actual = (spent - now.frequency * now.monetary_value).to_numpy(dtype=float)
    return now.reset_index(), np.maximum(actual, 0.0)  # values below 0 are rounding errors


def forecast_money(
    posterior: Posterior, known: pd.DataFrame, actual: Floats, horizon: float, seed: int = 0
) -> MoneyForecasts:
    """Forecast customers' spend within the horizon, and compare it with the observed spend.

    Parameters
    ----------
    posterior
        A posterior with spend.
    known
        Customers at the origin.
    actual
        ``(customer,)`` observed spend.
    horizon
        Days.
    seed
        Random seed of the sampled outcomes.
    """
    terms = ValueTerms(horizon, annual_discount_rate=0.0)
    outcome = sample_value(terms, seed)
    model, states = posterior.model(money=True), States.from_frame(known)
    index, cases = distinct_cases(states, posterior.assigned(states), money=True)
    order = np.argsort(index, kind="stable")
    observed, case = actual[order], index[order]
    columns = np.empty((3, len(order)))

    def evaluate(group: Group) -> Floats:
        expected_of = Evaluator(model, group, [expected_value(terms)])
        sampled_of = outcome(model, group)
        total = np.zeros(model.n_draws)
        for block in group.blocks():
            expected = expected_of(block)[0].mean(axis=1)
            first, last = np.searchsorted(case, [block.rows.start, block.rows.stop]).tolist()
            for rows in cut(slice(first, last), MAX_BLOCK):  # each customer has an outcome
                at = case[rows] - block.rows.start
                sampled = sampled_of(block[at], np.arange(rows.start, rows.stop, dtype=float))
                paid = observed[rows, None]
                columns[:, rows] = (
                    expected[at],
                    (sampled < paid).mean(axis=1),
                    (sampled <= paid).mean(axis=1),
                )
                total += sampled.sum(axis=0)
        return total

    total = sum(each_group(evaluate, cases), np.zeros(model.n_draws))
    in_callers_order = np.empty_like(columns)
    in_callers_order[:, order] = columns
    expected, below, up_to = in_callers_order
    return MoneyForecasts(actual, expected, below, up_to, total)


def scores_of(forecasts: MoneyForecasts) -> dict[str, Any]:
    """Return the scores of one method."""
    lower, upper = np.quantile(forecasts.total, arguments.tails(LEVEL)).tolist()
    return {
        "customers": len(forecasts.actual),
        "expected": float(forecasts.expected.sum()),
        "lower": lower,
        "upper": upper,
        "actual": float(forecasts.actual.sum()),
        "mae": float(np.abs(forecasts.expected - forecasts.actual).mean()),
        "gini": gini(forecasts.expected, forecasts.actual)
        / gini(forecasts.actual, forecasts.actual),
        "coverage_50": coverage(forecasts.below, forecasts.up_to, 0.5),
        "coverage_90": coverage(forecasts.below, forecasts.up_to, 0.9),
    }


def by_decile(forecasts: MoneyForecasts) -> pd.DataFrame:
    """Return mean expected and mean observed spend of ten groups of customers by expected spend."""
    order = np.argsort(forecasts.expected, kind="stable")
    groups = np.array_split(order, GROUPS)
    return pd.DataFrame(
        {
            "decile": np.arange(1, GROUPS + 1),
            "customers": [len(group) for group in groups],
            "expected": [forecasts.expected[group].mean() for group in groups],
            "actual": [forecasts.actual[group].mean() for group in groups],
        }
    )


def gini(score: Floats, paid: Floats) -> float:
    """Return the Gini coefficient of spend when customers are ranked by a score.

    It is twice the area between the diagonal and the Lorenz curve of ``paid`` in the order of
    ``score``; customers with equal scores get their mean spend. It is 0 if the score does not
    separate high spend from low.
    """
    _, tied = np.unique(score, return_inverse=True)
    mean = np.bincount(tied, paid) / np.bincount(tied)
    shared = mean[tied][np.argsort(score, kind="stable")]
    curve = np.concatenate([[0.0], np.cumsum(shared) / shared.sum()])
    return float(1 - 2 * np.trapezoid(curve, dx=1 / len(paid)))
