"""The landmark log-likelihood as a plain PyTensor expression: what the PyMC model states.

It follows :func:`bayes_clv.models.bgnbd.log_likelihood` line by line and evaluates every row of the
table; :mod:`bayes_clv.kernel` gives the same value and gradient at a fraction of the cost, and is
held against this before every fit.
"""

from typing import Any

import numpy as np
import pytensor.tensor as pt

from bayes_clv.landmarks import LandmarkTable
from bayes_clv.models.bgnbd import Dropout

type Tensor = Any  # a PyTensor variable: its own type hints know no arithmetic


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
        r, α, a, b, each ``(group,)``: entry 0 is the population, entry s + 1 is segment s; α in
        units of ``time_unit`` days.
    table
        The rows; durations in days.
    time_unit
        Days in a unit of time.
    dropout
        When customers may leave.
    pooled
        Take everybody for the population, whatever segment a row carries.
    """
    group = np.zeros(len(table), dtype=np.int64) if pooled else table.segment + 1
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
