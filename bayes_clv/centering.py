r"""How much each segment's parameter is centred: a choice of coordinates, not of model.

η_s = μ + τ z has one distribution and many coordinates. Non-centred draws (z) suit segments that
the data say little about, centred ones (η itself) those that thousands of customers pin down; mixed
up, either costs many times the leapfrog steps. In between lies, per segment and component,

    w ~ Normal(λ μ, τ^λ),   η = μ + τ^(1−λ) (w − λ μ),   0 ≤ λ ≤ 1,

with the same η whatever λ (Gorinova, Moore & Hoffman 2020, ICML, "Automatic reparameterisation of
probabilistic programs"). λ = d / (d + 1/τ₀²), with d the precision that the data give η_s, leaves
little correlation between w and (μ, τ) for τ near τ₀, which is set to a small but plausible spread
of the segments. d is read off the curvature of each group's penalised log-likelihood at its mode,
from the same kernel that NUTS runs on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from bayes_clv.kernel import Layout, log_likelihood_and_gradient
from bayes_clv.priors import Priors

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Start:
    """Where to start, and in which coordinates.

    Attributes
    ----------
    mode
        ``(group, component)`` η at the mode of each group by itself; the population comes first.
    centred
        ``(segment, component)`` λ.
    """

    mode: Floats
    centred: Floats


def find_start(layout: Layout, priors: Priors) -> Start:
    """Find the mode of every group under its marginal prior, and λ from the curvature there."""
    mean, sd, between = (np.array(priors.column(name)) for name in ("mean", "sd", "between"))
    n_groups = len(layout.group_weight)
    variance = np.tile(sd**2, (n_groups, 1))
    variance[1:] += between**2

    def loss(flat: Floats) -> tuple[float, Floats]:
        eta = flat.reshape(n_groups, -1)
        value, slope = value_and_slope(eta, layout)
        penalty = (eta - mean) / variance
        return -value + 0.5 * np.sum(penalty * (eta - mean)), (penalty - slope).ravel()

    mode = minimize(loss, np.tile(mean, n_groups), jac=True, method="BFGS").x.reshape(n_groups, -1)
    precision = np.zeros((n_groups, len(mean)))
    for group, curvature in enumerate(_curvature(mode, layout)):
        # Curvature may be indefinite where weights are negative: such a segment is not centred.
        total = curvature + np.diag(1 / variance[group])
        if np.linalg.eigvalsh(total).min() > 0:
            marginal = np.diag(np.linalg.inv(total))
            precision[group] = np.maximum(1 / marginal - 1 / variance[group], 0.0)
    reach = _smallest_spread(mode[1:], precision[1:], between)
    return Start(mode, precision[1:] / (precision[1:] + 1 / reach**2))


def value_and_slope(eta: Floats, layout: Layout) -> tuple[float, Floats]:
    """Log-likelihood and its gradient by η ``(group, component)``."""
    rate, shape, dropout, concentration = eta.T
    r, total = np.exp(shape), np.exp(concentration)
    alpha, share = r * np.exp(-rate), expit(dropout)
    a, b = total * share, total * (1 - share)
    value, by_r, by_alpha, by_a, by_b = log_likelihood_and_gradient(r, alpha, a, b, layout)
    slope = np.column_stack(
        [
            -alpha * by_alpha,
            r * by_r + alpha * by_alpha,
            a * (1 - share) * by_a - b * share * by_b,
            a * by_a + b * by_b,
        ]
    )
    return value, slope


def _smallest_spread(mode: Floats, precision: Floats, between: Floats) -> Floats:
    """Small but plausible τ, ``(component,)``: half the spread of the modes beyond their noise.

    Centring has to hold up where τ is small, for there the funnel is.
    """
    weight = precision / np.maximum(precision.sum(axis=0), 1e-300)
    mean = np.sum(weight * mode, axis=0)
    spread = np.sum(weight * (mode - mean) ** 2, axis=0)
    noise = len(mode) / np.maximum(precision.sum(axis=0), 1e-300)
    return np.clip(np.sqrt(np.maximum(spread - noise, 0.0)) / 2, between / 4, between)


def _curvature(mode: Floats, layout: Layout, step: float = 1e-4) -> Floats:
    """Minus the Hessian of each group, ``(group, component, component)``, by central differences.

    Groups do not interact, so one component of all groups is moved at a time.
    """
    columns = []
    for component in range(mode.shape[1]):
        move = np.zeros_like(mode)
        move[:, component] = step
        up, down = (value_and_slope(mode + sign * move, layout)[1] for sign in (1, -1))
        columns.append((down - up) / (2 * step))
    hessian = np.stack(columns, axis=2)
    return (hessian + hessian.transpose(0, 2, 1)) / 2
