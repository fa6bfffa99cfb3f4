r"""The landmark log-likelihood with its gradient, fused into one Numba pass.

In the symbols of :mod:`bayes_clv.models.bgnbd`, for rows of weight w in group s (the population or
a segment), and with L(t) = ln(1 + t/α_s) and the rise R(z, n) = ln Γ(z+n) − ln Γ(z),

    Σ w ll = Σ_(s,x) W_sx [R(r, x) + R(b, n) − R(a+b, n) − x ln α]             per distinct (s, x)
           − Σ_(s,T) (r W_sT + X_sT) L(T),   X_sT = Σ w x                     per distinct (s, T)
           + Σ_rows, n>0 w softplus(u),  u = ln a/(b+n−1) + (r+x)(L(T) − L(t_x))

so a row costs one exponential, logarithms of times are taken once for each distinct time, and
one-time buyers of BG/NBD cost nothing. No two large terms cancel: as customers become alike
(r, α → ∞ or a+b → ∞) the value tends to its limit. (Sums of ln Γ(r), r ln α and ln B(a, b) lose all
their digits there, and the rounding error can look like a mode.)

Rows with the same (s, x) and weight are neighbours and are processed in blocks: gather their times,
do the arithmetic in vector instructions, take the logarithm of the product of all 1 + e^−|u|,
scatter the gradient. :mod:`bayes_clv.inference.purchases.model` states the plain form; the two are
compared before every fit.
"""

import math

import numpy as np

from bayes_clv.inference.purchases.layout import BLOCK, Floats, LikelihoodLayout
from bayes_clv.models.hyperparameters import parameters_of
from bayes_clv.numerics.jit import compiled, compiled_sums
from bayes_clv.numerics.special import exp_non_positive, log1p, log_rise_in_steps


@compiled
def value_and_gradient_by_eta(eta: Floats, layout: LikelihoodLayout) -> tuple[float, Floats]:
    """Log-likelihood and its gradient by η, both of ``eta (group, component)``.

    The components are those of :mod:`bayes_clv.models.priors`.
    """
    r, alpha, a, b = parameters_of(eta)
    value, by_r, by_alpha, by_a, by_b = value_and_gradient(r, alpha, a, b, layout)
    return value, gradient_by_eta((r, alpha, a, b), (by_r, by_alpha, by_a, by_b))


@compiled
def gradient_by_eta(
    parameters: tuple[Floats, Floats, Floats, Floats], by: tuple[Floats, Floats, Floats, Floats]
) -> Floats:
    """The gradient by η ``(group, component)``, from that by r, α, a and b, each ``(group,)``."""
    r, alpha, a, b = parameters
    by_r, by_alpha, by_a, by_b = by
    share = a / (a + b)
    slope = np.empty((len(r), 4))
    slope[:, 0] = -alpha * by_alpha
    slope[:, 1] = r * by_r + alpha * by_alpha
    slope[:, 2] = a * (1 - share) * by_a - b * share * by_b
    slope[:, 3] = a * by_a + b * by_b
    return slope


@compiled
def value_and_gradient(
    r: Floats, alpha: Floats, a: Floats, b: Floats, layout: LikelihoodLayout
) -> tuple[float, Floats, Floats, Floats, Floats]:
    """Log-likelihood and its gradient by r, α, a and b ``(group,)``."""
    value = 0.0
    by_r, by_alpha = np.zeros_like(r), np.zeros_like(r)
    by_a, by_b = np.zeros_like(r), np.zeros_like(r)

    key_group, key_x, key_n = layout.key_group, layout.key_x, layout.key_n
    for k in range(len(key_x)):
        s, w = key_group[k], layout.key_weight[k]
        if w != 0.0:
            purchases, purchases_by_r = log_rise_in_steps(r[s], key_x[k])
            stayed, stayed_by_b = log_rise_in_steps(b[s], key_n[k])
            chances, chances_by_total = log_rise_in_steps(a[s] + b[s], key_n[k])
            value += w * (purchases + stayed - chances - key_x[k] * math.log(alpha[s]))
            by_r[s] += w * purchases_by_r
            by_alpha[s] -= w * key_x[k] / alpha[s]
            by_a[s] -= w * chances_by_total
            by_b[s] += w * (stayed_by_b - chances_by_total)

    time_group, time, time_weight = layout.time_group, layout.time, layout.time_weight
    ratio, log_time, by_log_time = np.empty_like(time), np.empty_like(time), np.empty_like(time)
    per_alpha = 1 / alpha
    for k in range(len(time)):
        ratio[k] = time[k] * per_alpha[time_group[k]]
        log_time[k] = log1p(ratio[k])
    for k in range(len(time)):
        s = time_group[k]
        by_log_time[k] = -(r[s] * time_weight[k] + layout.time_x[k])
        value += by_log_time[k] * log_time[k]
        by_r[s] -= time_weight[k] * log_time[k]

    silence, gone = np.empty(BLOCK), np.empty(BLOCK)  # L(T) − L(t_x);  P(not alive)
    for j in range(len(layout.block_key)):
        k, w = layout.block_key[j], layout.block_weight[j]
        s = key_group[k]
        shape, earlier_chances = r[s] + key_x[k], b[s] + (key_n[k] - 1.0)
        block = slice(layout.block_start[j], layout.block_start[j + 1])
        at_T, at_last = layout.row_T[block], layout.row_recency[block]
        for i in range(len(at_T)):
            silence[i] = log_time[at_T[i]] - log_time[at_last[i]]
        log_odds = math.log(a[s] / earlier_chances)
        softplus, any_gone, by_shape = _leaving(log_odds, shape, silence, gone, len(at_T))
        value += w * softplus
        by_r[s] += w * by_shape
        by_a[s] += w * any_gone / a[s]
        by_b[s] -= w * any_gone / earlier_chances
        for i in range(len(at_T)):
            by_log_time[at_T[i]] += gone[i] * (w * shape)
            by_log_time[at_last[i]] -= gone[i] * (w * shape)

    for k in range(len(time)):
        s = time_group[k]
        by_alpha[s] -= per_alpha[s] * (by_log_time[k] * ratio[k] / (1.0 + ratio[k]))
    return value, by_r, by_alpha, by_a, by_b


@compiled_sums
def _leaving(
    log_odds: float, shape: float, silence: Floats, gone: Floats, n: int
) -> tuple[float, float, float]:
    """Sums over ``n ≤ BLOCK`` rows of softplus(u), sigmoid(u), and sigmoid(u) · silence.

    u = log_odds + shape · silence; each row's sigmoid(u) is left in ``gone``.
    """
    positive, product, any_gone, by_shape = 0.0, 1.0, 0.0, 0.0
    for i in range(n):
        u = log_odds + shape * silence[i]
        tail = exp_non_positive(-abs(u))
        positive += max(u, 0.0)
        product *= 1.0 + tail  # at most 2^BLOCK, which is a float
        gone[i] = (1.0 if u >= 0 else tail) / (1.0 + tail)
        any_gone += gone[i]
        by_shape += gone[i] * silence[i]
    return positive + math.log(product), any_gone, by_shape
