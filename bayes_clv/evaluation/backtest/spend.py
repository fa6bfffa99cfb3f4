"""Backtest of spend: fit to the past, forecast each customer's spend, compare with what was paid.

As :mod:`bayes_clv.evaluation.backtest.purchases` does for purchases; nothing is discounted. One
outcome is simulated for each customer and draw, so that the interval of the total covers both the
uncertainty of the parameters and chance.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayes_clv import arguments
from bayes_clv.data.rfm import customers
from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation.backtest.methods import POOLED, Method
from bayes_clv.evaluation.backtest.scoring_rules import coverage
from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.posterior.state_groups import (
    Floats,
    StateGroup,
    customers_in,
    cut,
    distinct_states,
    each_group,
)
from bayes_clv.posterior.value import expected_value, sample_value
from bayes_clv.segments.estimators import RFMSegmenter

LEVEL = 0.9  # of the interval of the total
GROUPS = 10
METHODS = (POOLED, Method("RFM", RFMSegmenter(), 4, options="--segments rfm --landmarks 4"))


@dataclass(frozen=True)
class MoneyForecasts:
    """Forecasts of each customer's spend, each ``(customer,)`` but the last.

    Attributes
    ----------
    actual
        What was paid.
    expected
        The predictive mean.
    below, up_to
        Shares of the simulated outcomes below, and not above, what was paid.
    total
        ``(draw,)`` total of all customers.
    """

    actual: Floats
    expected: Floats
    below: Floats
    up_to: Floats
    total: Floats


@dataclass(frozen=True)
class MoneyBacktest:
    """Forecasts of spend by each method, and their scores.

    Attributes
    ----------
    split
        Origin and horizon.
    table
        One row per method: expected total with the interval of the outcome, what was observed, MAE,
        Gini coefficient as a share of a perfect ranking's, coverage of the customers' own
        intervals.
    deciles
        Per method, customers in ten groups by expected spend: means of forecast and observed spend.
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


def backtest_money(
    transactions: Transactions,
    origin: dt.date | None = None,
    horizon: int | None = None,
    *,
    methods: Sequence[Method] = METHODS,
    draws: int = 1000,
    seed: int = 0,
    on_step: Callable[[str, int, int], None] = lambda words, done, total: None,
) -> MoneyBacktest:
    """Fit methods to the log up to a day, and score their forecasts of the days after it.

    Parameters
    ----------
    transactions
        A log with amounts.
    origin, horizon
        Where the past ends, by default the middle of the log, and days ahead, by default all.
    methods
        By default pooled, and RFM segments by landmarks.
    draws, seed
        Of the sampler, per chain.
    on_step
        Called with the fit that begins, the number of fits done, and of all fits.

    Raises
    ------
    InputError
        When the log has no amounts, or the days lie outside of it.
    """
    if not transactions.has_amounts:
        raise InputError("a backtest of money needs a log with amounts")
    start, end = transactions.start, transactions.end
    origin = origin or start + (end - start) / 2
    split = Split(origin, (end - origin).days if horizon is None else horizon)
    if not (start < split.origin and split.horizon >= 1 and split.end <= end):
        raise InputError(f"origin and horizon must lie within {start} and {end}: {split}")
    known, actual = spend_after(transactions, split)
    rows, deciles = [], []
    for done, method in enumerate(methods):
        on_step(method.name, done, len(methods))
        model = HierarchicalBetaGeo(method.segmenter, method.landmarks, dropout=method.dropout)
        posterior = model.fit(transactions.until(split.origin), draws=draws, seed=seed)
        made = forecast_money(posterior, known, actual, float(split.horizon), seed)
        sound = {"method": method.name, "sound": posterior.diagnostics.sound}
        rows.append(sound | scores_of(made))
        deciles.append(by_decile(made).assign(method=method.name))
    on_step("done", len(methods), len(methods))
    return MoneyBacktest(split, pd.DataFrame(rows), pd.concat(deciles, ignore_index=True))


def spend_after(transactions: Transactions, split: Split) -> tuple[pd.DataFrame, Floats]:
    """Customers at the origin, and what each of them paid in the days after it."""
    (now, then) = (
        customers(transactions.until(day)).set_index("customer_id")
        for day in (split.origin, split.end)
    )
    spent = (then.frequency * then.monetary_value).reindex(now.index)
    actual = (spent - now.frequency * now.monetary_value).to_numpy(dtype=float)
    return now.reset_index(), np.maximum(actual, 0.0)  # a negative rest is rounding


def forecast_money(
    posterior: Posterior, known: pd.DataFrame, actual: Floats, horizon: float, seed: int = 0
) -> MoneyForecasts:
    """Forecast what customers pay within the horizon, and compare it with what they paid.

    Parameters
    ----------
    posterior
        With spend.
    known
        Customers at the beginning.
    actual
        ``(customer,)`` what was paid.
    horizon
        Days.
    seed
        Of the simulated outcomes.
    """
    terms = ValueTerms(horizon, annual_discount_rate=0.0)
    expectation = expected_value(terms, posterior.dropout)
    life = sample_value(terms, posterior.dropout, seed)
    states = States.from_frame(known)
    index, distinct = distinct_states(posterior.codes(states), states)
    order = np.argsort(index, kind="stable")
    spend, paid, state = states.repeat_spend[order], actual[order], index[order]
    columns = np.empty((3, len(order)))

    def evaluate(group: StateGroup) -> Floats:
        of = posterior.parameters[group.code], posterior.spend_parameters[group.code]
        expect, live = (money(*of, group) for money in (expectation, life))
        total = np.zeros(len(of[0].r))
        for block in group.blocks():
            expected_of, life_of = expect(block), live(block)
            for here in cut(customers_in(block, state)):
                who = np.arange(here.start, here.stop, dtype=float)
                asked = (state[here] - block.rows.start, spend[here], who)
                drawn, observed = life_of(*asked), paid[here, None]
                columns[:, here] = (
                    expected_of(*asked).mean(axis=1),
                    (drawn < observed).mean(axis=1),
                    (drawn <= observed).mean(axis=1),
                )
                total += drawn.sum(axis=0)
        return total

    total = sum(each_group(evaluate, distinct), np.zeros(posterior.n_draws))
    in_callers_order = np.empty_like(columns)
    in_callers_order[:, order] = columns
    expected, below, up_to = in_callers_order
    return MoneyForecasts(actual, expected, below, up_to, total)


def scores_of(made: MoneyForecasts) -> dict[str, Any]:
    """Return the scores of one method."""
    lower, upper = np.quantile(made.total, arguments.tails(LEVEL)).tolist()
    return {
        "customers": len(made.actual),
        "expected": float(made.expected.sum()),
        "lower": lower,
        "upper": upper,
        "actual": float(made.actual.sum()),
        "mae": float(np.abs(made.expected - made.actual).mean()),
        "gini": gini(made.expected, made.actual) / gini(made.actual, made.actual),
        "coverage_50": coverage(made.below, made.up_to, 0.5),
        "coverage_90": coverage(made.below, made.up_to, 0.9),
    }


def by_decile(made: MoneyForecasts) -> pd.DataFrame:
    """Mean expected and mean actual spend of customers in ten groups by expected spend."""
    order = np.argsort(made.expected, kind="stable")
    groups = np.array_split(order, GROUPS)
    return pd.DataFrame(
        {
            "decile": np.arange(1, GROUPS + 1),
            "customers": [len(group) for group in groups],
            "expected": [made.expected[group].mean() for group in groups],
            "actual": [made.actual[group].mean() for group in groups],
        }
    )


def gini(score: Floats, paid: Floats) -> float:
    """Gini coefficient of ``paid`` when customers are ranked by ``score``.

    Twice the area between the Lorenz curve of ``paid`` in the order of ``score`` and the diagonal;
    customers with one score share what they paid.
    """
    _, tied = np.unique(score, return_inverse=True)
    mean = np.bincount(tied, paid) / np.bincount(tied)
    shared = mean[tied][np.argsort(score, kind="stable")]
    curve = np.concatenate([[0.0], np.cumsum(shared) / shared.sum()])
    return float(1 - 2 * np.trapezoid(curve, dx=1 / len(paid)))
