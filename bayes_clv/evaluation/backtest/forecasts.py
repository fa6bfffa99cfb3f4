"""Forecasts of each customer's purchases, scored against the observed numbers."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.states import States
from bayes_clv.evaluation.backtest.scoring_rules import crps, log_scores, pit
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.posterior.count_distribution import outcome_probabilities
from bayes_clv.posterior.measures import totals
from bayes_clv.posterior.state_groups import (
    Floats,
    Ints,
    StateGroup,
    customers_in,
    distinct_states,
    each_group,
)
from bayes_clv.segments.rules import Codes


@dataclass(frozen=True)
class Forecasts:
    """Forecasts and their scores, ``(customer,)`` each, except for ``expected_total``.

    Attributes
    ----------
    outcome
        Observed purchases.
    expected, variance
        Mean and variance of the predictive distribution.
    chance
        Forecast probability of at least one purchase.
    log_score, crps
        Proper scores; see :mod:`bayes_clv.evaluation.backtest.scoring_rules`.
    below, up_to
        F(outcome − 1) and F(outcome), F being the predictive distribution function.
    expected_total
        ``(draw,)`` sum of the expected purchases of all customers.
    """

    outcome: Ints
    expected: Floats
    variance: Floats
    chance: Floats
    log_score: Floats
    crps: Floats
    below: Floats
    up_to: Floats
    expected_total: Floats

    @property
    def happened(self) -> NDArray[np.bool_]:
        """Whether each customer bought within the horizon."""
        return self.outcome > 0

    def total_interval(self, level: float, seed: int = 0) -> tuple[float, float]:
        """Return the interval of all customers' total; it holds the uncertainty of θ and chance."""
        noise = np.random.default_rng(seed).standard_normal(len(self.expected_total))
        draws = self.expected_total + np.sqrt(self.variance.sum()) * noise
        lower, upper = np.quantile(draws, arguments.tails(level))
        return float(lower), float(upper)


def forecast(
    parameters: Parameters,
    codes: Codes,
    states: States,
    outcomes: Ints,
    horizon: float,
    dropout: Dropout,
) -> Forecasts:
    """Forecast purchases within the horizon from states, and score them against outcomes.

    Parameters
    ----------
    parameters
        ``(segment + 1, draw)``; the population is last.
    codes, states
        ``(customer,)`` segments, and states at the origin.
    outcomes
        ``(customer,)`` observed purchases.
    horizon
        Days.
    dropout
        When customers may leave.
    """
    index, distinct = distinct_states(codes, states)
    # Customers with equal state and outcome have equal forecasts and scores.
    width = int(outcomes.max(initial=0)) + 1
    pairs, pair = np.unique(index * width + outcomes, return_inverse=True)
    state, outcome = pairs // width, pairs % width
    columns = np.empty((len(_SCORED), len(pairs)))
    count = np.bincount(index, minlength=len(distinct.code)).astype(float)

    def evaluate(group: StateGroup) -> Floats:
        of_segment = parameters[group.code]
        for block in group.blocks():
            rows = customers_in(block, state)
            y = outcome[rows]
            listed = outcome_probabilities(of_segment, block, horizon, dropout, int(y.max()))
            columns[:, rows] = _scored(listed[state[rows] - block.rows.start], y)
        return cast(Floats, totals(of_segment, group, count[group.rows], horizon, dropout)[2])

    expected_total = sum(each_group(evaluate, distinct), np.zeros(parameters.r.shape[1]))
    scored = dict(zip(_SCORED, columns[:, pair], strict=True))
    return Forecasts(outcome=outcomes, expected_total=expected_total, **scored)


_SCORED = ("expected", "variance", "chance", "log_score", "crps", "below", "up_to")


def _scored(probabilities: Floats, outcomes: Ints) -> Floats:
    counts = np.arange(probabilities.shape[1])
    expected = probabilities @ counts
    return np.stack(
        [
            expected,
            probabilities @ counts**2 - expected**2,
            1 - probabilities[:, 0],
            log_scores(probabilities, outcomes),
            crps(probabilities, outcomes),
            *pit(probabilities, outcomes),
        ]
    )
