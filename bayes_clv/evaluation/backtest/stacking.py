r"""Stacking: the mixture of methods that forecasts best.

With p_ik the probability that method k gave to what customer i then did, the weights maximise the
mean log score of the mixture,

    f(w) = 1/n Σ_i ln Σ_k w_k p_ik,      w_k ≥ 0,  Σ_k w_k = 1

(Yao, Vehtari, Simpson & Gelman 2018, Bayesian Analysis 13(3)). f is concave. The EM step

    w_k ← w_k g_k,      g_k = 1/n Σ_i p_ik / Σ_j w_j p_ij

never lowers f, and t steps from equal weights come within ln K / t of the maximum (Cover 1984, IEEE
Transactions on Information Theory 30(2)). At any w the maximum is at most f(w) + ln max_k g_k, so
the search ends where that bound is met.

The scores come from an inner split of the past: what happened after the outer origin must reach no
weight. The inner horizon is the outer one, since which method is best depends on it; but at least
half of the past is left to learn from, so it is at most the other half.
"""

import datetime as dt

import numpy as np
from numpy.typing import NDArray

from bayes_clv.errors import InputError
from bayes_clv.evaluation.backtest.splits import Split

type Floats = NDArray[np.float64]

TOLERANCE = 1e-5  # log score per customer
_MOST_STEPS = 200_000  # enough for ten methods by the bound above


def stacking_weights(log_scores: Floats) -> Floats:
    """Return the weights of the methods in the best mixture, ``(method,)``; they add up to 1.

    Parameters
    ----------
    log_scores
        ``(customer, method)`` log probability of each customer's outcome. It may be −∞, but not
        for all methods.

    Returns
    -------
    Weights whose mean log score is at most ``TOLERANCE`` below the maximum.

    Raises
    ------
    InputError
        If there are no customers or no methods, a score is NaN or +∞, or all are −∞.

    Examples
    --------
    >>> stacking_weights(np.log([[0.5, 0.1], [0.5, 0.1], [0.1, 0.5]])).round(2)
    array([0.75, 0.25])
    """
    scores = np.asarray(log_scores, dtype=float)
    if scores.ndim != 2 or not scores.size:
        raise InputError(f"log_scores must have customers and methods: shape {scores.shape}")
    best = scores.max(axis=1, keepdims=True)
    if not np.isfinite(best).all():
        raise InputError("log_scores must be below ∞, and for each customer above −∞ in one method")
    # Customers of equal scores are alike; a factor common to all methods cancels in g.
    distinct, count = np.unique(np.exp(scores - best), axis=0, return_counts=True)
    share = count / count.sum()
    weights = np.full(distinct.shape[1], 1 / distinct.shape[1])
    for _ in range(_MOST_STEPS):
        slope = (share / (distinct @ weights)) @ distinct
        if np.log(slope.max()) <= TOLERANCE:
            break
        weights = weights * slope
    found: Floats = weights / weights.sum()
    return found


def inner_split(start: dt.date, split: Split) -> Split | None:
    """Return the split of the past that the weights are learnt on; None if it is too short.

    Parameters
    ----------
    start
        First day of the log.
    split
        The outer one; the inner one ends on its origin.

    Examples
    --------
    >>> inner_split(dt.date(2024, 1, 1), Split(dt.date(2024, 4, 10), 30))
    Split(origin=datetime.date(2024, 3, 11), horizon=30)
    """
    ahead = min(split.horizon, (split.origin - start).days // 2)
    return Split(split.origin - dt.timedelta(days=ahead), ahead) if ahead > 0 else None
