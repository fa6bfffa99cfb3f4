"""How good were the forecasts? Proper scores and calibration of predicted counts.

A forecast is a row of probabilities of 0, 1, 2, … purchases; the observation is a count y. With F
the distribution function of a forecast

    log score = ln P(y)                       higher is better
    CRPS      = Σ_m (F(m) − 1{y ≤ m})²         lower is better
    PIT       uniform on [F(y−1), F(y)]       uniform on [0, 1] where forecasts are right

The log score and the CRPS are proper: the best forecast is the true distribution (Gneiting &
Raftery 2007, JASA 102(477)). Intervals of counts cannot cover exactly 90 %, since counts are
discrete; the PIT, randomised within its step, can (Czado, Gneiting & Held 2009, Biometrics 65(4)),
and equals the coverage of intervals whose ends are included at random.

Pure functions on arrays: ``forecast`` counts forecasts, one for each customer.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bayes_clv import arguments

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

BINS = 20


def log_scores(probabilities: Floats, outcomes: Ints) -> Floats:
    """Log score ``(forecast,)`` of ``probabilities (forecast, outcome)``."""
    return np.log(_at(probabilities, outcomes))


def crps(probabilities: Floats, outcomes: Ints) -> Floats:
    """Continuous ranked probability score ``(forecast,)``."""
    cumulative = np.cumsum(probabilities, axis=1)
    happened = outcomes[:, None] <= np.arange(probabilities.shape[1])
    squares: Floats = ((cumulative - happened) ** 2).sum(axis=1)
    return squares


def pit(probabilities: Floats, outcomes: Ints) -> tuple[Floats, Floats]:
    """F(y−1) and F(y), both ``(forecast,)``."""
    up_to = _at(np.cumsum(probabilities, axis=1), outcomes)
    return np.maximum(up_to - _at(probabilities, outcomes), 0.0), np.minimum(up_to, 1.0)


def coverage(below: Floats, up_to: Floats, level: float) -> float:
    """Share of outcomes inside the central interval, each by the part of its PIT that is inside.

    The PIT is uniform between F(y−) and F(y), and a point where y has no probability of its own.
    """
    low, high = arguments.tails(level)
    inside = np.minimum(up_to, high) - np.maximum(below, low)
    width = up_to - below
    at_a_point = (low <= below) & (below <= high)
    share = np.where(width > 0, np.maximum(inside, 0) / np.where(width > 0, width, 1), at_a_point)
    return float(share.mean())


def brier(chance: Floats, happened: NDArray[np.bool_]) -> float:
    """Mean squared error of the probability of an event; lower is better."""
    return float(np.mean((chance - happened) ** 2))


def auc(chance: Floats, happened: NDArray[np.bool_]) -> float:
    """Probability that a forecast with the event is higher than one without it.

    NaN where all or none have the event.
    """
    if happened.all() or not happened.any():
        return float("nan")
    return float(roc_auc_score(happened, chance))


def reliability(chance: Floats, happened: NDArray[np.bool_], bins: int = BINS) -> Floats:
    """Compare forecast probabilities with outcomes, in bins of about equal size.

    Equal probabilities stay in one bin, so there may be fewer bins than asked for.

    Returns
    -------
    ``(bin, 3)``: mean probability, observed share, and number of forecasts.
    """
    order = np.argsort(chance, kind="stable")
    ordered = chance[order]
    # The first of its equals stands for all of them.
    rank = np.searchsorted(ordered, ordered, side="left")
    bin_of = rank * bins // len(chance)
    _, index = np.unique(bin_of, return_inverse=True)
    size = np.bincount(index).astype(float)
    forecast = np.bincount(index, ordered) / size
    observed = np.bincount(index, happened[order].astype(float)) / size
    return np.column_stack([forecast, observed, size])


def calibration_error(chance: Floats, happened: NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean distance between forecast and observed shares, over the bins of ``reliability``."""
    forecast, observed, size = reliability(chance, happened, bins).T
    return float(np.abs(forecast - observed) @ size / size.sum())


def mean_difference(differences: Floats, customer: Ints) -> tuple[float, float]:
    """Mean of paired differences, and its standard error.

    Parameters
    ----------
    differences
        ``(forecast,)`` of two methods on the same outcomes.
    customer
        ``(forecast,)`` the customer of each: forecasts of one customer at several dates are not
        independent, and count as one observation (a cluster).
    """
    n = len(differences)
    mean = float(differences.mean())
    clusters = np.bincount(customer, differences - mean)
    return mean, float(np.sqrt(np.sum(clusters**2)) / n)


def _at(values: Floats, outcomes: Ints) -> Floats:
    return np.take_along_axis(values, outcomes[:, None], axis=1)[:, 0]
