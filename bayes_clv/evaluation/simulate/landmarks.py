r"""Simulation of the landmark model: the generative form of its likelihood.

From the first purchase on, a customer has θ₀, the population's parameters. At each landmark c after
it, a rule that was fixed beforehand assigns the state h = (x, t_x, T) to a segment, s = S(h), and
the customer's latent variables are drawn again from their distribution given h and θ_s:

    alive ~ Bernoulli(P(alive | h, θ_s))
    λ, p | alive ~ Gamma(r + x, α + T),   Beta(a, b + n)
    λ, p | gone  ~ Gamma(r + x, α + t_x), Beta(a + 1, b + n − 1)

with n chances to leave; see :mod:`bayes_clv.models.bgnbd`. Then the simulation continues as before.
The density of all states is therefore that of :mod:`bayes_clv.inference.landmarks`, factor by
factor: what happens between two landmarks depends on the past through h alone, with the log density
ll(h(c_k) | θ_s) − ll(h(c_{k−1}) | θ_s). If all parameters are equal, drawing again changes nothing,
and the histories are those of the BG/NBD or MBG/NBD.

With reactivation (:mod:`bayes_clv.models.reactivation`) a customer starts afresh at each landmark
with a probability ε, whatever h is: alive, with λ ~ Gamma(r_f, α_f) and p ~ Beta(a, b); all others
are drawn from their h as above, the whole of it. So the density of what happens until the next
landmark is that of :mod:`bayes_clv.inference.stretches`.

A customer who was gone may be alive after a landmark. This is not a contradiction: (alive, λ, p)
does not describe the customer, but what a model that conditions on h can know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayes_clv import arguments
from bayes_clv.data.described import Described
from bayes_clv.data.states import States
from bayes_clv.evaluation.simulate.lives import Flags, Ids, Lives, simulate_lives
from bayes_clv.models.bgnbd import Dropout, Floats, Parameters, probability_alive
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.segments.rules import POPULATION, Codes, SegmentRule


@dataclass(frozen=True, slots=True)
class Segmented:
    """The segments of a simulation, and the parameters of each.

    Attributes
    ----------
    rule
        Assigns a state to a segment; it must not have been learnt from these customers.
    parameters
        r, α (days), a, b ``(segment,)``, in the order of the rule's codes.
    reactivation
        Scalars, α in days; None where nobody starts afresh.
    """

    rule: SegmentRule
    parameters: Parameters
    reactivation: Reactivation | None = None


@dataclass(frozen=True, slots=True, repr=False)
class LandmarkLives(Described):
    """Simulated histories up to the last landmark, and the states at all landmarks.

    Attributes
    ----------
    lives
        The histories up to the last landmark, with (alive, λ, p) as drawn there.
    code
        ``(customer,)`` the segment at the last landmark; ``POPULATION`` for customers who first
        bought at the last landmark or after it.
    history
        The input of :func:`bayes_clv.inference.landmarks.landmark_table`, one row per landmark and
        customer with T > 0: customer_id (the position, from 0), landmark, frequency, recency, T and
        code.
    """

    lives: Lives
    code: Codes
    history: pd.DataFrame

    def _facts(self) -> Mapping[str, object]:
        return {"customers": len(self.code), "states": len(self.history)}


def simulate_landmarks(
    population: Parameters,
    segmented: Segmented,
    first: ArrayLike,
    landmarks: Sequence[float] | NDArray[np.int64],
    *,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    rng: np.random.Generator,
) -> LandmarkLives:
    """Simulate customers from their first purchase to the last landmark.

    Parameters
    ----------
    population
        r, α (days), a, b until the first landmark after the first purchase: scalars.
    segmented
        The rule and the parameters from that landmark on.
    first
        ``(customer,)`` time of the first purchase, in days from any origin.
    landmarks
        Times at which segments are assigned, ascending, in days from the same origin.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD).
    """
    arguments.instance("population", population, Parameters)
    arguments.instance("segmented", segmented, Segmented)
    first = np.asarray(first, dtype=float)
    lives = simulate_lives(population, np.zeros_like(first), dropout=dropout, rng=rng)
    code = np.full(len(first), POPULATION, dtype=np.int64)
    history = []
    for landmark in landmarks:
        lives = lives.until(np.maximum(landmark - first, 0.0), rng)
        present = np.flatnonzero(lives.T > 0)
        states = _select(lives.states, present)
        code[present] = segmented.rule.assign(states)
        latents = draw_latents(
            rng,
            segmented.parameters[code[present]],
            states.frequency,
            states.recency,
            states.T,
            dropout,
            segmented.reactivation,
        )
        lives = _with_latents(lives, present, latents)
        history.append(
            pd.DataFrame(
                {
                    "customer_id": present,
                    "landmark": landmark,
                    "frequency": states.frequency,
                    "recency": states.recency,
                    "T": states.T,
                    "code": code[present],
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
    reactivation: Reactivation | None = None,
) -> tuple[Floats, Floats, Flags]:
    """Draw λ, p and alive, each ``(customer,)``, given states and parameters.

    With ``reactivation``, for a time that begins at T; it may start afresh.
    """
    dropout = arguments.member("dropout", dropout, Dropout)
    x, t_x, T = (np.asarray(value, dtype=float) for value in (frequency, recency, T))
    alive = rng.random(T.shape) < probability_alive(parameters, x, t_x, T, dropout)
    rate = rng.gamma(parameters.r + x) / (parameters.alpha + np.where(alive, T, t_x))
    left = (~alive).astype(float)
    leaving = rng.beta(parameters.a + left, parameters.b + dropout.chances(x) - left)
    if reactivation is None:
        return rate, leaving, alive
    afresh = rng.random(T.shape) < reactivation.probability
    new = reactivation.afresh(parameters)
    rate = np.where(afresh, rng.gamma(new.r, size=T.shape) / new.alpha, rate)
    leaving = np.where(afresh, rng.beta(new.a, new.b, size=T.shape), leaving)
    return rate, leaving, alive | afresh


def _with_latents(lives: Lives, customers: Ids, latents: tuple[Floats, Floats, Flags]) -> Lives:
    """Replace (λ, p, alive) of the given customers."""
    rate, leaving, alive = lives.rate.copy(), lives.leaving.copy(), lives.alive.copy()
    rate[customers], leaving[customers], alive[customers] = latents
    return replace(lives, rate=rate, leaving=leaving, alive=alive)


def _select(states: States, customers: Ids) -> States:
    return States(
        states.frequency[customers],
        states.recency[customers],
        states.T[customers],
        states.monetary_value[customers],
    )
