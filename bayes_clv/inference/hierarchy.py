r"""A hierarchy in coordinates that suit NUTS: its density and gradient around any likelihood.

The variables are μ ``(component,)`` and, with segments, τ ``(component,)`` and z ``(segment,
component)``, with priors as in :mod:`bayes_clv.models.priors`; a likelihood sees η ``(group,
component)``, the population's row last. The coordinates x are one vector, of μ ``(component,)``
and, with segments, u ``(component,)`` for τ and ε ``(segment, component)``: see
:mod:`bayes_clv.inference.coordinates`.

``forward`` goes from x to η, ``backward`` with the likelihood's gradient from η to x; a compiled
density puts its own likelihood between the two. All of it is plain Numba code, compiled once for
all data sets and kept on disk: a fit waits for no compiler, and chains run side by side without
Python's lock.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_clv.inference.coordinates import Coordinates, coordinates_of_draws, find_coordinates
from bayes_clv.models.priors import HierarchicalPriors
from bayes_clv.numerics.jit import compiled

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
        ``(…,)`` ln |∂(μ, ln τ, z, those beside) / ∂x|.
    beside
        ``(…, variable)`` the model's variables beside the hierarchy's; mostly none.
    """

    mu: Floats
    tau: Floats
    z: Floats
    log_jacobian: Floats
    beside: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def eta(self) -> Floats:
        """``(…, group, component)`` of each segment, and of the population."""
        population = self.mu[..., None, :]
        segments = population + self.tau[..., None, :] * self.z
        return np.concatenate([segments, population], axis=-2)


class HierarchicalDensity(ABC):
    """The log-density of a model as a function of its coordinates, for NUTS.

    Attributes
    ----------
    compiled
        From ``x (n_dim,)`` and ``arguments`` to the value and the gradient, in machine code.
    scalars
        Names of the model's variables beside the hierarchy's, whose coordinates are the last ones.
    """

    compiled: ClassVar[Callable[..., tuple[float, Floats]]]
    scalars: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, priors: HierarchicalPriors, n_groups: int, coordinates: Coordinates | None = None
    ) -> None:
        """Use the coordinates given, or find those that suit the likelihood."""
        self.priors = priors
        self.prior = priors.arrays()
        self.coordinates = coordinates or find_coordinates(self.log_likelihood, n_groups, priors)
        self.n_segments = n_groups - 1
        n_components = len(priors.components())
        self.n_dim = n_components * (2 + self.n_segments if self.n_segments else 1)
        self.n_dim += len(self.scalars)

    @abstractmethod
    def log_likelihood(self, eta: Floats) -> tuple[float, Floats]:
        """Value and gradient by η, both of ``eta (group, component)``."""

    @property
    @abstractmethod
    def arguments(self) -> tuple[Any, ...]:
        """What ``compiled`` takes beside x: NamedTuples of arrays."""

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient at ``x (n_dim,)``."""
        value, slope = self.compiled(x, *self.arguments)
        return value, slope

    @abstractmethod
    def parameters(self, at: Variables) -> Mapping[str, Floats]:
        """The model's parameters by name, ``(…, group)``, in the units of the log."""

    def point(self, at: Variables) -> dict[str, Floats]:
        """The free variables of the PyMC model, by name."""
        if not self.n_segments:
            return {"mu": at.mu}
        return {"mu": at.mu, "tau_log__": np.log(at.tau), "z": at.z}

    def scalars_at(self, at: Variables) -> Mapping[str, Floats]:
        """The variables named in ``scalars``, each ``(…,)``, in the units of the log."""
        return {}

    def in_coordinates_of(self, tau: Floats, eta: Floats, scalars: Mapping[str, Floats]) -> Self:
        """The same density, in coordinates estimated from draws of it.

        Parameters
        ----------
        tau
            ``(draw, component)``.
        eta
            ``(draw, group, component)``.
        scalars
            Each of ``scalars``, ``(draw,)``.
        """
        found = copy(self)
        found.coordinates = coordinates_of_draws(found.log_likelihood, tau, eta, self.priors)
        return found

    def variables(self, x: Floats) -> Variables:
        """Turn coordinates ``(…, n_dim)`` into the model's variables."""
        flat = np.ascontiguousarray(x.reshape(-1, self.n_dim))
        parts: tuple[Any, ...] = _variables(flat, self.coordinates)
        return Variables(*(part.reshape(x.shape[:-1] + part.shape[1:]) for part in parts))

    def start(self, seed: int) -> Floats:
        """Draw a starting point, about twice as far out as the posterior."""
        return 2 * np.random.default_rng(seed).standard_normal(self.n_dim)


@compiled
def _variables(x, coordinates):  # type: ignore[no-untyped-def]
    N, n_segments = len(coordinates.centre), len(coordinates.linear)
    mu, tau = np.empty((len(x), N)), np.ones((len(x), N))
    z, log_jacobian = np.empty((len(x), n_segments, N)), np.zeros(len(x))
    for i in range(len(x)):
        mu[i] = coordinates.centre + coordinates.scale @ x[i, :N]
        for c in range(N):
            log_jacobian[i] += math.log(coordinates.scale[c, c])
            if n_segments:
                at = _spread(x[i, N + c], c, coordinates)
                tau[i, c] = math.exp(at.log_tau)
                log_jacobian[i] += math.log(at.rise)
        for s in range(n_segments):
            root = _inverse_of_cholesky(coordinates.precision[s], 1 / tau[i] ** 2)
            pull = coordinates.linear[s] - coordinates.precision[s] @ mu[i]
            deviation = root.T @ (root @ pull + x[i, N * (2 + s) : N * (3 + s)])
            for c in range(N):
                z[i, s, c] = deviation[c] / tau[i, c]
                log_jacobian[i] += math.log(root[c, c] / tau[i, c])
    return mu, tau, z, log_jacobian


class Saved(NamedTuple):
    """Intermediate results of ``forward`` that ``backward`` uses.

    Attributes
    ----------
    shrinkage
        ``(component,)`` τ⁻².
    rise, by_u
        ``(component,)`` ∂ ln τ / ∂u; the part of the gradient by u that is not by way of ln τ.
    root
        ``(segment, component, component)`` lower triangular, V = rootᵀ root.
    pull, whitened, deviation
        ``(segment, component)`` h − Λμ; root · pull + ε; η_s − μ = rootᵀ whitened.
    by_mu, by_log_tau
        ``(component,)`` the part of the gradient by μ and by ln τ that is not by way of η.
    """

    shrinkage: Floats
    rise: Floats
    by_u: Floats
    root: Floats
    pull: Floats
    whitened: Floats
    deviation: Floats
    by_mu: Floats
    by_log_tau: Floats


@compiled
def forward(x, prior, coordinates):  # type: ignore[no-untyped-def]
    """From coordinates to η ``(group, component)``, in the order of the definitions.

    Also returns the log-density without the likelihood, and the ``Saved`` for ``backward``.
    """
    N, n_segments = len(coordinates.centre), len(coordinates.linear)
    value = 0.0

    mu = coordinates.centre + coordinates.scale @ x[:N]
    eta = np.empty((n_segments + 1, N))
    eta[-1] = mu
    by_mu = np.empty(N)
    for c in range(N):
        standard = (mu[c] - prior.mean[c]) / prior.sd[c]
        value += math.log(coordinates.scale[c, c] / prior.sd[c]) - _HALF_LOG_2_PI
        value -= 0.5 * standard * standard
        by_mu[c] = -standard / prior.sd[c]

    log_tau, rise, by_log_tau, by_u = np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(N)
    if n_segments:
        for c in range(N):
            at = _spread(x[N + c], c, coordinates)
            log_tau[c], rise[c], by_u[c] = at.log_tau, at.rise, at.bend
            standard = math.exp(log_tau[c]) / prior.between[c]
            value += math.log(standard * rise[c]) + _HALF_LOG_2_OVER_PI - 0.5 * standard * standard
            by_log_tau[c] = 1 - standard * standard
    shrinkage = np.exp(-2 * log_tau)

    epsilon = x[2 * N :].reshape(-1, N)
    root = np.empty((n_segments, N, N))
    pull = np.empty((n_segments, N))
    whitened, deviation = np.empty((n_segments, N)), np.empty((n_segments, N))
    for s in range(n_segments):
        root[s] = _inverse_of_cholesky(coordinates.precision[s], shrinkage)
        pull[s] = coordinates.linear[s] - coordinates.precision[s] @ mu
        whitened[s] = root[s] @ pull[s] + epsilon[s]
        deviation[s] = root[s].T @ whitened[s]
        eta[s] = mu + deviation[s]
        for c in range(N):
            z = deviation[s, c] * math.exp(-log_tau[c])
            value += math.log(root[s, c, c]) - log_tau[c] - _HALF_LOG_2_PI - 0.5 * z * z
            by_log_tau[c] += z * z - 1
    saved = Saved(shrinkage, rise, by_u, root, pull, whitened, deviation, by_mu, by_log_tau)
    return eta, value, saved


@compiled
def backward(by_eta, saved, coordinates):  # type: ignore[no-untyped-def]
    """From the likelihood's gradient by η to the gradient of the log-density by x."""
    precision, shrinkage, root = coordinates.precision, saved.shrinkage, saved.root
    N, n_segments = len(coordinates.centre), len(root)
    slope = np.zeros(N * (2 + n_segments) if n_segments else N)
    by_mu, by_log_tau = saved.by_mu + by_eta[-1], saved.by_log_tau.copy()
    for s in range(n_segments):
        by_mu += by_eta[s]
        by_deviation = by_eta[s] - saved.deviation[s] * shrinkage
        by_whitened = root[s] @ by_deviation
        slope[N * (2 + s) : N * (3 + s)] = by_whitened
        by_mu -= precision[s] @ (root[s].T @ by_whitened)
        by_root = np.outer(saved.whitened[s], by_deviation) + np.outer(by_whitened, saved.pull[s])
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
    slope[:N] = coordinates.scale.T @ by_mu
    if n_segments:
        slope[N : 2 * N] = saved.by_u + by_log_tau * saved.rise
    return slope


class _Spread(NamedTuple):
    """Ln τ of one component at u, its derivative by u, and that of the derivative's logarithm."""

    log_tau: float
    rise: float
    bend: float


@compiled
def _spread(u, component, coordinates):  # type: ignore[no-untyped-def]
    """τ = unit · g(w)², w = offset + u/√2, with g(w) = w Φ(w) + φ(w)."""
    w = coordinates.offset[component] + _ROOT_HALF * u
    density = math.exp(-0.5 * w * w - _HALF_LOG_2_PI)
    cumulative = 0.5 * math.erfc(-w * _ROOT_HALF)
    g = w * cumulative + density
    log_tau = math.log(coordinates.unit[component]) + 2 * math.log(g)
    return _Spread(
        log_tau,
        2 * _ROOT_HALF * cumulative / g,
        _ROOT_HALF * (density / cumulative - cumulative / g),
    )


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
_ROOT_HALF = math.sqrt(0.5)
