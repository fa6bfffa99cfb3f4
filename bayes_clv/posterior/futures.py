"""What customers who are alive will do, vectorised over many states and all draws.

Whatever a customer did before, if they are alive their future depends on four numbers alone,

    λ ~ Gamma(shape, α + T),   p ~ Beta(a, b),   shape = r + x,   b = b + n,

with n the chances to leave so far (:mod:`bayes_clv.models.bgnbd`). A :class:`Future` holds them for
all draws; a function of this module first computes what customers of one frequency share, and
then evaluates as many T as it is given.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import TINY, Dropout, Parameters
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.numerics.chebyshev import OfTime, smooth_in_T
from bayes_clv.numerics.jit import compiled
from bayes_clv.numerics.special import exp_non_positive, expm1, log1p, log_positive
from bayes_clv.posterior.discounting import Discounting, undiscounted

type Floats = NDArray[np.float64]


class Future(NamedTuple):
    """λ ~ Gamma(shape, α + T) and p ~ Beta(a, b) of customers who are alive, ``(draw,)`` each."""

    shape: Floats
    alpha: Floats
    a: Floats
    b: Floats


# From a future and the ascending T of the customers who have it to a quantity (time, draw).
type IfAlive = Callable[[Future, Floats], OfTime]

NOW = np.zeros(1)  # T of somebody who starts afresh


def future_of(parameters: Parameters, frequency: float, dropout: Dropout) -> Future:
    """The future of customers who bought ``frequency`` times again; parameters ``(draw,)``."""
    b = parameters.b + dropout.chances(frequency)
    return Future(parameters.r + frequency, parameters.alpha, parameters.a, b)


def future_afresh(parameters: Parameters, reactivation: Reactivation) -> Future:
    """The future of customers who start afresh: they are alive, and T is 0."""
    return Future(reactivation.r, reactivation.alpha, parameters.a, parameters.b)


def purchase_if_alive(horizon: float) -> IfAlive:
    """P(at least one purchase within the horizon), given that the customer is alive."""

    def if_alive(future: Future, T: Floats) -> OfTime:
        def of_time(T: Floats) -> Floats:
            values = np.empty((len(T), len(future.shape)))
            _purchase_if_alive(future.shape, future.alpha, T, horizon, values)
            return values

        return of_time

    return if_alive


def expected_purchases_if_alive(horizon: float, discounting: Discounting = undiscounted) -> IfAlive:
    """Expected purchases within the horizon, optionally discounted; relative error 1e-12."""

    def if_alive(future: Future, T: Floats) -> OfTime:
        shape, alpha, a, b = future
        p, weight = np.empty((2, bgnbd.NODES, len(a)))
        _leaving_quadrature(a, b, *bgnbd.quadrature_range(a, b), p, weight)
        times, weights = discounting(horizon, float(alpha.min() + T.min()))

        def of_time(T: Floats) -> Floats:
            values = np.zeros((len(T), len(shape)))
            for until, share in zip(times.tolist(), weights.tolist(), strict=True):
                _add_expected(shape, alpha, p, weight, T, until, share, values)
            return values

        return smooth_in_T(of_time, T, float(alpha.min()), float(shape.max()), horizon)

    return if_alive


@compiled
def _purchase_if_alive(
    shape: Floats, alpha: Floats, T: Floats, horizon: float, values: Floats
) -> None:
    for i in range(len(T)):
        for d in range(len(shape)):
            values[i, d] = -expm1(-shape[d] * log1p(horizon / (alpha[d] + T[i])))


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
