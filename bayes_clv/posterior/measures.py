"""The measures of :mod:`bayes_clv.models.bgnbd`, vectorised over many states and all draws.

Every measure is P(alive) times a quantity that is conditional on being alive and does not depend on
recency. A measure first computes, for a whole group of states, what these share: the quadrature
over p, and all that depends on T alone. It then evaluates the group block by block.

An outcome is sampled by inverting its distribution. Let N be the number of purchases if the
customer never left, which is negative binomial, and G the number of the purchase after which the
customer leaves, which is beta-geometric. With ρ = t/(α+T) and k = r+x

    P(outcome > m) = P(alive) P(N > m) P(G > m)
    P(N = 0) = (1+ρ)^−k,   P(N = m) = P(N = m−1) (k+m−1)/m ρ/(1+ρ)
    P(G > 0) = 1,          P(G > m) = P(G > m−1) (b+n+m−1)/(a+b+n+m−1)

so one uniform number gives the outcome, most often in the first step, and neither λ nor p need be
sampled (Johnson, Kemp & Kotz 2005, Univariate Discrete Distributions, chapters 5 and 6). Random
numbers are keyed by seed and state: the outcomes for a state do not depend on the other customers
in the table.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import TINY, Dropout, Parameters
from bayes_clv.numerics.chebyshev import OfTime, smooth_in_T
from bayes_clv.numerics.jit import compiled, compiled_sums
from bayes_clv.numerics.keyed_random import Keys, first_key, keyed, uniform
from bayes_clv.numerics.special import exp_non_positive, expm1, log1p, log_positive
from bayes_clv.posterior.discounting import Discounting, undiscounted
from bayes_clv.posterior.state_groups import StateGroup

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]
type OfBlock = Callable[[StateGroup], Floats]  # to (state, draw)

# Both take the draws of the group's segment. IfAlive gives a quantity conditional on being alive.
type IfAlive = Callable[[Parameters, StateGroup], OfTime]
type Measure = Callable[[Parameters, StateGroup], OfBlock]

_FEW = 100.0  # expected purchases; up to this many, inversion is the fastest way to sample
_MOST = 700.0  # ln odds of having left; beyond this, P(alive) is set to 0


def probability_alive(dropout: Dropout) -> Measure:
    """Like the function of this name in :mod:`bayes_clv.models.bgnbd`."""

    def measure(parameters: Parameters, group: StateGroup) -> OfBlock:
        r, alpha, a, b = parameters.r, parameters.alpha, parameters.a, parameters.b
        log_odds = np.empty_like(a)
        _leaving_odds(a, b, float(dropout.chances(group.frequency)), log_odds)
        shape = r + group.frequency

        def evaluate(block: StateGroup) -> Floats:
            values = np.empty((len(block.T), len(r)))
            _alive(shape, alpha, log_odds, block.recency, block.T, values)
            return values

        return evaluate

    return measure


def purchase_if_alive(horizon: float) -> IfAlive:
    """P(at least one purchase in (T, T + horizon]), given that the customer is alive."""

    def if_alive(parameters: Parameters, group: StateGroup) -> OfTime:
        shape = parameters.r + group.frequency

        def of_time(T: Floats) -> Floats:
            values = np.empty((len(T), len(shape)))
            _purchase_if_alive(shape, parameters.alpha, T, horizon, values)
            return values

        return of_time

    return if_alive


def expected_purchases_if_alive(
    horizon: float, dropout: Dropout, discounting: Discounting = undiscounted
) -> IfAlive:
    """Like the function of this name in :mod:`bayes_clv.models.bgnbd`; optionally discounted."""

    def if_alive(parameters: Parameters, group: StateGroup) -> OfTime:
        shape = parameters.r + group.frequency
        a, b = parameters.a, parameters.b + dropout.chances(group.frequency)
        p, weight = np.empty((2, bgnbd.NODES, len(a)))
        _leaving_quadrature(a, b, *bgnbd.quadrature_range(a, b), p, weight)
        times, weights = discounting(horizon, float(parameters.alpha.min() + group.T.min()))

        def of_time(T: Floats) -> Floats:
            values = np.zeros((len(T), len(shape)))
            for until, share in zip(times.tolist(), weights.tolist(), strict=True):
                _add_expected(shape, parameters.alpha, p, weight, T, until, share, values)
            return values

        return smooth_in_T(
            of_time, group.T, float(parameters.alpha.min()), float(shape.max()), horizon
        )

    return if_alive


def probability_of_purchase(horizon: float, dropout: Dropout) -> Measure:
    """Like the function of this name in :mod:`bayes_clv.models.bgnbd`."""
    return _times(probability_alive(dropout), purchase_if_alive(horizon))


def expected_purchases(
    horizon: float, dropout: Dropout, discounting: Discounting = undiscounted
) -> Measure:
    """Like the function of this name in :mod:`bayes_clv.models.bgnbd`; relative error 1e-12."""
    if_alive = expected_purchases_if_alive(horizon, dropout, discounting)
    return _times(probability_alive(dropout), if_alive)


def sample_purchases(horizon: float, dropout: Dropout, seed: int) -> Measure:
    """Sampled numbers of purchases, one per draw, distributed as in ``bgnbd.sample_purchases``."""
    alive, purchase = probability_alive(dropout), purchase_if_alive(horizon)

    def measure(parameters: Parameters, group: StateGroup) -> OfBlock:
        alive_of, purchase_of = alive(parameters, group), purchase(parameters, group)
        shape, alpha = parameters.r + group.frequency, parameters.alpha
        b = parameters.b + dropout.chances(group.frequency)

        def evaluate(block: StateGroup) -> Floats:
            keys, outcomes = keys_of(seed, block), alive_of(block)
            T, index = distinct_times(block.T)
            few = horizon * shape.max() / (alpha.min() + block.T) <= _FEW
            more = purchase_of(T)
            _draw(keys, few, shape, alpha, parameters.a, b, T, index, horizon, more, outcomes)
            for s in np.flatnonzero(~few):
                outcomes[s] = bgnbd.sample_purchases(
                    np.random.default_rng(int(keys[s])),
                    parameters,
                    block.frequency,
                    block.recency[s],
                    block.T[s],
                    horizon,
                    dropout,
                )
            return outcomes

        return evaluate

    return measure


def alive_and_purchase(
    parameters: Parameters,
    frequency: float,
    recency: float,
    T: float,
    horizon: float,
    dropout: Dropout,
) -> Floats:
    """P(alive) and P(purchase) of one customer, ``(2, draw)``, in one pass over the draws."""
    values = np.empty((2, len(parameters.r)))
    _alive_and_purchase(
        parameters.r,
        parameters.alpha,
        parameters.a,
        parameters.b,
        frequency,
        float(dropout.chances(frequency)),
        recency,
        T,
        horizon,
        values,
    )
    return values


def totals(
    parameters: Parameters, group: StateGroup, count: Floats, horizon: float, dropout: Dropout
) -> Floats:
    """Sum P(alive), P(purchase) and expected purchases over the customers of a group.

    Parameters
    ----------
    count
        ``(state,)`` number of customers in each state.

    Returns
    -------
    ``(3, draw)``
    """
    sums = np.zeros((3, len(parameters.r)))
    alive = probability_alive(dropout)(parameters, group)
    purchase = purchase_if_alive(horizon)(parameters, group)
    expected = expected_purchases_if_alive(horizon, dropout)(parameters, group)
    for block in group.blocks():
        T, index = distinct_times(block.T)
        first = block.rows.start - group.rows.start
        weight = count[first : first + len(index)]
        _add(alive(block), purchase(T), expected(T), index, weight, sums)
    return sums


def _times(alive: Measure, if_alive: IfAlive) -> Measure:
    """P(alive) times a quantity conditional on being alive."""

    def measure(parameters: Parameters, group: StateGroup) -> OfBlock:
        alive_of, of_time = alive(parameters, group), if_alive(parameters, group)

        def evaluate(block: StateGroup) -> Floats:
            values = alive_of(block)
            T, index = distinct_times(block.T)
            _multiply(values, of_time(T), index)
            return values

        return evaluate

    return measure


def distinct_times(T: Floats) -> tuple[Floats, Ints]:
    """Return the distinct values of sorted times, and each time's index into them."""
    new = np.diff(T, prepend=-1.0) != 0
    return T[new], np.cumsum(new) - 1


def keys_of(seed: int, block: StateGroup) -> Keys:
    """Return one random key per state."""
    keys = np.full(len(block.T), first_key(seed))
    return keyed(keys, *np.broadcast_arrays(block.frequency, block.recency, block.T))


@compiled
def _leaving_odds(a: Floats, b: Floats, n: float, log_odds: Floats) -> None:
    """Fill in ``bgnbd.log_leaving_odds``."""
    for d in range(len(a)):
        log_odds[d] = log_positive(a[d] / (b[d] + (n - 1.0))) if n > 0 else -np.inf


@compiled
def _alive(
    shape: Floats, alpha: Floats, log_odds: Floats, recency: Floats, T: Floats, values: Floats
) -> None:
    for s in range(len(T)):
        t_x, idle = recency[s], T[s] - recency[s]
        for d in range(len(shape)):
            values[s, d] = _not_left(log_odds[d] + shape[d] * log1p(idle / (alpha[d] + t_x)))


@compiled
def _not_left(u: float) -> float:
    """P(alive) from the ln odds of having left."""
    size = abs(u)
    small = exp_non_positive(-size) if size < _MOST else 0.0
    return (small if u > 0 else 1.0) / (1.0 + small)


@compiled
def _purchase_if_alive(
    shape: Floats, alpha: Floats, T: Floats, horizon: float, values: Floats
) -> None:
    for i in range(len(T)):
        for d in range(len(shape)):
            values[i, d] = -expm1(-shape[d] * log1p(horizon / (alpha[d] + T[i])))


@compiled
def _alive_and_purchase(
    r: Floats,
    alpha: Floats,
    a: Floats,
    b: Floats,
    x: float,
    n: float,
    t_x: float,
    T: float,
    horizon: float,
    values: Floats,
) -> None:
    for d in range(len(r)):
        shape = r[d] + x
        u = shape * log1p((T - t_x) / (alpha[d] + t_x))
        if n > 0:
            u += log_positive(a[d] / (b[d] + (n - 1.0)))
        alive = _not_left(u) if n > 0 else 1.0
        values[0, d] = alive
        values[1, d] = alive * -expm1(-shape * log1p(horizon / (alpha[d] + T)))


@compiled
def _leaving_quadrature(
    a: Floats,
    b: Floats,
    mode: Floats,
    width: Floats,
    first: Floats,
    last: Floats,
    p: Floats,
    weight: Floats,
) -> None:
    """Fill in ``bgnbd.leaving_quadrature``, each weight divided by its p."""
    most, total = np.full_like(a, -np.inf), np.zeros_like(a)
    for j in range(len(p)):
        for d in range(len(a)):
            s = first[d] + (last[d] - first[d]) * (j / (len(p) - 1))
            e = exp_non_positive(-abs(s))
            y = mode[d] + width[d] * ((0.5 if s > 0 else -0.5) * (1.0 / e - e))
            smaller = exp_non_positive(-abs(y))  # of the odds of p and of 1−p
            log_larger = -log1p(smaller)
            log_p, log_rest = min(y, 0.0) + log_larger, min(-y, 0.0) + log_larger
            log_weight = log_positive(e + 1.0 / e) + a[d] * log_p + b[d] * log_rest
            most[d] = max(most[d], log_weight)
            weight[j, d] = log_weight
            p[j, d] = max((1.0 if y > 0 else smaller) / (1.0 + smaller), TINY)
    for j in range(len(p)):
        for d in range(len(a)):
            weight[j, d] = exp_non_positive(weight[j, d] - most[d])
            total[d] += weight[j, d]
    for j in range(len(p)):
        for d in range(len(a)):
            weight[j, d] /= total[d] * p[j, d]


@compiled
def _add_expected(
    shape: Floats,
    alpha: Floats,
    p: Floats,
    weight: Floats,
    T: Floats,
    horizon: float,
    share: float,
    values: Floats,
) -> None:
    """Add a share of the expected purchases within a horizon, if alive."""
    reach = np.empty_like(shape)
    for i in range(len(T)):
        for d in range(len(shape)):
            reach[d] = horizon / (alpha[d] + T[i])
        for j in range(len(p)):
            for d in range(len(shape)):
                bought = -expm1(-shape[d] * log1p(p[j, d] * reach[d]))
                values[i, d] += share * weight[j, d] * bought


@compiled
def _multiply(values: Floats, factors: Floats, index: Ints) -> None:
    for s in range(len(index)):
        factor = factors[index[s]]
        for d in range(len(factor)):
            values[s, d] *= factor[d]


@compiled_sums
def _add(
    alive: Floats, first: Floats, second: Floats, index: Ints, weight: Floats, sums: Floats
) -> None:
    for s in range(len(index)):
        i, w = index[s], weight[s]
        for d in range(sums.shape[1]):
            value = w * alive[s, d]
            sums[0, d] += value
            sums[1, d] += value * first[i, d]
            sums[2, d] += value * second[i, d]


@compiled
def _draw(
    keys: Keys,
    few: NDArray[np.bool_],
    shape: Floats,
    alpha: Floats,
    a: Floats,
    b: Floats,
    T: Floats,
    index: Ints,
    horizon: float,
    purchase: Floats,
    values: Floats,
) -> None:
    """Replace P(alive) in ``values`` by sampled outcomes, for the states with ``few``."""
    for s in range(len(index)):
        if not few[s]:
            continue
        i = index[s]
        for d in range(len(shape)):
            chance, alive, more = uniform(keys[s], d), values[s, d], purchase[i, d]  # P(N > m)
            m = 0.0
            if chance < alive * more:
                reach = horizon / (alpha[d] + T[i])
                exactly, stays = (
                    exp_non_positive(-shape[d] * log1p(reach)),
                    1.0,
                )  # N = m, G > m
                while chance < alive * more * stays and exactly > 0.0:
                    m += 1.0
                    exactly *= (shape[d] + (m - 1.0)) / m * (reach / (1.0 + reach))
                    more -= exactly
                    stays *= (b[d] + (m - 1.0)) / (a[d] + b[d] + (m - 1.0))
            values[s, d] = m
