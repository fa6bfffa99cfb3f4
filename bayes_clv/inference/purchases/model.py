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
from numpy.typing import NDArray

from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.stretches import StretchTable
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import COMPONENTS, Priors, ReactivationPriors
from bayes_clv.posterior.draws import REACTIVATION
from bayes_clv.segments.rules import POPULATION

type Floats = NDArray[np.float64]
type Tensor = Any  # a PyTensor variable: its own type hints know no arithmetic


def build_model(
    table: LandmarkTable,
    segment_names: tuple[str, ...],
    priors: Priors | None = None,
    *,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    time_unit: float | None = None,
    stretches: StretchTable | None = None,
    reactivation: ReactivationPriors | None = None,
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
    stretches, reactivation
        For a model whose customers may come back: what followed the states of ``table``, which are
        the first ones then; and the priors of reactivation.

    Returns
    -------
    A PyMC model with the free variables ``mu (component)`` and, with two segments or more,
    ``tau (component)`` and ``z (segment, component)``; the deterministics
    ``r, alpha, a, b (segment)`` and ``r_population, …``, in days; and the potential
    ``landmark_log_likelihood``. With stretches there are also the free variable
    ``afresh (variable)``, the deterministics ``reactivation, r_afresh, alpha_afresh`` (days), and
    the potential ``stretch_log_likelihood``.
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
        if stretches is not None:
            _add_stretches(parameters, stretches, reactivation, time_unit, dropout)
    return model


def _add_stretches(
    parameters: tuple[Tensor, Tensor, Tensor, Tensor],
    stretches: StretchTable,
    priors: ReactivationPriors | None,
    time_unit: float,
    dropout: Dropout,
) -> None:
    """Add the variables of reactivation and the likelihood of stretches to the model at hand."""
    priors = priors or ReactivationPriors()
    pm.modelcontext(None).add_coord("of_afresh", priors.components())
    afresh = pm.Normal("afresh", priors.column("mean"), priors.column("sd"), dims="of_afresh")
    chance, r, alpha = pt.sigmoid(afresh[0]), pt.exp(afresh[2]), pt.exp(afresh[2] - afresh[1])
    for name, value in zip(REACTIVATION, (chance, r, alpha * time_unit), strict=True):
        pm.Deterministic(name, value)
    own, fresh = symbolic_log_likelihood_of_stretches(
        parameters, (r, alpha), stretches, time_unit, dropout
    )
    mixed = pt.logaddexp(-pt.softplus(afresh[0]) + own, -pt.softplus(-afresh[0]) + fresh)
    pm.Potential("stretch_log_likelihood", pt.sum(stretches.weight * mixed))


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
    by_row = tuple(value[group] for value in parameters)
    times = table.recency / time_unit, table.T / time_unit
    each = _log_likelihood(by_row, table.frequency, *times, dropout)
    return pt.sum(table.weight * each)


def symbolic_log_likelihood_of_stretches(
    parameters: tuple[Tensor, Tensor, Tensor, Tensor],
    afresh: tuple[Tensor, Tensor],
    table: StretchTable,
    time_unit: float,
    dropout: Dropout,
) -> tuple[Tensor, Tensor]:
    """Return the two log-likelihoods of each stretch: given the state before it, and as if afresh.

    Parameters
    ----------
    parameters
        r, α, a, b, each ``(group,)``, as in ``symbolic_log_likelihood``.
    afresh
        r_f and α_f.
    table
        The stretches; durations in days.
    time_unit
        Days in a unit of time.
    dropout
        When customers may leave.
    """
    by_row = tuple(value[table.segment] for value in parameters)
    x, y = table.frequency, table.purchases
    recency, T, last, days = (
        it / time_unit for it in (table.recency, table.T, table.last, table.days)
    )
    before = _log_likelihood(by_row, x, recency, T, dropout)
    last_purchase = np.where(y > 0, T + last, recency)
    after = _log_likelihood(by_row, x + y, last_purchase, T + days, dropout)
    new = (*afresh, *by_row[2:])
    return after - before, _log_likelihood(new, y, last, days, Dropout.AFTER_REPEAT)


def _log_likelihood(
    parameters: tuple[Tensor, ...], x: Floats, recency: Floats, T: Floats, dropout: Dropout
) -> Tensor:
    """Of each row, whose parameters these are; times and α in one unit."""
    r, alpha, a, b = parameters
    n = dropout.chances(x)
    still_alive = -(r + x) * pt.log(alpha + T)
    left_at_last = pt.log(a) - pt.log(b + np.maximum(n - 1, 0)) - (r + x) * pt.log(alpha + recency)
    return (
        pt.gammaln(r + x)
        - pt.gammaln(r)
        + r * pt.log(alpha)
        + _betaln(a, b + n)
        - _betaln(a, b)
        + pt.where(n > 0, pt.logaddexp(still_alive, left_at_last), still_alive)
    )


def _betaln(a: Tensor, b: Tensor) -> Tensor:
    return pt.gammaln(a) + pt.gammaln(b) - pt.gammaln(a + b)
