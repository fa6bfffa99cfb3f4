"""The hierarchical BG/NBD model in PyMC, partially pooled across segments.

The likelihood is a plain expression, which follows :func:`bayes_clv.models.bgnbd.log_likelihood`
line by line and evaluates every row of the table; :mod:`bayes_clv.inference.purchases.likelihood`
gives the same value and its gradient at a fraction of the cost; the two are compared before every
fit.
"""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import COMPONENTS, Priors
from bayes_clv.segments.rules import POPULATION

type Tensor = Any  # a PyTensor variable: its own type hints know no arithmetic


def build_model(
    table: LandmarkTable,
    segment_names: tuple[str, ...],
    priors: Priors | None = None,
    *,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    time_unit: float | None = None,
) -> pm.Model:
    """Build the model of a landmark table.

    With fewer than two segments the model is pooled: every row is the population's.

    Parameters
    ----------
    table
        The data: (segment, x, t_x, T) with weights, in days.
    segment_names
        In the order of their codes.
    priors
        By default those of :class:`bayes_clv.models.priors.Priors`.
    dropout
        When customers may leave.
    time_unit
        Days that the priors' unit of time stands for; by default the table's mean T.

    Returns
    -------
    A PyMC model with the free variables ``mu (component)`` and, with two segments or more,
    ``tau (component)`` and ``z (segment, component)``; the deterministics
    ``r, alpha, a, b (segment)`` and ``r_population, …``, in days; and the potential
    ``landmark_log_likelihood``.
    """
    priors = priors or Priors()
    time_unit = time_unit or table.mean_T
    pooled = len(segment_names) < 2
    with pm.Model(coords={"component": COMPONENTS, "segment": segment_names}) as model:
        mu = pm.Normal("mu", priors.column("mean"), priors.column("sd"), dims="component")
        eta = mu[None, :]
        if not pooled:
            tau = pm.HalfNormal("tau", priors.column("between"), dims="component")
            z = pm.Normal("z", 0, 1, dims=("segment", "component"))
            eta = pt.concatenate([mu + tau * z, eta])
        parameters = _parameters(eta)
        for name, value in zip(("r", "alpha", "a", "b"), parameters, strict=True):
            in_days = value * (time_unit if name == "alpha" else 1.0)
            pm.Deterministic(f"{name}_population", in_days[-1])
            by_segment = in_days if pooled else in_days[:-1]
            pm.Deterministic(name, by_segment, dims="segment")
        log_likelihood = symbolic_log_likelihood(
            parameters, table, time_unit, dropout, pooled=pooled
        )
        pm.Potential("landmark_log_likelihood", log_likelihood)
    return model


def _parameters(eta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Turn η ``(group, component)`` into r, α, a, b; durations in units of the mean T."""
    rate, shape, dropout, concentration = (eta[:, i] for i in range(len(COMPONENTS)))
    r, total = pt.exp(shape), pt.exp(concentration)
    return r, r * pt.exp(-rate), total * pt.sigmoid(dropout), total * pt.sigmoid(-dropout)


def symbolic_log_likelihood(
    parameters: tuple[Tensor, Tensor, Tensor, Tensor],
    table: LandmarkTable,
    time_unit: float,
    dropout: Dropout,
    *,
    pooled: bool = False,
) -> Tensor:
    """Return Σ weight · ll(x, t_x, T), a scalar.

    Parameters
    ----------
    parameters
        r, α, a, b, each ``(group,)``: the segments by code, and the population last; α in units
        of ``time_unit`` days.
    table
        The rows; durations in days.
    time_unit
        Days in a unit of time.
    dropout
        When customers may leave.
    pooled
        Whether every row is the population's, whatever its segment.
    """
    group = np.full(len(table), POPULATION) if pooled else table.segment
    r, alpha, a, b = (value[group] for value in parameters)
    x, n = table.frequency, dropout.chances(table.frequency)
    log_T = pt.log(alpha + table.T / time_unit)
    log_recency = pt.log(alpha + table.recency / time_unit)
    still_alive = -(r + x) * log_T
    left_at_last = pt.log(a) - pt.log(b + np.maximum(n - 1, 0)) - (r + x) * log_recency
    log_likelihood = (
        pt.gammaln(r + x)
        - pt.gammaln(r)
        + r * pt.log(alpha)
        + _betaln(a, b + n)
        - _betaln(a, b)
        + pt.where(n > 0, pt.logaddexp(still_alive, left_at_last), still_alive)
    )
    return pt.sum(table.weight * log_likelihood)


def _betaln(a: Tensor, b: Tensor) -> Tensor:
    return pt.gammaln(a) + pt.gammaln(b) - pt.gammaln(a + b)
