"""Proper scores and calibration of forecast counts.

A forecast is a row of probabilities of 0, 1, 2, … purchases; the outcome is a count y. With F the
distribution function of a forecast

    log score = ln P(y)                       higher is better
    CRPS      = Σ_m (F(m) − 1{y ≤ m})²         lower is better
    PIT       uniform on [F(y−1), F(y)]       uniform on [0, 1] where forecasts are right

The log score and the CRPS are proper: the best expected score comes from forecasting what one
believes (Gneiting & Raftery 2007, JASA 102(477)). Intervals of counts cannot cover exactly 90 %,
since every count has a probability of its own. The PIT, spread uniformly over the probability of y,
can (Czado, Gneiting & Held 2009, Biometrics 65(4)); it gives the coverage of intervals whose end
points are included at random.

All functions are pure functions of arrays; the axis ``forecast`` has one entry per customer.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bayes_clv import arguments

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

BINS = 20


def log_scores(probabilities: Floats, outcomes: Ints) -> Floats:
    """Return the log score ``(forecast,)`` of ``probabilities (forecast, outcome)``."""
    return np.log(_at(probabilities, outcomes))


def crps(probabilities: Floats, outcomes: Ints) -> Floats:
    """Return the continuous ranked probability score ``(forecast,)``."""
    cumulative = np.cumsum(probabilities, axis=1)
    observed = outcomes[:, None] <= np.arange(probabilities.shape[1])
    squares: Floats = ((cumulative - observed) ** 2).sum(axis=1)
    return squares


def pit(probabilities: Floats, outcomes: Ints) -> tuple[Floats, Floats]:
    """Return F(y−1) and F(y), both ``(forecast,)``."""
    up_to = _at(np.cumsum(probabilities, axis=1), outcomes)
    return np.maximum(up_to - _at(probabilities, outcomes), 0.0), np.minimum(up_to, 1.0)


def coverage(below: Floats, up_to: Floats, level: float) -> float:
    """Return the coverage of the central interval: the mean share of each PIT that lies inside.

    The PIT of an outcome is uniform between F(y−), ``below``, and F(y), ``up_to``. It is a point if
    y has no probability of its own.
    """
    low, high = arguments.tails(level)
    inside = np.minimum(up_to, high) - np.maximum(below, low)
    width = up_to - below
    at_a_point = (low <= below) & (below <= high)
    share = np.where(width > 0, np.maximum(inside, 0) / np.where(width > 0, width, 1), at_a_point)
    return float(share.mean())


def brier(chance: Floats, happened: NDArray[np.bool_]) -> float:
    """Return the Brier score, the mean squared error of probabilities; lower is better."""
    return float(np.mean((chance - happened) ** 2))


def auc(chance: Floats, happened: NDArray[np.bool_]) -> float:
    """Return the AUC: how often a case with the event has a higher ``chance`` than one without.

    NaN if the event happened in all cases or in none.
    """
    if happened.all() or not happened.any():
        return float("nan")
    return float(roc_auc_score(happened, chance))


def reliability(chance: Floats, happened: NDArray[np.bool_], bins: int = BINS) -> Floats:
    """Compare forecast probabilities with observed shares, in bins of about equal size.

    Equal probabilities are in the same bin, so there may be fewer bins than asked for.

    Returns
    -------
    ``(bin, 3)``: mean forecast probability, observed share, and number of forecasts in the bin.
    """
    order = np.argsort(chance, kind="stable")
    ordered = chance[order]
    # Equal values get the rank of the first of them.
    rank = np.searchsorted(ordered, ordered, side="left")
    bin_of = rank * bins // len(chance)
    _, index = np.unique(bin_of, return_inverse=True)
    size = np.bincount(index).astype(float)
    forecast = np.bincount(index, ordered) / size
    observed = np.bincount(index, happened[order].astype(float)) / size
    return np.column_stack([forecast, observed, size])


def calibration_error(chance: Floats, happened: NDArray[np.bool_], bins: int = BINS) -> float:
    """Return the mean distance of forecast and observed shares over the ``reliability`` bins."""
    forecast, observed, size = reliability(chance, happened, bins).T
    return float(np.abs(forecast - observed) @ size / size.sum())


def mean_difference(differences: Floats, customer: Ints) -> tuple[float, float]:
    """Return the mean of paired differences, and its standard error.

    Parameters
    ----------
    differences
        ``(forecast,)`` differences of the scores of two methods on the same outcomes.
    customer
        ``(forecast,)`` the customer. Forecasts for one customer at several dates are not
        independent and form one cluster.
    """
    n = len(differences)
    mean = float(differences.mean())
    clusters = np.bincount(customer, differences - mean)
    return mean, float(np.sqrt(np.sum(clusters**2)) / n)


def _at(values: Floats, outcomes: Ints) -> Floats:
    return np.take_along_axis(values, outcomes[:, None], axis=1)[:, 0]
