"""The hierarchical Gamma–Gamma model in PyMC, partially pooled across segments."""

from typing import Any

import numpy as np
import numpy.polynomial.chebyshev as cheb
import pymc as pm
import pytensor.tensor as pt

from bayes_clv.inference.spend.table import (
    CERTAIN,
    HIGHEST,
    LOWEST,
    MIDDLE,
    REACH,
    Floats,
    SpendSums,
    SpendTable,
)
from bayes_clv.models.priors import SPEND_COMPONENTS, SpendPriors

type Tensor = Any  # a PyTensor variable: its own type hints know no arithmetic


def build_spend_model(
    table: SpendTable, segment_names: tuple[str, ...], priors: SpendPriors | None = None
) -> pm.Model:
    """Build the model of a table of spend.

    Parameters
    ----------
    table
        From ``spend_table``.
    segment_names
        In the order of their codes.
    priors
        By default those of :class:`bayes_clv.models.priors.SpendPriors`.

    Returns
    -------
    A PyMC model with the free variables ``mu (component)`` and, with two segments or more,
    ``tau (component)`` and ``z (segment, component)``; the deterministics ``p, q, v (segment)`` and
    ``p_population, …``, v in the currency of the log; and the potential ``spend_log_likelihood``.
    """
    priors = priors or SpendPriors()
    with pm.Model(coords={"component": SPEND_COMPONENTS, "segment": segment_names}) as model:
        mu = pm.Normal("mu", priors.column("mean"), priors.column("sd"), dims="component")
        eta = mu[None, :]
        if table.n_segments:
            tau = pm.HalfNormal("tau", priors.column("between"), dims="component")
            z = pm.Normal("z", 0, 1, dims=("segment", "component"))
            eta = pt.concatenate([mu + tau * z, eta])
        level, shape, tail = eta[:, 0], _curbed(eta[:, 1]), _curbed(eta[:, 2])
        p, q, log_v = pt.exp(shape), 1 + pt.exp(tail), level + tail - shape
        for name, value in (("p", p), ("q", q), ("v", table.unit * pt.exp(log_v))):
            pm.Deterministic(f"{name}_population", value[-1])
            by_segment = value[:-1] if table.n_segments else value
            pm.Deterministic(name, by_segment, dims="segment")
        pm.Potential("spend_log_likelihood", _log_likelihood(p, q, log_v, table.sums))
    return model


def _curbed(component: Tensor) -> Tensor:
    return pt.minimum(component, CERTAIN) - pt.expm1(-pt.maximum(component - CERTAIN, 0))


def _log_likelihood(p: Tensor, q: Tensor, log_v: Tensor, sums: SpendSums) -> Tensor:
    at, then = sums.purchases_group, sums.more_group
    reached = pt.gammaln(p[at] * sums.purchases + q[at])
    episode = pt.gammaln(p[then] * sums.more)
    by_count = _smooth(sums.by_count, sums.count_slopes, log_v)
    by_one = _smooth(sums.by_one, sums.one_slopes, log_v)
    of_group = p * (sums.log_spend_by_purchase + by_count) - sums.log_spend + q * by_one
    return (
        pt.sum(sums.purchases_weight * reached)
        - pt.sum(sums.more_weight * episode)
        + pt.sum(of_group)
    )


def _smooth(coefficients: Floats, ends: Floats, u: Tensor) -> Tensor:
    """Each group's polynomial at its u; beyond its interval it goes over into lines."""
    inside = pt.clip((u - MIDDLE) / REACH, -1, 1)
    degrees = np.arange(coefficients.shape[1])
    polynomial = pt.sum(coefficients * pt.cos(degrees * pt.arccos(inside)[:, None]), axis=1)
    edges = np.array([cheb.chebval([-1, 1], row) for row in coefficients])
    slopes = np.array([cheb.chebval([-1, 1], cheb.chebder(row)) for row in coefficients]) / REACH
    below, beyond = pt.minimum(u - LOWEST, 0), pt.maximum(u - HIGHEST, 0)
    left = edges[:, 0] + ends[:, 0] * below + (slopes[:, 0] - ends[:, 0]) * pt.expm1(below)
    above, rising = edges[:, 1] - ends[:, 1] * HIGHEST, slopes[:, 1] - ends[:, 1]
    right = ends[:, 1] * (HIGHEST + beyond) + (2 * above + rising) * pt.exp(-beyond)
    right -= (above + rising) * pt.exp(-2 * beyond)
    return pt.where(u < LOWEST, left, pt.where(u > HIGHEST, right, polynomial))
