"""Hyperparameters of the purchase model: from η to r, α, a, b, and draws from the priors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_clv.models.bgnbd import Parameters
from bayes_clv.models.priors import COMPONENTS, Priors, ReactivationPriors
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.numerics.jit import compiled

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Draws of the purchase model's hyperparameters, from the prior or the posterior.

    Attributes
    ----------
    mu, tau
        ``(component, sample)``; ``tau`` is None for a pooled model.
    parameters
        r, α (days), a, b ``(segment + 1, sample)``; code −1 indexes the population, which is last.
    reactivation
        ``(sample,)``, α in days; None in a model without it.
    """

    mu: Floats
    tau: Floats | None
    parameters: Parameters
    reactivation: Reactivation | None = None


@compiled
def parameters_of(eta: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Turn η ``(group, component)`` into r, α, a, b; durations in units of the mean T."""
    rate, shape, dropout, concentration = eta[:, 0], eta[:, 1], eta[:, 2], eta[:, 3]
    total = np.exp(concentration)
    a, b = total / (1 + np.exp(-dropout)), total / (1 + np.exp(dropout))
    return np.exp(shape), np.exp(shape - rate), a, b


def draw_prior(
    rng: np.random.Generator,
    priors: Priors,
    n_segments: int,
    time_unit: float,
    size: int = 1,
    reactivation: ReactivationPriors | None = None,
) -> Hyperparameters:
    """Draw hyperparameters from the priors of :mod:`bayes_clv.models.priors`.

    Parameters
    ----------
    n_segments
        Number of segments with their own parameters; 0 for a pooled model.
    time_unit
        The priors' unit of time, in days.
    size
        Number of samples.
    reactivation
        Priors of reactivation; None for a model without it.
    """
    n = len(COMPONENTS)
    mean, sd, between = (
        np.array(priors.column(name))[:, None] for name in ("mean", "sd", "between")
    )
    mu = mean + sd * rng.standard_normal((n, size))
    if n_segments:
        tau = np.abs(between * rng.standard_normal((n, size)))
        eta = np.stack([*(mu + tau * rng.standard_normal((n_segments, n, size))), mu])
    else:
        tau = None
        eta = np.stack([mu, mu])  # a pooled model's one segment is the population
    r, alpha, a, b = parameters_of(eta.transpose(0, 2, 1).reshape(-1, n))
    shape = (len(eta), size)
    in_days = Parameters(*(it.reshape(shape) for it in (r, alpha * time_unit, a, b)))
    coming_back = None
    if reactivation is not None:
        mean, sd = (np.array(reactivation.column(name))[:, None] for name in ("mean", "sd"))
        coming_back = reactivation_at(mean + sd * rng.standard_normal((3, size)), time_unit)
    return Hyperparameters(mu, tau, in_days, coming_back)


def reactivation_at(v: Floats, time_unit: float) -> Reactivation:
    """Turn logit ε, ln(r_f/α_f), ln r_f ``(3, …)`` into ε, r_f and, in days, α_f."""
    log_odds, rate, shape = v
    chance = 1 / (1 + np.exp(-log_odds))
    return Reactivation(chance, np.exp(shape), np.exp(shape - rate) * time_unit)


def components_of(reactivation: Reactivation, time_unit: float) -> Floats:
    """Return logit ε, ln(r_f/α_f), ln r_f ``(3, …)``: the inverse of ``reactivation_at``."""
    chance, r, alpha = reactivation.probability, reactivation.r, reactivation.alpha
    rate = np.log(r * time_unit / alpha)
    return np.stack([np.log(chance) - np.log1p(-chance), rate, np.log(r)])
