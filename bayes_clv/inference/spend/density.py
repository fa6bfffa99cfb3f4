"""The log-density that NUTS walks on: that of the PyMC model of spend, in better coordinates.

:func:`bayes_clv.inference.spend.model.build_spend_model` defines the model, and sampling starts by
comparing this density with its graph.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_clv.inference.coordinates import Coordinates
from bayes_clv.inference.hierarchy import HierarchicalDensity, Variables, backward, forward
from bayes_clv.inference.spend.table import (
    CERTAIN,
    HIGHEST,
    LOWEST,
    MIDDLE,
    REACH,
    SpendSums,
    SpendTable,
)
from bayes_clv.models.priors import PriorArrays, SpendPriors
from bayes_clv.numerics.jit import compiled
from bayes_clv.numerics.special import log_gamma_and_digamma, log_rise
from bayes_clv.segments.rules import POPULATION

type Floats = NDArray[np.float64]


@compiled
def value_and_gradient_by_eta(eta: Floats, sums: SpendSums) -> tuple[float, Floats]:
    """Log-likelihood and its gradient by η, both of ``eta (group, component)``.

    The components are those of :class:`bayes_clv.models.priors.SpendPriors`, the density that of
    spend in units of the table.
    """
    curbed, rise = _curbed(eta)
    p, q, _ = _parameters_of(eta)
    by_p, by_q, by_u = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    value = 0.0
    for k in range(len(sums.purchases)):
        g, w, x = sums.purchases_group[k], sums.purchases_weight[k], sums.purchases[k]
        more, more_by_q, more_by_n = log_rise(q[g], p[g] * x)  # Σ w = 0: ln Γ(q) may be left out
        value += w * more
        by_p[g] += w * more_by_n * x
        by_q[g] += w * more_by_q
    for k in range(len(sums.more)):
        g, w = sums.more_group[k], sums.more_weight[k]
        log_gamma, psi = log_gamma_and_digamma(p[g] * sums.more[k])
        value -= w * log_gamma
        by_p[g] -= w * psi * sums.more[k]
    for g in range(POPULATION, len(p) - 1):
        u = curbed[g, 0] + curbed[g, 2] - curbed[g, 1]  # ln v
        a, a_slope = _smooth(sums.by_count[g], sums.count_slopes[g], u)
        b, b_slope = _smooth(sums.by_one[g], sums.one_slopes[g], u)
        value += p[g] * (sums.log_spend_by_purchase[g] + a) - sums.log_spend[g] + q[g] * b
        by_p[g] += sums.log_spend_by_purchase[g] + a
        by_q[g] += b
        by_u[g] += p[g] * a_slope + q[g] * b_slope
    slope = np.empty_like(eta)
    slope[:, 0] = by_u
    slope[:, 1] = p * by_p - by_u
    slope[:, 2] = (q - 1) * by_q + by_u
    return value, slope * rise


@compiled
def _parameters_of(eta: Floats) -> tuple[Floats, Floats, Floats]:
    """Turn η ``(group, component)`` into p, q and v, in units of the table."""
    curbed, _ = _curbed(eta)
    level, shape, tail = curbed[:, 0], curbed[:, 1], curbed[:, 2]
    return np.exp(shape), 1 + np.exp(tail), np.exp(level + tail - shape)


@compiled
def _curbed(eta: Floats) -> tuple[Floats, Floats]:
    """Curb shape and tail, which then tend to ``CERTAIN`` + 1; and the slopes of doing so."""
    curbed, rise = eta.copy(), np.ones_like(eta)
    for g in range(len(eta)):
        for component in range(1, eta.shape[1]):
            if eta[g, component] > CERTAIN:
                fading = math.exp(CERTAIN - eta[g, component])
                curbed[g, component], rise[g, component] = CERTAIN + 1.0 - fading, fading
    return curbed, rise


@compiled
def _smooth(coefficients: Floats, ends: Floats, u: float) -> tuple[float, float]:
    """Value and slope by u of a polynomial (Clenshaw 1955) that goes over into lines at both ends.

    On the left to any line of slope ``ends[0]``, on the right to the one through the origin of
    slope ``ends[1]``; as fast as the sums of logarithms do that it stands for.
    """
    t = min(max((u - MIDDLE) / REACH, -1.0), 1.0)
    value, after, slope, slope_after = 0.0, 0.0, 0.0, 0.0
    for k in range(len(coefficients) - 1, 0, -1):
        slope, slope_after = 2 * value + 2 * t * slope - slope_after, slope
        value, after = coefficients[k] + 2 * t * value - after, value
    slope = (value + t * slope - slope_after) / REACH
    value = coefficients[0] + t * value - after
    if u < LOWEST:
        fading, surplus = math.exp(u - LOWEST), slope - ends[0]
        return value + ends[0] * (u - LOWEST) + surplus * (fading - 1.0), ends[0] + surplus * fading
    if u > HIGHEST:
        fading = math.exp(HIGHEST - u)
        above, rising = value - ends[1] * HIGHEST, slope - ends[1]
        once, twice = fading * (2 * above + rising), fading * fading * (above + rising)
        return ends[1] * u + once - twice, ends[1] - once + 2 * twice
    return value, slope


@compiled
def _log_density(x, prior, coordinates, sums):  # type: ignore[no-untyped-def]
    eta, value, saved = forward(x, prior, coordinates)
    log_likelihood, by_eta = value_and_gradient_by_eta(eta, sums)
    return value + log_likelihood, backward(by_eta, saved, coordinates)


class SpendDensity(HierarchicalDensity):
    """The log-density of the model of spend as a function of its coordinates.

    Parameters
    ----------
    table
        From ``spend_table``.
    priors
        Of the three components.
    coordinates
        By default those that suit the data.
    """

    compiled = staticmethod(_log_density)

    def __init__(
        self, table: SpendTable, priors: SpendPriors, coordinates: Coordinates | None = None
    ) -> None:
        self._sums, self._unit = table.sums, table.unit
        super().__init__(priors, table.n_groups, coordinates)

    def log_likelihood(self, eta: Floats) -> tuple[float, Floats]:
        """Value and gradient by η, both of ``eta (group, component)``: of spend in units."""
        return value_and_gradient_by_eta(eta, self._sums)

    @property
    def arguments(self) -> tuple[PriorArrays, Coordinates, SpendSums]:
        """What ``compiled`` takes beside x."""
        return self.prior, self.coordinates, self._sums

    def parameters(self, at: Variables) -> Mapping[str, Floats]:
        """p, q, and v in the currency of the log, ``(…, group)``."""
        eta = at.eta
        flat: tuple[Any, ...] = _parameters_of(eta.reshape(-1, eta.shape[-1]))
        p, q, v = (value.reshape(eta.shape[:-1]) for value in flat)
        return {"p": p, "q": q, "v": v * self._unit}
