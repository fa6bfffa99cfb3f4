"""P(alive) and P(purchase) of one customer: the fast path of the service.

The same mixture as in :mod:`bayes_clv.posterior.mixtures`, without arrays of states and factors.
"""

from collections.abc import Sequence

import numpy as np

from bayes_clv.numerics.jit import compiled
from bayes_clv.numerics.quantiles import mean_and_quantiles
from bayes_clv.numerics.special import exp_non_positive, expm1, log1p
from bayes_clv.posterior.mixtures import MOST, ModelDraws
from bayes_clv.posterior.state_groups import Floats


def answer_one(
    model: ModelDraws,
    weights: Sequence[tuple[int, float]],
    state: tuple[float, float, float],
    horizon: float,
    tails: tuple[float, float],
) -> Floats:
    """Return mean and interval of P(alive) and of P(purchase) for one customer, ``(2, 3)``.

    Parameters
    ----------
    weights
        The codes of the segments that the customer belongs to, with their weights.
    state
        Frequency, recency and T.
    """
    frequency, recency, T = state
    values = np.zeros((2, model.n_draws))
    n = float(model.dropout.chances(frequency))
    of = model.parameters
    for code, weight in weights:
        _add_alive_and_purchase(
            of.r[code], of.alpha[code], of.a[code], of.b[code], frequency, n, recency, T, horizon,
            weight, values,
        )  # fmt: skip
    if model.reactivation is not None:
        _add_afresh(
            model.reactivation.probability, model.reactivation.r, model.reactivation.alpha,
            horizon, values,
        )  # fmt: skip
    return mean_and_quantiles(values, tails)


@compiled
def _add_alive_and_purchase(
    r: Floats,
    alpha: Floats,
    a: Floats,
    b: Floats,
    x: float,
    n: float,
    t_x: float,
    T: float,
    horizon: float,
    weight: float,
    values: Floats,
) -> None:
    for d in range(len(r)):
        shape = r[d] + x
        growth = shape * log1p((T - t_x) / (alpha[d] + t_x))
        silent = exp_non_positive(-growth) if growth < MOST else 0.0
        alive = weight * (silent / (silent + a[d] / (b[d] + (n - 1.0))) if n > 0 else 1.0)
        values[0, d] += alive
        values[1, d] += alive * -expm1(-shape * log1p(horizon / (alpha[d] + T)))


@compiled
def _add_afresh(
    probability: Floats, r: Floats, alpha: Floats, horizon: float, values: Floats
) -> None:
    """Mix in those who start afresh, whose P(alive) is 1."""
    for d in range(len(probability)):
        spared = 1.0 - probability[d]
        buys = -expm1(-r[d] * log1p(horizon / alpha[d]))
        values[0, d] = spared * values[0, d] + probability[d]
        values[1, d] = spared * values[1, d] + probability[d] * buys
