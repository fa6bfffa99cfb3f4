"""The distribution of a customer's purchases: P(0), P(1), P(2), … without sampling.

For a customer who is alive, let N be the number of purchases within t if they never left, which is
negative binomial, and G the number of the purchase after which they leave, which is beta-geometric.
The number of purchases is the smaller of N and G. With ρ = t/(α+T), k = r+x and n as in
:mod:`bayes_clv.models.bgnbd`

    P(0) = 1 − P(alive) P(N > 0)
    P(m) = P(alive) [ P(N = m) P(G ≥ m) + P(N > m) P(G = m) ],   m ≥ 1

    P(N = m) = P(N = m−1) (k+m−1)/m ρ/(1+ρ),        P(N = 0) = (1+ρ)^−k
    P(G = m) = P(G ≥ m) a/(a+b+n+m−1),              P(G ≥ 1) = 1

averaged over the posterior draws, and mixed as all answers are
(:mod:`bayes_clv.posterior.mixtures`). ``sample_purchases`` samples from this distribution. The
backtest scores forecasts with it, so its scores have no Monte Carlo error from sampled outcomes.

Source: Fader, Hardie & Lee (2005), Marketing Science 24(2), equation 8, is the case x = T = 0.
"""

import numpy as np

from bayes_clv.models import bgnbd
from bayes_clv.numerics.jit import compiled, compiled_sums
from bayes_clv.numerics.special import exp_non_positive, log1p, log_positive
from bayes_clv.posterior.futures import (
    NOW,
    Future,
    future_afresh,
    future_of,
    purchase_if_alive,
)
from bayes_clv.posterior.mixtures import ModelDraws
from bayes_clv.posterior.state_groups import Floats, Group, distinct_rows

NEGLIGIBLE = 1e-8  # probability of outcomes beyond the last one listed
_FIRST_ROOM, _MOST_ROOM = 32, 2**14
_LEAST_LOG = -600.0  # ln P(N = 0); below this, the recursion runs in logarithms


def outcome_probabilities(
    model: ModelDraws, block: Group, horizon: float, least: int = 0
) -> Floats:
    """Return the probabilities of 0, 1, 2, … purchases in the horizon, averaged over draws.

    Parameters
    ----------
    model
        The draws.
    block
        Cases of one frequency.
    horizon
        Days ahead.
    least
        The list of outcomes reaches at least this one. It continues until the outcomes beyond have
        a probability below ``NEGLIGIBLE`` in every case, or 2^14 outcomes are listed.

    Returns
    -------
    ``(case, outcome)``; each row sums to 1 minus the probability of outcomes beyond the last.
    """
    listed = np.zeros((len(block), 0))
    reactivation = model.reactivation
    spared = 1.0 if reactivation is None else 1.0 - reactivation.probability
    for code in block.memberships.present:
        weight = block.memberships.of(code)
        some = np.flatnonzero(weight)
        state, of_state = distinct_rows(block.recency[some], block.T[some])
        recency, T = block.recency[some][of_state], block.T[some][of_state]
        parameters = model.parameters[code]
        alive = spared * bgnbd.probability_alive(
            parameters, block.frequency, recency[:, None], T[:, None], model.dropout
        )
        future = future_of(parameters, block.frequency, model.dropout)
        lists = [_listed(future, alive, T, horizon, least)[state]]
        if reactivation is not None:
            again = future_afresh(parameters, reactivation)
            fresh = _listed(again, reactivation.probability[None], NOW, horizon, least)
            lists.append(np.broadcast_to(fresh, (len(some), fresh.shape[1])))
        for of_case in lists:
            share = np.zeros((len(block), of_case.shape[1]))
            share[some] = weight[some, None] * of_case
            share[some, 0] -= weight[some]  # P(0) − 1: the lists' weights need not add up to 1
            listed = added(listed, share)
    listed[:, 0] += 1.0
    return listed


def added(lists: Floats, more: Floats) -> Floats:
    """Add lists of probabilities ``(case, outcome)``, of which some may be longer."""
    total = np.zeros((len(lists), max(lists.shape[1], more.shape[1])))
    for of in (lists, more):
        total[:, : of.shape[1]] += of
    return total


def _listed(future: Future, alive: Floats, T: Floats, horizon: float, least: int) -> Floats:
    """The probabilities in one component; ``alive (state, draw)`` holds P(alive) in it."""
    buys = purchase_if_alive(horizon)(future, T)(T)
    room = max(_FIRST_ROOM, least + 1)
    while True:
        probabilities = np.zeros((len(T), room))
        used = _fill(np.ascontiguousarray(alive), buys, *future, T, horizon, least, probabilities)
        if used <= room or room >= max(_MOST_ROOM, least + 1):
            return probabilities[:, : min(used, room)]
        room *= 2


@compiled
def _fill(
    alive: Floats,
    buys: Floats,
    shape: Floats,
    alpha: Floats,
    a: Floats,
    b: Floats,
    T: Floats,
    horizon: float,
    least: int,
    probabilities: Floats,
) -> int:
    """Fill in the probabilities; return the number of outcomes needed, or room + 1 if too many."""
    draws, room, used = len(shape), probabilities.shape[1], 0
    step, log_step = np.empty(draws), np.empty(draws)  # ρ/(1+ρ)
    exactly, log_exactly = np.empty(draws), np.empty(draws)  # P(N = m)
    more, stays = np.empty(draws), np.empty(draws)  # P(N > m), P(G > m)
    for s in range(len(T)):
        total, least_log = 0.0, 0.0
        for d in range(draws):
            reach = horizon / (alpha[d] + T[s])
            log_exactly[d] = -shape[d] * log1p(reach)
            least_log = min(least_log, log_exactly[d])
            exactly[d] = exp_non_positive(log_exactly[d])
            step[d] = reach / (1.0 + reach)
            log_step[d] = log_positive(step[d])
            more[d], stays[d] = buys[s, d], 1.0
            total += alive[s, d] * more[d]
        in_logs = least_log < _LEAST_LOG
        beyond = total / draws
        probabilities[s, 0] = 1.0 - beyond
        m = 0
        while m < least or beyond > NEGLIGIBLE:
            m += 1
            if m == room:
                used = room + 1
                break
            if in_logs:
                for d in range(draws):
                    log_exactly[d] += log_positive((shape[d] + (m - 1.0)) / m) + log_step[d]
                    exactly[d] = exp_non_positive(min(log_exactly[d], 0.0))
            else:
                for d in range(draws):
                    exactly[d] *= (shape[d] + (m - 1.0)) * (1.0 / m) * step[d]
            exactly_m, beyond_m = _one_more(exactly, more, stays, alive[s], a, b, m)
            probabilities[s, m] = exactly_m / draws
            beyond = beyond_m / draws
        used = max(used, m + 1)
    return used


@compiled_sums
def _one_more(
    exactly: Floats, more: Floats, stays: Floats, alive: Floats, a: Floats, b: Floats, m: int
) -> tuple[float, float]:
    """Update P(N > m − 1), P(G > m − 1) to m; return sums over draws of P(m) and P(more than m)."""
    exactly_m, beyond_m = 0.0, 0.0
    for d in range(len(exactly)):
        more[d] = max(more[d] - exactly[d], 0.0)
        leaves = a[d] / (a[d] + b[d] + (m - 1.0))
        still_alive = alive[d] * stays[d]
        exactly_m += still_alive * (exactly[d] + more[d] * leaves)
        stays[d] *= 1.0 - leaves
        beyond_m += still_alive * (1.0 - leaves) * more[d]
    return exactly_m, beyond_m
