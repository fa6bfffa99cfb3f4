r"""Coordinates in which the posterior is close to a standard normal: a choice, not of model.

NUTS takes the fewest steps where all directions are alike. The textbook coordinates of a hierarchy
are not: centred ones (η) narrow to a funnel as τ → 0, non-centred ones (z) bend where a segment's
data pin η down, and a segment's components are strongly correlated either way. Here the data
themselves say which: near its mode segment s's log-likelihood is hᵀη − ½ ηᵀΛη, so given μ and τ

    η_s ≈ Normal(μ + V (h − Λ μ), V),   V = (Λ + diag τ⁻²)⁻¹,

and the coordinate ε of  η_s = μ + V (h − Λμ) + V^½ ε  is a standard normal that knows nothing of μ
and τ, up to what the quadratic leaves out. Without data it is the non-centred z, with many it is
the whitened η, and in between both ends of τ are well behaved. It generalises partial centring
(Papaspiliopoulos, Roberts & Sköld 2007, Statistical Science 22(1), 59–73) to weights that follow τ.

μ is whitened by the precision that all of this gives it at a middling τ. τ is τ₀/2 · g(u) with
g(u) = u Φ(u) + φ(u), for u has Gaussian tails on both sides, and ln τ a long one towards τ = 0.

The quadratics are read off the likelihood that NUTS runs on. They may be as wrong as they like:
they cost steps, never truth, since the density includes the Jacobian.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import minimize

from bayes_clv.priors import HierarchicalPriors

type Floats = NDArray[np.float64]

# From η (group, component) to the log-likelihood and its gradient by η.
type LogLikelihood = Callable[[Floats], tuple[float, Floats]]


@dataclass(frozen=True, slots=True)
class Coordinates:
    """What the change of coordinates needs to know of the data.

    Attributes
    ----------
    centre, scale
        ``(component,)``, ``(component, component)``: μ = centre + scale · its coordinates.
    linear, precision
        ``(segment, component)`` h and ``(segment, component, component)`` Λ.
    """

    centre: Floats
    scale: Floats
    linear: Floats
    precision: Floats


def find_coordinates(
    log_likelihood: LogLikelihood, n_groups: int, priors: HierarchicalPriors
) -> Coordinates:
    """Find every group's mode under its marginal prior, and the quadratic there."""
    mean, sd, between = (np.array(priors.column(name)) for name in ("mean", "sd", "between"))
    variance = np.tile(sd**2, (n_groups, 1))
    variance[1:] += between**2
    mode = _modes(log_likelihood, mean, variance)
    slope = log_likelihood(mode)[1]
    precision = np.array(
        [_without_negative_part(matrix) for matrix in _curvature(mode, log_likelihood)]
    )
    linear = slope + np.einsum("gij,gj->gi", precision, mode)
    # What each group says about μ: a segment through the spread between segments.
    said = precision[1:] @ np.linalg.inv(np.eye(len(mean)) + between[:, None] ** 2 * precision[1:])
    of_mu = np.diag(1 / sd**2) + precision[0] + said.sum(axis=0)
    scale = np.linalg.inv(np.linalg.cholesky((of_mu + of_mu.T) / 2)).T
    return Coordinates(mode[0], scale, linear[1:], precision[1:])


def _modes(log_likelihood: LogLikelihood, mean: Floats, variance: Floats) -> Floats:
    """Maximise each group's penalised log-likelihood, ``(group, component)``.

    By Newton's method with trust in a step of length one at most: a longer one can end where a + b
    is so large that nothing tells the way back, and many customers make long steps.
    """

    def loss(flat: Floats) -> tuple[float, Floats]:
        away = flat.reshape(variance.shape)
        value, slope = log_likelihood(mean + away)
        penalty = away / variance
        return -value + 0.5 * np.sum(penalty * away), (penalty - slope).ravel()

    def curvature(flat: Floats) -> Floats:
        hessians = _curvature(mean + flat.reshape(variance.shape), log_likelihood)
        whole: Floats = block_diag(*hessians) + np.diag(1 / variance.ravel())
        return whole

    found = minimize(
        loss,
        np.zeros(variance.size),
        jac=True,
        hess=curvature,
        method="trust-exact",
        options={"initial_trust_radius": 0.5, "max_trust_radius": 1.0, "gtol": 0.03},
    ).x
    mode: Floats = mean + found.reshape(variance.shape)
    return mode


def _curvature(mode: Floats, log_likelihood: LogLikelihood, step: float = 1e-4) -> Floats:
    """Minus the Hessian of each group, ``(group, component, component)``, by central differences.

    Groups do not interact, so one component of all groups is moved at a time.
    """
    columns = []
    for component in range(mode.shape[1]):
        move = np.zeros_like(mode)
        move[:, component] = step
        up, down = (log_likelihood(mode + sign * move)[1] for sign in (1, -1))
        columns.append((down - up) / (2 * step))
    hessian = np.stack(columns, axis=2)
    return (hessian + hessian.transpose(0, 2, 1)) / 2


def _without_negative_part(matrix: Floats) -> Floats:
    """Curvature is indefinite where weights are negative: such directions carry no information."""
    values, vectors = np.linalg.eigh(matrix)
    nonnegative: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return nonnegative
