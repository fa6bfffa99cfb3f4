"""The hierarchical BG/NBD model in PyMC, partially pooled across segments."""

import pymc as pm
import pytensor.tensor as pt

from bayes_clv.landmarks import LandmarkTable
from bayes_clv.likelihood import Tensor, symbolic_log_likelihood
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import COMPONENTS, Priors


def build_model(
    table: LandmarkTable,
    segment_names: tuple[str, ...],
    priors: Priors | None = None,
    *,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    time_unit: float | None = None,
) -> pm.Model:
    """Build the model of a landmark table.

    With fewer than two segments the model is pooled: the population is everybody.

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
            eta = pt.concatenate([eta, mu + tau * z])
        parameters = _parameters(eta)
        for name, value in zip(("r", "alpha", "a", "b"), parameters, strict=True):
            in_days = value * (time_unit if name == "alpha" else 1.0)
            pm.Deterministic(f"{name}_population", in_days[0])
            by_segment = in_days if pooled else in_days[1:]
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
