r"""Lives of the landmark model: the generative reading of its likelihood.

From the first purchase on customers live by θ₀, the population's parameters. At each landmark c
after it a rule that was fixed beforehand reads a segment off the state, s = S(h), h = (x, t_x, T),
and what is unknown of the customer is drawn anew from what h says of it under θ_s:

    alive ~ Bernoulli(P(alive | h, θ_s))
    λ, p | alive ~ Gamma(r + x, α + T),   Beta(a, b + n)
    λ, p | gone  ~ Gamma(r + x, α + t_x), Beta(a + 1, b + n − 1)

with n chances to leave; see :mod:`bayes_clv.models.bgnbd`. Then life goes on as before. So the
density of all states is that of :mod:`bayes_clv.inference.landmarks`, factor by factor: what is
drawn between two landmarks depends on the past through h alone, as ll(h(c_k) | θ_s) − ll(h(c_{k−1})
| θ_s) says. With equal parameters everywhere drawing anew changes nothing, and lives are ordinary
ones.

A customer who was gone may be alive after a landmark. That is no resurrection: (alive, λ, p) is not
the customer's, but what a model that conditions on h can know.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayes_clv.data.states import States
from bayes_clv.evaluation.simulate.lives import Flags, Ids, Lives, simulate_lives
from bayes_clv.models.bgnbd import Dropout, Floats, Parameters, probability_alive
from bayes_clv.segments.rules import POPULATION, Codes, SegmentRule


@dataclass(frozen=True, slots=True)
class Segmented:
    """What customers live by once a landmark has put them in a segment.

    Attributes
    ----------
    rule
        Which segment a state belongs to; it must not have been learnt from these customers.
    parameters
        r, α (days), a, b ``(segment,)``, in the order of the rule's codes.
    """

    rule: SegmentRule
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class LandmarkLives:
    """Lives up to the last landmark, and the states on the way.

    Attributes
    ----------
    lives
        At the last landmark, (alive, λ, p) as drawn there.
    code
        ``(customer,)`` the segment that they were drawn by there; ``POPULATION`` of those who first
        bought at the last landmark or after it.
    history
        What :func:`bayes_clv.inference.landmarks.landmark_table` reads, one row for each landmark
        and customer with T > 0: customer_id (the position, from 0), landmark, frequency, recency, T
        and code.
    """

    lives: Lives
    code: Codes
    history: pd.DataFrame


def simulate_landmarks(
    population: Parameters,
    segmented: Segmented,
    first: ArrayLike,
    landmarks: Sequence[float] | NDArray[np.int64],
    *,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    rng: np.random.Generator,
) -> LandmarkLives:
    """Draw customers and let them live from their first purchase to the last landmark.

    Parameters
    ----------
    population
        r, α (days), a, b up to the first landmark after the first purchase: scalars.
    segmented
        The rule and the parameters from there on.
    first
        ``(customer,)`` when they first buy, days from any beginning.
    landmarks
        When segments are read off, ascending, in days from the same beginning.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD).
    """
    first = np.asarray(first, dtype=float)
    lives = simulate_lives(population, np.zeros_like(first), dropout=dropout, rng=rng)
    code = np.full(len(first), POPULATION, dtype=np.int64)
    history = []
    for landmark in landmarks:
        lives = lives.until(np.maximum(landmark - first, 0.0), rng)
        here = np.flatnonzero(lives.T > 0)
        states = _of(lives.states, here)
        code[here] = segmented.rule.assign(states)
        lives = _drawn_anew(rng, lives, here, segmented.parameters[code[here]], states, dropout)
        history.append(
            pd.DataFrame(
                {
                    "customer_id": here,
                    "landmark": landmark,
                    "frequency": states.frequency,
                    "recency": states.recency,
                    "T": states.T,
                    "code": code[here],
                }
            )
        )
    return LandmarkLives(lives, code, pd.concat(history, ignore_index=True))


def draw_latents(
    rng: np.random.Generator,
    parameters: Parameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> tuple[Floats, Floats, Flags]:
    """Draw λ, p and who is alive, each ``(customer,)``, given histories and parameters."""
    x, t_x, T = (np.asarray(value, dtype=float) for value in (frequency, recency, T))
    alive = rng.random(T.shape) < probability_alive(parameters, x, t_x, T, dropout)
    rate = rng.gamma(parameters.r + x) / (parameters.alpha + np.where(alive, T, t_x))
    left = (~alive).astype(float)
    leaving = rng.beta(parameters.a + left, parameters.b + dropout.chances(x) - left)
    return rate, leaving, alive


def _drawn_anew(
    rng: np.random.Generator,
    lives: Lives,
    here: Ids,
    parameters: Parameters,
    states: States,
    dropout: Dropout,
) -> Lives:
    """Replace (alive, λ, p) of some customers, whose states and parameters are given."""
    rate, leaving, alive = lives.rate.copy(), lives.leaving.copy(), lives.alive.copy()
    rate[here], leaving[here], alive[here] = draw_latents(
        rng, parameters, states.frequency, states.recency, states.T, dropout
    )
    return replace(lives, rate=rate, leaving=leaving, alive=alive)


def _of(states: States, customers: Ids) -> States:
    return States(
        states.frequency[customers],
        states.recency[customers],
        states.T[customers],
        states.monetary_value[customers],
    )
