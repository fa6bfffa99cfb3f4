"""Forecasts of each customer's purchases, scored against the observed numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.states import States
from bayes_clv.evaluation.backtest.scoring_rules import crps, log_scores, pit
from bayes_clv.posterior.count_distribution import added, outcome_probabilities
from bayes_clv.posterior.mixtures import (
    Evaluator,
    ModelDraws,
    expected_purchases,
    probability_of_purchase,
)
from bayes_clv.posterior.state_groups import (
    Assigned,
    Cases,
    Floats,
    Group,
    Ints,
    distinct_rows,
    each_group,
)


@dataclass(frozen=True)
class Forecasts:
    """Forecasts and their scores, ``(customer,)`` each, except for the totals.

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
    chance_totals
        ``(subset, draw)`` sum over each subset's customers of the chance of a purchase.
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
    chance_totals: Floats

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


@dataclass(frozen=True, slots=True)
class Part:
    """One model of a mixture of models.

    Attributes
    ----------
    weight
        Of the model; those of all parts add up to 1.
    model
        Its draws; all parts have equally many.
    assigned
        ``(customer,)`` its segments of the customers.
    """

    weight: float
    model: ModelDraws
    assigned: Assigned


def forecast(
    parts: Sequence[Part],
    states: States,
    outcomes: Ints,
    horizon: float,
    subsets: NDArray[np.bool_] | None = None,
) -> Forecasts:
    """Forecast purchases within the horizon from states, and score them against outcomes.

    Parameters
    ----------
    parts
        One model, or several whose forecasts are mixed for each customer.
    states
        ``(customer,)`` states at the origin.
    outcomes
        ``(customer,)`` observed purchases.
    horizon
        Days.
    subsets
        ``(subset, customer)`` whose chances are added up within each draw; none by default.
    """
    subsets = np.zeros((0, len(states)), dtype=bool) if subsets is None else subsets
    index, cases_of = _common_cases([part.assigned for part in parts], states)
    n = len(cases_of[0])
    # Customers of equal case and outcome have equal forecasts and scores.
    width = int(outcomes.max(initial=0)) + 1
    pairs, pair = np.unique(index * width + outcomes, return_inverse=True)
    case, outcome = pairs // width, pairs % width
    columns = np.empty((len(_SCORED), len(pairs)))
    everybody = np.ones(len(states), dtype=bool)
    counts = np.stack([np.bincount(index, of, minlength=n) for of in (*subsets, everybody)])
    asked = (probability_of_purchase(horizon), expected_purchases(horizon))

    def evaluate(group: Group) -> Floats:
        evaluators = [
            Evaluator(part.model, group_of(p, group), asked) for p, part in enumerate(parts)
        ]
        totals = np.zeros((len(counts), parts[0].model.n_draws))
        for block in group.blocks():
            rows = slice(*np.searchsorted(case, [block.rows.start, block.rows.stop]).tolist())
            y = outcome[rows]
            listed = np.zeros((len(block), 0))
            for p, part in enumerate(parts):
                own = group_of(p, block)
                of_part = outcome_probabilities(part.model, own, horizon, int(y.max()))
                listed = added(listed, part.weight * of_part)
                chance, expected = evaluators[p](own)
                here = part.weight * counts[:, block.rows]
                totals[:-1] += here[:-1] @ chance
                totals[-1] += here[-1] @ expected
            columns[:, rows] = _scored(listed[case[rows] - block.rows.start], y)
        return totals

    def group_of(p: int, group: Group) -> Group:
        """The same cases with the memberships of a part."""
        return Group.of(cases_of[p], group.rows)

    nothing = np.zeros((len(counts), parts[0].model.n_draws))
    totals = sum(each_group(evaluate, cases_of[0]), nothing)
    scored = dict(zip(_SCORED, columns[:, pair], strict=True))
    return Forecasts(
        outcome=outcomes, expected_total=totals[-1], chance_totals=totals[:-1], **scored
    )


def _common_cases(assigned: Sequence[Assigned], states: States) -> tuple[Ints, list[Cases]]:
    """Return each customer's index into cases that are distinct for all parts, and each part's."""
    spend = states.known_spend
    if all(of.soft is None for of in assigned):
        spend = np.full(len(states), np.nan)
    index, first = distinct_rows(
        states.frequency, states.T, states.recency, spend, *(of.codes for of in assigned)
    )
    at = States(states.frequency[first], states.recency[first], states.T[first], spend[first])
    return index, [
        Cases(at.frequency, at.T, at.recency, at.monetary_value, of[first].memberships(at))
        for of in assigned
    ]


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
