r"""The log-density that NUTS walks on: that of the PyMC model, in better coordinates.

:func:`bayes_clv.model.build_model` defines the model, and sampling starts by holding this density
against its graph. Here it is plain Numba code around the likelihood's kernel, compiled once for all
data sets and kept on disk: a fit waits for no compiler, and chains run side by side without
Python's lock.

The coordinates x are one vector, of μ ``(component,)`` and, with segments, u ``(component,)`` for τ
and ε ``(segment, component)``: see :mod:`bayes_clv.coordinates`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_clv.bgnbd import Parameters
from bayes_clv.coordinates import Coordinates
from bayes_clv.elementary import compiled
from bayes_clv.kernel import Layout, eta_value_and_slope, parameters_of
from bayes_clv.priors import COMPONENTS, Priors

type Floats = NDArray[np.float64]

_N = len(COMPONENTS)


@dataclass(frozen=True)
class Variables:
    """The model's variables at some coordinates.

    Attributes
    ----------
    mu, tau
        ``(…, component)``; τ is 1 in a pooled model, which has no z.
    z
        ``(…, segment, component)``.
    log_jacobian
        ``(…,)`` ln |∂(μ, ln τ, z) / ∂x|.
    """

    mu: Floats
    tau: Floats
    z: Floats
    log_jacobian: Floats

    @property
    def parameters(self) -> Parameters:
        """``(…, group)`` of the population and of each segment; α in units of the layout."""
        population = self.mu[..., None, :]
        segments = population + self.tau[..., None, :] * self.z
        eta = np.concatenate([population, segments], axis=-2)
        flat = parameters_of(eta.reshape(-1, _N))
        return Parameters(*(value.reshape(eta.shape[:-1]) for value in flat))


class LogDensity:
    """The log-density of a model as a function of its coordinates."""

    def __init__(self, layout: Layout, priors: Priors, coordinates: Coordinates) -> None:
        mean, sd, between = (np.array(priors.column(name)) for name in ("mean", "sd", "between"))
        self._prior = (mean, sd, between)
        self._coordinates = (
            coordinates.centre,
            coordinates.scale,
            coordinates.linear,
            coordinates.precision,
        )
        self._layout = layout.arrays
        self.time_unit = layout.time_unit
        self.n_segments = layout.n_segments
        self.n_dim = _N * (2 + self.n_segments) if self.n_segments else _N

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient at ``x (n_dim,)``."""
        value, slope = _log_density(x, self._prior, self._coordinates, self._layout)
        return value, slope

    def variables(self, x: Floats) -> Variables:
        """Turn coordinates ``(…, n_dim)`` into the model's variables."""
        flat = np.ascontiguousarray(x.reshape(-1, self.n_dim))
        mu, tau, z, log_jacobian = _variables(flat, self._prior[2], self._coordinates)
        parts = (mu, tau, z, log_jacobian)
        return Variables(*(part.reshape(x.shape[:-1] + part.shape[1:]) for part in parts))

    def start(self, seed: int) -> Floats:
        """Draw a point to start from, about as far out as twice the posterior."""
        return 2 * np.random.default_rng(seed).standard_normal(self.n_dim)


@compiled
def _variables(x, between, coordinates):  # type: ignore[no-untyped-def]
    centre, scale, linear, precision = coordinates
    n_segments = len(linear)
    mu, tau = np.empty((len(x), _N)), np.ones((len(x), _N))
    z, log_jacobian = np.empty((len(x), n_segments, _N)), np.zeros(len(x))
    for i in range(len(x)):
        mu[i] = centre + scale @ x[i, :_N]
        for c in range(_N):
            log_jacobian[i] += math.log(scale[c, c])
        if n_segments:
            for c in range(_N):
                g, rise, _ = _softened(x[i, _N + c])
                tau[i, c] = 0.5 * between[c] * g
                log_jacobian[i] += math.log(rise / g)
        for s in range(n_segments):
            epsilon = x[i, _N * (2 + s) : _N * (3 + s)]
            root = _inverse_of_cholesky(precision[s], 1 / tau[i] ** 2)
            deviation = root.T @ (root @ (linear[s] - precision[s] @ mu[i]) + epsilon)
            for c in range(_N):
                z[i, s, c] = deviation[c] / tau[i, c]
                log_jacobian[i] += math.log(root[c, c] / tau[i, c])
    return mu, tau, z, log_jacobian


@compiled
def _log_density(x, prior, coordinates, layout):  # type: ignore[no-untyped-def]
    """In the order of the definitions; then the gradient, backwards through them."""
    mean, sd, between = prior
    centre, scale, linear, precision = coordinates
    n_segments = len(linear)
    value, slope = 0.0, np.zeros_like(x)

    mu = centre + scale @ x[:_N]
    eta = np.empty((n_segments + 1, _N))
    eta[0] = mu
    by_mu = np.empty(_N)
    for c in range(_N):
        standard = (mu[c] - mean[c]) / sd[c]
        value += math.log(scale[c, c] / sd[c]) - _HALF_LOG_2_PI - 0.5 * standard * standard
        by_mu[c] = -standard / sd[c]

    log_tau, rise, by_log_tau = np.zeros(_N), np.zeros(_N), np.zeros(_N)
    if n_segments:
        for c in range(_N):
            g, cumulative, density = _softened(x[_N + c])
            standard = 0.5 * g  # τ / τ₀
            log_tau[c] = math.log(standard * between[c])
            rise[c] = cumulative / g  # ∂ ln τ / ∂u
            value += math.log(0.5 * cumulative) + _HALF_LOG_2_OVER_PI - 0.5 * standard * standard
            slope[_N + c] = density / cumulative
            by_log_tau[c] = -standard * standard
    shrinkage = np.exp(-2 * log_tau)  # τ⁻²

    epsilon = x[2 * _N :].reshape(-1, _N)
    root = np.empty((n_segments, _N, _N))  # V = rootᵀ root
    pull = np.empty((n_segments, _N))  # h − Λμ
    whitened = np.empty((n_segments, _N))  # η_s − μ = rootᵀ whitened
    for s in range(n_segments):
        root[s] = _inverse_of_cholesky(precision[s], shrinkage)
        pull[s] = linear[s] - precision[s] @ mu
        whitened[s] = root[s] @ pull[s] + epsilon[s]
        eta[s + 1] = mu + root[s].T @ whitened[s]
        for c in range(_N):
            z = (eta[s + 1, c] - mu[c]) * math.exp(-log_tau[c])
            value += math.log(root[s, c, c]) - log_tau[c] - _HALF_LOG_2_PI - 0.5 * z * z
            by_log_tau[c] += z * z - 1

    log_likelihood, by_eta = eta_value_and_slope(eta, layout)

    by_mu += by_eta[0]
    for s in range(n_segments):
        by_mu += by_eta[s + 1]
        by_deviation = by_eta[s + 1] - (eta[s + 1] - mu) * shrinkage
        by_whitened = root[s] @ by_deviation
        slope[_N * (2 + s) : _N * (3 + s)] = by_whitened
        by_mu -= precision[s] @ (root[s].T @ by_whitened)
        by_root = np.outer(whitened[s], by_deviation) + np.outer(by_whitened, pull[s])
        for c in range(_N):
            by_root[c, c] += 1 / root[s, c, c]
        # root (Λ + D) rootᵀ = 1, so ∂root = −lower(root ∂D rootᵀ) root, half of the diagonal.
        inner = by_root @ root[s].T
        for c in range(_N):
            for k in range(_N):
                for j in range(k + 1):
                    share = 0.5 if j == k else 1.0
                    moved = share * inner[k, j] * root[s, k, c] * root[s, j, c]
                    by_log_tau[c] += 2 * shrinkage[c] * moved
    slope[:_N] = scale.T @ by_mu
    if n_segments:
        slope[_N : 2 * _N] += by_log_tau * rise
    return value + log_likelihood, slope


@compiled
def _softened(u: float) -> tuple[float, float, float]:
    """g(u) = u Φ(u) + φ(u), its derivative Φ(u), and φ(u)."""
    density = math.exp(-0.5 * u * u - _HALF_LOG_2_PI)
    cumulative = 0.5 * math.erfc(-u * math.sqrt(0.5))
    return u * cumulative + density, cumulative, density


@compiled
def _inverse_of_cholesky(precision: Floats, diagonal: Floats) -> Floats:
    """C⁻¹, lower triangular, of C Cᵀ = precision + diag(diagonal); NaN if that is not definite."""
    lower, inverse = np.zeros((_N, _N)), np.zeros((_N, _N))
    for i in range(_N):
        for j in range(i + 1):
            rest = precision[i, j]
            for k in range(j):
                rest -= lower[i, k] * lower[j, k]
            if i == j:
                lower[i, i] = math.sqrt(rest + diagonal[i])
                inverse[i, i] = 1 / lower[i, i]
            else:
                lower[i, j] = rest / lower[j, j]
    for i in range(_N):
        for j in range(i):
            for k in range(j, i):
                inverse[i, j] -= lower[i, k] * inverse[k, j] * inverse[i, i]
    return inverse


_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
_HALF_LOG_2_OVER_PI = 0.5 * math.log(2 / math.pi)
