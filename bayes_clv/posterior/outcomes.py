"""Outcomes of customers, sampled: one for each draw.

Within a draw the customer first falls to one component of the mixture, a segment, and there starts
afresh or not (:mod:`bayes_clv.posterior.mixtures`). One uniform number chooses the component; where
it falls within the component's share it is uniform again, and chooses what happens there.

The number of purchases is sampled by inverting its distribution. Let N be the number of purchases
if the customer never left, which is negative binomial, and G the number of the purchase after which
the customer leaves, which is beta-geometric. With ρ = t/(α+T) and k = r+x

    P(outcome > m) = P(alive) P(N > m) P(G > m)
    P(N = 0) = (1+ρ)^−k,   P(N = m) = P(N = m−1) (k+m−1)/m ρ/(1+ρ)
    P(G > 0) = 1,          P(G > m) = P(G > m−1) (b+n+m−1)/(a+b+n+m−1)

so one uniform number gives the outcome, most often in the first step, and neither λ nor p need be
sampled (Johnson, Kemp & Kotz 2005, Univariate Discrete Distributions, chapters 5 and 6).

The *value* of what a customer buys is sampled purchase by purchase. The time to the next purchase
has a Lomax distribution, since rates are Gamma-distributed,

    P(gap > u) = (1 + u/(α+T))^−k,   k = r + x + purchases since T,   T counted up to the last one

after the purchase the customer leaves with probability a/(a + b + chances to leave so far). The
purchase costs Gamma(p, ν), with one ν ~ Gamma(px+q, v+mx) for all purchases of a draw.

Random numbers are keyed by seed and state: the outcomes for a state do not depend on the other
customers in the table.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bayes_clv.models import bgnbd
from bayes_clv.numerics.jit import compiled
from bayes_clv.numerics.keyed_random import (
    Keys,
    first_key,
    keyed,
    next_gamma,
    next_uniform,
    stream_of,
    uniform,
)
from bayes_clv.numerics.special import exp_non_positive, expm1, log1p
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.mixtures import ModelDraws, log_leaving_odds, not_left
from bayes_clv.posterior.state_groups import Floats, Group

# From the cases in a block to (case, draw). Values also take numbers (case,) that give cases with
# equal state and spend different random numbers; by default they share them.
type SampleBlock = Callable[..., Floats]
type Outcome = Callable[[ModelDraws, Group], SampleBlock]

_FEW = 100.0  # expected purchases; up to this many, inversion is the fastest way to sample


def sample_purchases(horizon: float, seed: int) -> Outcome:
    """Numbers of purchases within the horizon, distributed as in ``bgnbd.sample_purchases``."""

    def of_group(model: ModelDraws, group: Group) -> SampleBlock:
        components = _Components.of(model, group.frequency)

        def of_block(block: Group) -> Floats:
            keys = _keys_of(seed, block)
            values = np.empty((len(block), model.n_draws))
            law = _Law(*np.empty((len(_Law._fields), model.n_draws)))
            weights = _weights(block, model)
            for c in range(len(block)):
                _choose(keys[c], weights[c], components, block.recency[c], block.T[c], law)
                if horizon * (law.shape / law.since).max() <= _FEW:
                    _draw_purchases(law, horizon, values[c])
                else:
                    rng = np.random.default_rng(int(keys[c]))
                    drawn = bgnbd.sample_purchases_if_alive(
                        rng, law.shape, law.since, law.a, law.b, horizon
                    )
                    values[c] = np.where(law.chance < law.alive, drawn, 0)
            return values

        return of_block

    return of_group


def sample_value(terms: ValueTerms, seed: int) -> Outcome:
    """Values of the purchases within the horizon."""

    def of_group(model: ModelDraws, group: Group) -> SampleBlock:
        assert model.spend is not None  # the caller asks for money only of a model with spend
        components, spend = _Components.of(model, group.frequency), model.spend

        def of_block(block: Group, identity: Floats | None = None) -> Floats:
            identity = np.zeros(len(block)) if identity is None else identity
            keys = keyed(_keys_of(seed, block), block.spend, identity)
            values = np.empty((len(block), model.n_draws))
            law = _Law(*np.empty((len(_Law._fields), model.n_draws)))
            weights = _weights(block, model)
            known = ~np.isnan(block.spend)
            x = np.where(known, block.frequency, 0.0)
            spent = x * np.where(known, block.spend, 0.0)
            for c in range(len(block)):
                _choose_for_value(
                    keys[c], weights[c], components, block.recency[c], block.T[c], law
                )
                _draw_value(
                    keys[c], law, terms.horizon, terms.force, terms.margin, x[c], spent[c],
                    spend.p, spend.q, spend.v, values[c],
                )  # fmt: skip
            return values

        return of_block

    return of_group


class _Components(NamedTuple):
    """The parameters of the components for one frequency.

    Attributes
    ----------
    shape, alpha, a, b, log_odds
        ``(segment + 1, draw)`` r + x, α, a, b + n, and the ln odds of having left at once.
    fresh_b
        ``(segment + 1, draw)`` b of those who start afresh.
    chance, fresh_shape, fresh_alpha
        ``(draw,)`` ε, r_f and α_f; ε is 0 without reactivation.
    """

    shape: Floats
    alpha: Floats
    a: Floats
    b: Floats
    log_odds: Floats
    fresh_b: Floats
    chance: Floats
    fresh_shape: Floats
    fresh_alpha: Floats

    @classmethod
    def of(cls, model: ModelDraws, frequency: float) -> "_Components":
        of, some = model.parameters, model.reactivation
        odds = [log_leaving_odds(of[code], frequency, model.dropout) for code in range(len(of.r))]
        never, any_number = np.zeros(model.n_draws), np.ones(model.n_draws)
        fresh = (never, any_number, any_number)
        if some is not None:
            fresh = (some.probability, some.r, some.alpha)
        chances = model.dropout.chances(frequency)
        return cls(of.r + frequency, of.alpha, of.a, of.b + chances, np.stack(odds), of.b, *fresh)


class _Law(NamedTuple):
    """The law of one customer's future in each draw, ``(draw,)`` each.

    Attributes
    ----------
    chance
        A number that is uniform on (0, 1).
    alive
        P(alive).
    shape, since, a, b
        λ ~ Gamma(shape, since) and p ~ Beta(a, b), if alive.
    segment
        The code of the segment that the customer fell to.
    """

    chance: Floats
    alive: Floats
    shape: Floats
    since: Floats
    a: Floats
    b: Floats
    segment: Floats


def _weights(block: Group, model: ModelDraws) -> Floats:
    """``(case, segment + 1)``"""
    weights = np.zeros((len(block), model.n_segments))
    for code in block.memberships.present:
        weights[:, code] = block.memberships.of(code)
    return weights


def _keys_of(seed: int, block: Group) -> Keys:
    """Return one random key per case: cases with the same state share it."""
    keys = np.full(len(block), first_key(seed))
    return keyed(keys, *np.broadcast_arrays(block.frequency, block.recency, block.T))


@compiled
def _choose(
    key: np.uint64, weights: Floats, of: _Components, recency: float, T: float, law: _Law
) -> None:
    for d in range(len(law.chance)):
        _fall(uniform(key, d), d, weights, of, T, law)
    _fill_in_alive(recency, T, law)


@compiled
def _choose_for_value(
    key: np.uint64, weights: Floats, of: _Components, recency: float, T: float, law: _Law
) -> None:
    """Like ``_choose``, with the first number of each draw's own stream."""
    for d in range(len(law.chance)):
        chance, _ = next_uniform(stream_of(key, d))
        _fall(chance, d, weights, of, T, law)
    _fill_in_alive(recency, T, law)


@compiled
def _fall(chance: float, d: int, weights: Floats, of: _Components, T: float, law: _Law) -> None:
    """Choose a draw's component; ``law.alive`` gets the ln odds of having left at once."""
    s, last = 0, 0
    for k in range(len(weights)):
        if weights[k] > 0.0:
            last = k
    rest = chance
    while s < last and rest >= weights[s]:
        rest -= weights[s]
        s += 1
    within = min(rest / weights[s], _ALMOST_ONE)
    law.segment[d], law.a[d] = s, of.a[s, d]
    epsilon = of.chance[d]
    if within < epsilon:
        law.chance[d], law.alive[d] = within / epsilon, -np.inf
        law.shape[d], law.since[d] = of.fresh_shape[d], of.fresh_alpha[d]
        law.b[d] = of.fresh_b[s, d]
    else:
        law.chance[d], law.alive[d] = (within - epsilon) / (1.0 - epsilon), of.log_odds[s, d]
        law.shape[d], law.since[d] = of.shape[s, d], of.alpha[s, d] + T
        law.b[d] = of.b[s, d]


@compiled
def _fill_in_alive(recency: float, T: float, law: _Law) -> None:
    """Replace the ln odds in ``law.alive`` by P(alive)."""
    idle = T - recency
    for d in range(len(law.alive)):
        if law.alive[d] == -np.inf:
            law.alive[d] = 1.0
        else:
            silence = log1p(idle / (law.since[d] - idle))  # ln (α+T)/(α+t_x)
            law.alive[d] = not_left(law.alive[d] + law.shape[d] * silence)


@compiled
def _draw_purchases(law: _Law, horizon: float, values: Floats) -> None:
    for d in range(len(values)):
        shape, reach = law.shape[d], horizon / law.since[d]
        log_none = -shape * log1p(reach)
        alive, more = law.alive[d], -expm1(log_none)  # P(N > m)
        m = 0.0
        if law.chance[d] < alive * more:
            exactly, stays = exp_non_positive(log_none), 1.0  # P(N = m), P(G > m)
            while law.chance[d] < alive * more * stays and exactly > 0.0:
                m += 1.0
                exactly *= (shape + (m - 1.0)) / m * (reach / (1.0 + reach))
                more -= exactly
                stays *= (law.b[d] + (m - 1.0)) / (law.a[d] + law.b[d] + (m - 1.0))
        values[d] = m


@compiled
def _draw_value(
    key: np.uint64,
    law: _Law,
    horizon: float,
    force: float,
    margin: float,
    x: float,
    spent: float,
    p: Floats,
    q: Floats,
    v: Floats,
    values: Floats,
) -> None:
    """Fill in a sampled value of one customer's purchases within the horizon, for each draw.

    ``p``, ``q`` and ``v`` are ``(segment + 1, draw)``.
    """
    for d in range(len(values)):
        s, k, then, staying = int(law.segment[d]), law.shape[d], law.since[d], law.b[d]
        buys = law.alive[d] * -expm1(-k * log1p(horizon / then))
        value, chance = 0.0, law.chance[d]
        if chance < buys:
            # Below P(alive) the same number is uniform, so it also gives the time of the first
            # purchase.
            _, stream = next_uniform(stream_of(key, d))
            elapsed = then * math.expm1(-math.log(1.0 - chance / law.alive[d]) / k)
            rate, stream = next_gamma(p[s, d] * x + q[s, d], stream)
            while elapsed <= horizon:
                amount, stream = next_gamma(p[s, d], stream)
                value += amount * math.exp(-force * elapsed)
                chance, stream = next_uniform(stream)
                if chance * (law.a[d] + staying) < law.a[d]:
                    break
                k, staying = k + 1.0, staying + 1.0
                chance, stream = next_uniform(stream)
                elapsed += (then + elapsed) * math.expm1(-math.log(chance) / k)
            value *= margin * (v[s, d] + spent) / rate
        values[d] = value


_ALMOST_ONE = float(np.nextafter(1.0, 0.0))
