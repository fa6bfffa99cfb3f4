"""The hierarchical BG/NBD model in PyMC, partially pooled across segments."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_clv.bgnbd import Dropout
from bayes_clv.centering import Start, find_start
from bayes_clv.kernel import Layout, Tensor, fused_log_likelihood
from bayes_clv.landmarks import LandmarkTable
from bayes_clv.priors import COMPONENTS, Priors
from bayes_clv.segments.rules import POPULATION


def build_model(
    table: LandmarkTable,
    segment_names: tuple[str, ...],
    priors: Priors | None = None,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> pm.Model:
    """Build the model of a landmark table.

    With fewer than two segments the model is pooled: the population is everybody.

    Returns
    -------
    A PyMC model with the free variables ``mu (component)`` and, with two segments or more,
    ``tau (component)`` and ``w (segment, component)``, partly centred (see
    :mod:`bayes_clv.centering`); the deterministics ``r, alpha, a, b (segment)`` and
    ``r_population, …``, in days; and the potential ``landmark_log_likelihood``.
    """
    priors = priors or Priors()
    pooled = len(segment_names) < 2
    if pooled:  # a single segment's rows carry its code, but its parameters are the population's
        table = replace(table, segment=np.full(len(table), POPULATION))
    time_unit = table.mean_T
    layout = Layout.of(table, 0 if pooled else len(segment_names), time_unit, dropout)
    start = find_start(layout, priors)
    with pm.Model(coords={"component": COMPONENTS, "segment": segment_names}) as model:
        mu = pm.Normal(
            "mu",
            priors.column("mean"),
            priors.column("sd"),
            dims="component",
            initval=start.mode[0],
        )
        eta = mu[None, :]
        if not pooled:
            eta = pt.concatenate([eta, _segments(mu, priors, start)])
        parameters = _parameters(eta)
        for name, value in zip(("r", "alpha", "a", "b"), parameters, strict=True):
            in_days = value * (time_unit if name == "alpha" else 1.0)
            pm.Deterministic(f"{name}_population", in_days[0])
            pm.Deterministic(name, in_days if pooled else in_days[1:], dims="segment")
        pm.Potential("landmark_log_likelihood", fused_log_likelihood(parameters, layout))
    return model


def _segments(mu: Tensor, priors: Priors, start: Start) -> Tensor:
    """η_s = μ + τ z_s, z_s ~ Normal(0, 1), in coordinates w that NUTS moves through easily."""
    centred, scale = start.centred, np.array(priors.column("between"))
    tau = pm.HalfNormal("tau", scale, dims="component", initval=scale)
    population, segments = start.mode[0], start.mode[1:]
    w = pm.Normal(
        "w",
        centred * mu,
        tau**centred,
        dims=("segment", "component"),
        initval=(segments - population) * scale ** (centred - 1) + centred * population,
    )
    return mu + tau ** (1 - centred) * (w - centred * mu)


def _parameters(eta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Turn η ``(group, component)`` into r, α, a, b; durations in units of the mean T."""
    rate, shape, dropout, concentration = (eta[:, i] for i in range(len(COMPONENTS)))
    r, total = pt.exp(shape), pt.exp(concentration)
    return r, r * pt.exp(-rate), total * pt.sigmoid(dropout), total * pt.sigmoid(-dropout)
