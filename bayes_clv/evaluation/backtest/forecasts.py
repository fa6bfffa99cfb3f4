"""Forecasts of each customer's purchases, scored against the observed numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.states import States
from bayes_clv.evaluation.backtest.scoring_rules import crps, log_scores, pit
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.posterior.count_distribution import outcome_probabilities
from bayes_clv.posterior.measures import probability_of_purchase, totals
from bayes_clv.posterior.state_groups import (
    Floats,
    Ints,
    StateGroup,
    distinct_states,
    each_group,
)
from bayes_clv.segments.rules import Codes


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
    parameters
        ``(segment + 1, draw)``; the population is last. All parts have equally many draws.
    codes
        ``(customer,)`` its segments of the customers.
    dropout
        When customers may leave.
    """

    weight: float
    parameters: Parameters
    codes: Codes
    dropout: Dropout


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
    most = int(outcomes.max(initial=0))
    laws = [_of_part(part, states, horizon, most, subsets) for part in parts]
    width = max(law.shape[1] for law, _ in laws)
    mixed = np.zeros((len(states), width))
    for part, (law, _) in zip(parts, laws, strict=True):
        mixed[:, : law.shape[1]] += part.weight * law
    summed = np.sum([part.weight * of for part, (_, of) in zip(parts, laws, strict=True)], axis=0)
    scored = dict(zip(_SCORED, _scored(mixed, outcomes), strict=True))
    return Forecasts(
        outcome=outcomes, expected_total=summed[-1], chance_totals=summed[:-1], **scored
    )


def _of_part(
    part: Part, states: States, horizon: float, most: int, subsets: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Each customer's law ``(customer, outcome)``; and totals ``(subset + 1, draw)``."""
    index, distinct = distinct_states(part.codes, states)
    n = len(distinct.code)
    everybody = np.ones(len(states))
    counts = np.stack([np.bincount(index, of, minlength=n) for of in (*subsets, everybody)])

    def evaluate(group: StateGroup) -> tuple[StateGroup, list[Floats], Floats]:
        of_segment = part.parameters[group.code]
        laws = []
        chances = np.zeros((len(subsets), len(of_segment.r)))
        asked = probability_of_purchase(horizon, part.dropout)(of_segment, group)
        for block in group.blocks():
            laws.append(outcome_probabilities(of_segment, block, horizon, part.dropout, most))
            chances += counts[:-1, block.rows] @ asked(block)
        expected = totals(of_segment, group, counts[-1, group.rows], horizon, part.dropout)[2]
        return group, laws, np.vstack([chances, expected])

    made = list(each_group(evaluate, distinct))
    listed = np.zeros((n, max(law.shape[1] for _, laws, _ in made for law in laws)))
    for group, laws, _ in made:
        for block, law in zip(group.blocks(), laws, strict=True):
            listed[block.rows, : law.shape[1]] = law
    return listed[index], np.sum([of for *_, of in made], axis=0)


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
