r"""The log-likelihood of stretches that may start afresh, with its gradient, in one Numba pass.

In the symbols of :mod:`bayes_clv.models.reactivation`, with L(t) = ln(1 + t/α_s), the rise
R(z, n) = ln Γ(z+n) − ln Γ(z), n chances to leave before the stretch, and u the log-odds of being
gone at its beginning, the two parts of a stretch's mixture are

    u     = ln a/(b+n−1) + (r+x) (L(T) − L(t_x)),   −∞ if n = 0
    own   = R(r+x, y) + R(b+n, y) − R(a+b+n, y) − y ln α              per distinct (s, x, y)
            − softplus(u)                                             alive at the beginning
            − y L(T) − (r+x+y) (L(T+t_y) − L(T))                      until the last purchase
            + ln[exp(−(r+x+y) (L(T+Δ) − L(T+t_y))) + e^h]             silent since
            h  = ln a/(b+n+y−1) if y > 0, and u if y = 0
    fresh = R(r_f, y) + R(b, y) − R(a+b, y) − y ln α_f                per distinct (s, y)
            − (r_f+y) L_f(Δ)                                          per distinct (s, y, t_y, Δ)
            + softplus(ln a/(b+y−1) + (r_f+y) (L_f(Δ) − L_f(t_y)))    if y > 0
    ln L  = ln[(1−ε) e^own + ε e^fresh]

with L_f(t) = ln(1 + t/α_f). Here, too, no two large terms cancel, although the log-likelihood of a
state may be hugely negative where that of a stretch, the difference of two of them, is not: where
both say that the customer was gone and stayed so, own is 0 to the last digit. The share
ε e^fresh / L, at which a stretch started afresh, gives the gradient.

Rows are processed in blocks, as in :mod:`bayes_clv.inference.purchases.likelihood`: those with the
same (s, x, y) are gathered, computed in vector instructions, and their gradients scattered.
"""

import math
from typing import NamedTuple

import numpy as np

from bayes_clv.inference.purchases.layout import BLOCK, Floats
from bayes_clv.inference.purchases.likelihood import gradient_by_eta
from bayes_clv.inference.purchases.stretch_layout import StretchLayout
from bayes_clv.models.hyperparameters import parameters_of
from bayes_clv.numerics.jit import compiled, compiled_sums
from bayes_clv.numerics.special import exp_non_positive, log1p, log_positive, log_rise_in_steps

N_AFRESH = 3  # logit ε, ln(r_f/α_f), ln r_f


@compiled
def value_and_gradient_of_stretches(
    eta: Floats, afresh: Floats, layout: StretchLayout
) -> tuple[float, Floats, Floats]:
    """Log-likelihood, and its gradient by ``eta (group, component)`` and ``afresh (3,)``.

    The components are those of :mod:`bayes_clv.models.priors`.
    """
    parameters = parameters_of(eta)
    of_fresh = _fresh(parameters, afresh, layout)
    value, by, by_fresh, by_chance = _rows(parameters, of_fresh.value, afresh[0], layout)
    by_r, by_alpha = _backward(parameters, of_fresh, by_fresh, by, afresh, layout)
    by_afresh = np.empty(N_AFRESH)
    shape, rate = math.exp(afresh[2]), math.exp(afresh[2] - afresh[1])
    by_afresh[0] = by_chance
    by_afresh[1] = -rate * by_alpha
    by_afresh[2] = shape * by_r + rate * by_alpha
    return value, gradient_by_eta(parameters, by), by_afresh


class _Fresh(NamedTuple):
    """What happened as if afresh: its log-likelihood, and intermediate results.

    Attributes
    ----------
    value, gone
        ``(fresh,)`` ln L; P(not alive at the end).
    by_r, by_a, by_b
        ``(pair,)`` derivatives of the rises.
    log_time
        ``(fresh time,)`` L_f.
    """

    value: Floats
    gone: Floats
    by_r: Floats
    by_a: Floats
    by_b: Floats
    log_time: Floats


@compiled
def _fresh(parameters, afresh, layout):  # type: ignore[no-untyped-def]
    _, _, a, b = parameters
    r, alpha = math.exp(afresh[2]), math.exp(afresh[2] - afresh[1])
    n_pairs, pair_group, pair_y = len(layout.pair_y), layout.pair_group, layout.pair_y
    rises, odds, by_r = np.empty(n_pairs), np.empty(n_pairs), np.empty(n_pairs)
    by_a, by_b = np.empty(n_pairs), np.empty(n_pairs)
    for j in range(n_pairs):
        s, y = pair_group[j], pair_y[j]
        bought, by_r[j] = log_rise_in_steps(r, y)
        stayed, stayed_by_b = log_rise_in_steps(b[s], y)
        chances, chances_by_total = log_rise_in_steps(a[s] + b[s], y)
        rises[j] = bought + stayed - chances - y * math.log(alpha)
        by_a[j], by_b[j] = -chances_by_total, stayed_by_b - chances_by_total
        odds[j] = math.log(a[s] / (b[s] + (y - 1.0))) if y > 0 else -np.inf
    log_time = np.empty(len(layout.fresh_time))
    for k in range(len(log_time)):
        log_time[k] = log1p(layout.fresh_time[k] / alpha)
    value, gone = np.empty(len(layout.fresh_pair)), np.empty(len(layout.fresh_pair))
    for k in range(len(value)):
        j = layout.fresh_pair[k]
        shape, over = r + pair_y[j], log_time[layout.fresh_days[k]]
        u = odds[j] + shape * (over - log_time[layout.fresh_last[k]])
        tail = exp_non_positive(-abs(u))
        value[k] = rises[j] - shape * over + max(u, 0.0) + log_positive(1.0 + tail)
        gone[k] = (1.0 if u >= 0 else tail) / (1.0 + tail)
    return _Fresh(value, gone, by_r, by_a, by_b, log_time)


@compiled
def _backward(parameters, fresh, by_fresh, by, afresh, layout):  # type: ignore[no-untyped-def]
    """From the gradient by ``fresh.value`` to that by r_f and α_f; by a and b, it is added."""
    _, _, a, b = parameters
    _, _, by_a, by_b = by
    r, alpha = math.exp(afresh[2]), math.exp(afresh[2] - afresh[1])
    by_r, by_alpha = 0.0, 0.0
    by_pair, by_log_time = np.zeros(len(layout.pair_y)), np.zeros(len(layout.fresh_time))
    for k in range(len(by_fresh)):
        j, at_end, at_last = layout.fresh_pair[k], layout.fresh_days[k], layout.fresh_last[k]
        s, y, w, gone = layout.pair_group[j], layout.pair_y[j], by_fresh[k], fresh.gone[k]
        by_pair[j] += w
        by_r -= w * (fresh.log_time[at_end] * (1.0 - gone) + fresh.log_time[at_last] * gone)
        by_log_time[at_end] -= w * (1.0 - gone) * (r + y)
        by_log_time[at_last] -= w * gone * (r + y)
        by_a[s] += w * gone / a[s]
        by_b[s] -= w * gone / (b[s] + max(y - 1.0, 0.0))
    for j in range(len(by_pair)):
        s, w = layout.pair_group[j], by_pair[j]
        by_r += w * fresh.by_r[j]
        by_alpha -= w * layout.pair_y[j] / alpha
        by_a[s] += w * fresh.by_a[j]
        by_b[s] += w * fresh.by_b[j]
    for k in range(len(by_log_time)):
        ratio = layout.fresh_time[k] / alpha
        by_alpha -= by_log_time[k] * ratio / (1.0 + ratio) / alpha
    return by_r, by_alpha


@compiled
def _rows(parameters, fresh_value, logit, layout):  # type: ignore[no-untyped-def]
    """Sum over rows, its gradient by r, α, a, b, by ``fresh_value`` and by logit ε."""
    r, alpha, a, b = parameters
    by_r, by_alpha = np.zeros_like(r), np.zeros_like(r)
    by_a, by_b = np.zeros_like(r), np.zeros_like(r)
    ratio, log_time = np.empty_like(layout.time), np.empty_like(layout.time)
    by_log_time = np.zeros_like(layout.time)
    log_alpha, per_alpha = np.log(alpha), 1.0 / alpha
    for k in range(len(log_time)):
        ratio[k] = layout.time[k] * per_alpha[layout.time_group[k]]
    for k in range(len(log_time)):
        log_time[k] = log1p(ratio[k])
    by_fresh = np.zeros(len(fresh_value))
    log_chance, log_rest = _log_sigmoid(logit), _log_sigmoid(-logit)

    value, afresh_in_all, in_all = 0.0, 0.0, 0.0
    gathered, gradient = np.empty((6, BLOCK)), np.empty((5, BLOCK))
    for j in range(len(layout.block_key)):
        k = layout.block_key[j]
        s, y = layout.key_group[k], layout.key_y[k]
        law, by = _shared(r[s], a[s], b[s], layout.key_x[k], y, layout.key_n[k])
        lead = log_rest + law.rises - y * log_alpha[s]
        start, end = layout.block_start[j], layout.block_start[j + 1]
        for i in range(end - start):
            gathered[0, i] = log_time[layout.row_T[start + i]]
            gathered[1, i] = log_time[layout.row_recency[start + i]]
            gathered[2, i] = log_time[layout.row_last[start + i]]
            gathered[3, i] = log_time[layout.row_end[start + i]]
            gathered[4, i] = log_chance + fresh_value[layout.row_fresh[start + i]]
            gathered[5, i] = layout.row_weight[start + i]
        sums = _mixtures(lead, law, gathered, gradient, end - start)
        value += sums.value
        afresh_in_all += sums.afresh
        in_all += sums.own + sums.afresh
        by_r[s] += sums.own * by.r + sums.by_shape
        by_alpha[s] -= sums.own * y / alpha[s]
        by_a[s] += (sums.by_odds + sums.by_odds_after) / a[s] - sums.own * by.total
        by_b[s] += sums.own * (by.b - by.total)
        by_b[s] -= sums.by_odds / by.earlier + sums.by_odds_after / by.earlier_after
        for i in range(end - start):
            by_fresh[layout.row_fresh[start + i]] += gradient[0, i]
            by_log_time[layout.row_T[start + i]] += gradient[1, i] + gradient[2, i]
            by_log_time[layout.row_recency[start + i]] -= gradient[1, i]
            by_log_time[layout.row_last[start + i]] -= gradient[3, i]
            by_log_time[layout.row_end[start + i]] -= gradient[4, i]

    for k in range(len(by_log_time)):
        s = layout.time_group[k]
        by_alpha[s] -= by_log_time[k] * ratio[k] / (1.0 + ratio[k]) / alpha[s]
    by_chance = afresh_in_all - math.exp(log_chance) * in_all
    return value, (by_r, by_alpha, by_a, by_b), by_fresh, by_chance


class _Law(NamedTuple):
    """What the rows of a block share.

    Attributes
    ----------
    rises
        R(r+x, y) + R(b+n, y) − R(a+b+n, y).
    shape, purchases
        r + x, and y.
    odds, odds_after
        ln a/(b+n−1), before and after; −∞ where there was no chance to leave.
    """

    rises: float
    shape: float
    purchases: float
    odds: float
    odds_after: float


class _Slopes(NamedTuple):
    """Of the rises by r, b and a + b; and the odds' b + n − 1, before and after."""

    r: float
    b: float
    total: float
    earlier: float
    earlier_after: float


@compiled
def _shared(r, a, b, x, y, n):  # type: ignore[no-untyped-def]
    bought, stayed, chances = 0.0, 0.0, 0.0
    bought_by_r, stayed_by_b, chances_by_total = 0.0, 0.0, 0.0
    if y > 0:
        bought, bought_by_r = log_rise_in_steps(r + x, y)
        stayed, stayed_by_b = log_rise_in_steps(b + n, y)
        chances, chances_by_total = log_rise_in_steps(a + b + n, y)
    earlier, earlier_after = b + max(n - 1.0, 0.0), b + max(n + y - 1.0, 0.0)
    law = _Law(
        bought + stayed - chances,
        r + x,
        y,
        math.log(a / earlier) if n > 0 else -np.inf,
        math.log(a / earlier_after) if n + y > 0 else -np.inf,
    )
    return law, _Slopes(bought_by_r, stayed_by_b, chances_by_total, earlier, earlier_after)


class _Sums(NamedTuple):
    """Sums over the rows of a block: of ln L, of the weights of both parts, and of derivatives."""

    value: float
    own: float
    afresh: float
    by_odds: float
    by_odds_after: float
    by_shape: float


@compiled_sums
def _mixtures(start: float, law: _Law, gathered: Floats, gradient: Floats, n: int) -> _Sums:
    """Sums over ``n ≤ BLOCK`` rows.

    Parameters
    ----------
    start, law
        What the rows share: ln(1−ε) − y ln α and the rises; and the law of the customer.
    gathered
        ``(6, BLOCK)`` L(T), L(t_x), L(T+t_y), L(T+Δ), ln ε + fresh, and weight.
    gradient
        ``(5, BLOCK)`` receives the weight that started afresh, and the derivatives by L(T), in two
        parts, of which the first is minus that by L(t_x), and minus those by L(T+t_y), L(T+Δ).
    """
    value, owns, freshes, by_odds, by_odds_after, by_shape = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    silent, shape_after = law.purchases == 0.0, law.shape + law.purchases
    for i in range(n):
        log_T, log_last, log_end = gathered[0, i], gathered[2, i], gathered[3, i]
        silence, until_last, since = log_T - gathered[1, i], log_last - log_T, log_end - log_last
        u = law.odds + law.shape * silence
        h = u if silent else law.odds_after
        v = h + shape_after * since  # log-odds of being gone at the end
        tail, tail_after = exp_non_positive(-abs(u)), exp_non_positive(-abs(v))
        per, per_after = 1.0 / (1.0 + tail), 1.0 / (1.0 + tail_after)
        gone, alive = (per, tail * per) if u >= 0 else (tail * per, per)
        gone_after = per_after if v >= 0 else tail_after * per_after
        alive_after = tail_after * per_after if v >= 0 else per_after
        either = max(h, -shape_after * since)
        # Where u is huge, u − u would take the smaller terms along: sums here have no fixed order.
        lead = (0.0 if u >= 0 else either) if silent else either - max(u, 0.0)
        own = start - law.purchases * log_T - shape_after * until_last
        own += lead + log_positive((1.0 + tail_after) * per)

        ahead = gathered[4, i] - own
        behind = exp_non_positive(-abs(ahead))
        weight = gathered[5, i]
        value += weight * (max(own, gathered[4, i]) + log_positive(1.0 + behind))
        share = weight / (1.0 + behind)
        afresh = share if ahead >= 0 else share * behind
        from_own = share * behind if ahead >= 0 else share

        # The two are nearly the same where both are nearly 1, unless they are taken from 1 first.
        more_gone = alive - alive_after if u >= 0 else gone_after - gone
        by_u = from_own * (more_gone if silent else -gone)
        gradient[0, i] = afresh
        gradient[1, i] = law.shape * by_u
        gradient[2, i] = law.shape * from_own
        gradient[3, i] = shape_after * (from_own * gone_after)
        gradient[4, i] = shape_after * (from_own * alive_after)
        owns += from_own
        freshes += afresh
        by_odds += by_u
        by_odds_after += 0.0 if silent else from_own * gone_after
        by_shape += by_u * silence - from_own * (until_last + alive_after * since)
    return _Sums(value, owns, freshes, by_odds, by_odds_after, by_shape)


@compiled
def _log_sigmoid(logit: float) -> float:
    return min(logit, 0.0) - math.log1p(math.exp(-abs(logit)))
