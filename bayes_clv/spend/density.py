"""The log-density that NUTS walks on: that of the PyMC model of spend, in better coordinates.

:func:`bayes_clv.spend.model.build_spend_model` defines the model, and sampling starts by holding
this density against its graph.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_clv.coordinates import Coordinates, find_coordinates
from bayes_clv.elementary import compiled, log_gamma_and_digamma
from bayes_clv.hierarchy import HierarchicalDensity, Variables, folded, unfolded
from bayes_clv.priors import SpendPriors
from bayes_clv.spend.table import REACH, SpendTable

type Floats = NDArray[np.float64]


def coordinates_for(table: SpendTable, priors: SpendPriors) -> Coordinates:
    """Choose coordinates that suit these data."""
    return find_coordinates(lambda eta: value_and_slope(eta, table), table.n_groups, priors)


def value_and_slope(eta: Floats, table: SpendTable) -> tuple[float, Floats]:
    """Log-likelihood and its gradient by η, both of ``eta (group, component)``.

    The components are those of :class:`bayes_clv.priors.SpendPriors`, the density that of spend in
    units of the table.
    """
    value, slope = _value_and_slope(eta, table.arrays)
    return value, slope


class SpendDensity(HierarchicalDensity):
    """The log-density of the model of spend as a function of its coordinates."""

    def __init__(self, table: SpendTable, priors: SpendPriors, coordinates: Coordinates) -> None:
        super().__init__(priors, coordinates)
        self._table = table.arrays
        self._unit = table.unit

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient at ``x (n_dim,)``."""
        value, slope = _log_density(x, self.prior, self.coordinates, self._table)
        return value, slope

    def parameters(self, at: Variables) -> Mapping[str, Floats]:
        """p, q, and v in the currency of the log, ``(…, group)``."""
        eta = at.eta
        flat: tuple[Any, ...] = _parameters_of(eta.reshape(-1, eta.shape[-1]))
        p, q, v = (value.reshape(eta.shape[:-1]) for value in flat)
        return {"p": p, "q": q, "v": v * self._unit}


@compiled
def _log_density(x, prior, coordinates, table):  # type: ignore[no-untyped-def]
    eta, value, by_mu, by_log_tau, way = unfolded(x, prior, coordinates)
    log_likelihood, by_eta = _value_and_slope(eta, table)
    return value + log_likelihood, folded(by_eta, eta, by_mu, by_log_tau, way, coordinates)


@compiled
def _value_and_slope(eta, table):  # type: ignore[no-untyped-def]
    (
        count_group,
        count,
        count_weight,
        more_group,
        more,
        more_weight,
        log_spend,
        log_spend_by_purchase,
        by_count,
        by_one,
    ) = table
    p, q, _ = _parameters_of(eta)
    by_p, by_q, by_u = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    value = 0.0
    for k in range(len(count)):
        g, w = count_group[k], count_weight[k]
        log_gamma, psi = log_gamma_and_digamma(p[g] * count[k] + q[g])
        value += w * log_gamma
        by_p[g] += w * psi * count[k]
        by_q[g] += w * psi
    for k in range(len(more)):
        g, w = more_group[k], more_weight[k]
        log_gamma, psi = log_gamma_and_digamma(p[g] * more[k])
        value -= w * log_gamma
        by_p[g] -= w * psi * more[k]
    for g in range(len(p)):
        u = eta[g, 0] + eta[g, 2] - eta[g, 1]  # ln v
        a, a_slope = _smooth(by_count[g], u)
        b, b_slope = _smooth(by_one[g], u)
        value += p[g] * (log_spend_by_purchase[g] + a) - log_spend[g] + q[g] * b
        by_p[g] += log_spend_by_purchase[g] + a
        by_q[g] += b
        by_u[g] += p[g] * a_slope + q[g] * b_slope
    slope = np.empty_like(eta)
    slope[:, 0] = by_u
    slope[:, 1] = p * by_p - by_u
    slope[:, 2] = (q - 1) * by_q + by_u
    return value, slope


@compiled
def _parameters_of(eta: Floats) -> tuple[Floats, Floats, Floats]:
    """Turn η ``(group, component)`` into p, q and v, in units of the table."""
    level, shape, tail = eta[:, 0], eta[:, 1], eta[:, 2]
    return np.exp(shape), 1 + np.exp(tail), np.exp(level + tail - shape)


@compiled
def _smooth(coefficients: Floats, u: float) -> tuple[float, float]:
    """Value and slope of a polynomial in u; a straight line beyond its interval (Clenshaw 1955)."""
    t = min(max(u / REACH, -1.0), 1.0)
    value, after, slope, slope_after = 0.0, 0.0, 0.0, 0.0
    for k in range(len(coefficients) - 1, 0, -1):
        slope, slope_after = 2 * value + 2 * t * slope - slope_after, slope
        value, after = coefficients[k] + 2 * t * value - after, value
    slope = (value + t * slope - slope_after) / REACH
    value = coefficients[0] + t * value - after
    return value + slope * (u - REACH * t), slope
