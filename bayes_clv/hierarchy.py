r"""A hierarchy in coordinates that suit NUTS: its density and gradient around any likelihood.

The variables are μ ``(component,)`` and, with segments, τ ``(component,)`` and z ``(segment,
component)``, with priors as in :mod:`bayes_clv.priors`; a likelihood sees η ``(group, component)``,
the population's row first. The coordinates x are one vector, of μ ``(component,)`` and, with
segments, u ``(component,)`` for τ and ε ``(segment, component)``: see
:mod:`bayes_clv.coordinates`.

``unfolded`` goes from x to η, ``folded`` back with the likelihood's gradient; a compiled density
puts its own likelihood between the two. All of it is plain Numba code, compiled once for all data
sets and kept on disk: a fit waits for no compiler, and chains run side by side without Python's
lock.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_clv.coordinates import Coordinates
from bayes_clv.elementary import compiled
from bayes_clv.priors import HierarchicalPriors

type Floats = NDArray[np.float64]


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
    def eta(self) -> Floats:
        """``(…, group, component)`` of the population and of each segment."""
        population = self.mu[..., None, :]
        segments = population + self.tau[..., None, :] * self.z
        return np.concatenate([population, segments], axis=-2)


class HierarchicalDensity(ABC):
    """The log-density of a model as a function of its coordinates, for NUTS."""

    def __init__(self, priors: HierarchicalPriors, coordinates: Coordinates) -> None:
        mean, sd, between = (np.array(priors.column(name)) for name in ("mean", "sd", "between"))
        self.prior = (mean, sd, between)
        self.coordinates = (
            coordinates.centre,
            coordinates.scale,
            coordinates.linear,
            coordinates.precision,
        )
        self.n_segments = len(coordinates.linear)
        self.n_dim = len(mean) * (2 + self.n_segments if self.n_segments else 1)

    @abstractmethod
    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient at ``x (n_dim,)``."""

    @abstractmethod
    def parameters(self, at: Variables) -> Mapping[str, Floats]:
        """The model's parameters by name, ``(…, group)``, in the units of the log."""

    def variables(self, x: Floats) -> Variables:
        """Turn coordinates ``(…, n_dim)`` into the model's variables."""
        flat = np.ascontiguousarray(x.reshape(-1, self.n_dim))
        parts: tuple[Any, ...] = _variables(flat, self.prior[2], self.coordinates)
        return Variables(*(part.reshape(x.shape[:-1] + part.shape[1:]) for part in parts))

    def start(self, seed: int) -> Floats:
        """Draw a point to start from, about as far out as twice the posterior."""
        return 2 * np.random.default_rng(seed).standard_normal(self.n_dim)


@compiled
def _variables(x, between, coordinates):  # type: ignore[no-untyped-def]
    centre, scale, linear, precision = coordinates
    N, n_segments = len(centre), len(linear)
    mu, tau = np.empty((len(x), N)), np.ones((len(x), N))
    z, log_jacobian = np.empty((len(x), n_segments, N)), np.zeros(len(x))
    for i in range(len(x)):
        mu[i] = centre + scale @ x[i, :N]
        for c in range(N):
            log_jacobian[i] += math.log(scale[c, c])
        if n_segments:
            for c in range(N):
                g, rise, _ = _softened(x[i, N + c])
                tau[i, c] = 0.5 * between[c] * g
                log_jacobian[i] += math.log(rise / g)
        for s in range(n_segments):
            epsilon = x[i, N * (2 + s) : N * (3 + s)]
            root = _inverse_of_cholesky(precision[s], 1 / tau[i] ** 2)
            deviation = root.T @ (root @ (linear[s] - precision[s] @ mu[i]) + epsilon)
            for c in range(N):
                z[i, s, c] = deviation[c] / tau[i, c]
                log_jacobian[i] += math.log(root[c, c] / tau[i, c])
    return mu, tau, z, log_jacobian


@compiled
def unfolded(x, prior, coordinates):  # type: ignore[no-untyped-def]
    """From coordinates to η ``(group, component)``, in the order of the definitions.

    Also returns the log-density without the likelihood, its gradient by μ and ln τ as far as it
    does not come by η, and what ``folded`` goes back by.
    """
    mean, sd, between = prior
    centre, scale, linear, precision = coordinates
    N, n_segments = len(centre), len(linear)
    value = 0.0

    mu = centre + scale @ x[:N]
    eta = np.empty((n_segments + 1, N))
    eta[0] = mu
    by_mu = np.empty(N)
    for c in range(N):
        standard = (mu[c] - mean[c]) / sd[c]
        value += math.log(scale[c, c] / sd[c]) - _HALF_LOG_2_PI - 0.5 * standard * standard
        by_mu[c] = -standard / sd[c]

    log_tau, rise, by_log_tau, by_u = np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(N)
    if n_segments:
        for c in range(N):
            g, cumulative, density = _softened(x[N + c])
            standard = 0.5 * g  # τ / τ₀
            log_tau[c] = math.log(standard * between[c])
            rise[c] = cumulative / g  # ∂ ln τ / ∂u
            value += math.log(0.5 * cumulative) + _HALF_LOG_2_OVER_PI - 0.5 * standard * standard
            by_u[c] = density / cumulative
            by_log_tau[c] = -standard * standard
    shrinkage = np.exp(-2 * log_tau)  # τ⁻²

    epsilon = x[2 * N :].reshape(-1, N)
    root = np.empty((n_segments, N, N))  # V = rootᵀ root
    pull = np.empty((n_segments, N))  # h − Λμ
    whitened = np.empty((n_segments, N))  # η_s − μ = rootᵀ whitened
    for s in range(n_segments):
        root[s] = _inverse_of_cholesky(precision[s], shrinkage)
        pull[s] = linear[s] - precision[s] @ mu
        whitened[s] = root[s] @ pull[s] + epsilon[s]
        eta[s + 1] = mu + root[s].T @ whitened[s]
        for c in range(N):
            z = (eta[s + 1, c] - mu[c]) * math.exp(-log_tau[c])
            value += math.log(root[s, c, c]) - log_tau[c] - _HALF_LOG_2_PI - 0.5 * z * z
            by_log_tau[c] += z * z - 1
    way = (shrinkage, rise, by_u, root, pull, whitened)
    return eta, value, by_mu, by_log_tau, way


@compiled
def folded(by_eta, eta, by_mu, by_log_tau, way, coordinates):  # type: ignore[no-untyped-def]
    """From the likelihood's gradient by η to the gradient by the coordinates, backwards."""
    _, scale, _, precision = coordinates
    shrinkage, rise, by_u, root, pull, whitened = way
    N, n_segments = len(by_mu), len(root)
    slope = np.zeros(N * (2 + n_segments) if n_segments else N)
    by_mu += by_eta[0]
    for s in range(n_segments):
        by_mu += by_eta[s + 1]
        by_deviation = by_eta[s + 1] - (eta[s + 1] - eta[0]) * shrinkage
        by_whitened = root[s] @ by_deviation
        slope[N * (2 + s) : N * (3 + s)] = by_whitened
        by_mu -= precision[s] @ (root[s].T @ by_whitened)
        by_root = np.outer(whitened[s], by_deviation) + np.outer(by_whitened, pull[s])
        for c in range(N):
            by_root[c, c] += 1 / root[s, c, c]
        # root (Λ + D) rootᵀ = 1, so ∂root = −lower(root ∂D rootᵀ) root, half of the diagonal.
        inner = by_root @ root[s].T
        for c in range(N):
            for k in range(N):
                for j in range(k + 1):
                    share = 0.5 if j == k else 1.0
                    moved = share * inner[k, j] * root[s, k, c] * root[s, j, c]
                    by_log_tau[c] += 2 * shrinkage[c] * moved
    slope[:N] = scale.T @ by_mu
    if n_segments:
        slope[N : 2 * N] = by_u + by_log_tau * rise
    return slope


@compiled
def _softened(u: float) -> tuple[float, float, float]:
    """g(u) = u Φ(u) + φ(u), its derivative Φ(u), and φ(u)."""
    density = math.exp(-0.5 * u * u - _HALF_LOG_2_PI)
    cumulative = 0.5 * math.erfc(-u * math.sqrt(0.5))
    return u * cumulative + density, cumulative, density


@compiled
def _inverse_of_cholesky(precision: Floats, diagonal: Floats) -> Floats:
    """C⁻¹, lower triangular, of C Cᵀ = precision + diag(diagonal); NaN if that is not definite."""
    N = len(diagonal)
    lower, inverse = np.zeros((N, N)), np.zeros((N, N))
    for i in range(N):
        for j in range(i + 1):
            rest = precision[i, j]
            for k in range(j):
                rest -= lower[i, k] * lower[j, k]
            if i == j:
                lower[i, i] = math.sqrt(rest + diagonal[i])
                inverse[i, i] = 1 / lower[i, i]
            else:
                lower[i, j] = rest / lower[j, j]
    for i in range(N):
        for j in range(i):
            for k in range(j, i):
                inverse[i, j] -= lower[i, k] * inverse[k, j] * inverse[i, i]
    return inverse


_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
_HALF_LOG_2_OVER_PI = 0.5 * math.log(2 / math.pi)
