"""What the tests of the model, its coordinates and its density share."""

from dataclasses import replace

import numpy as np

from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.stretches import StretchTable
from bayes_clv.models.priors import (
    COMPONENTS,
    ComponentPrior,
    NormalPrior,
    Priors,
    ReactivationPriors,
)
from bayes_clv.segments.rules import POPULATION

type Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

SEGMENTS = ("big", "middling", "tiny")
PRIORS = Priors(rate=ComponentPrior(0.3, 1.5, 0.4), dropout=ComponentPrior(-0.5, 1.0, 0.8))
REACTIVATION_PRIORS = ReactivationPriors(
    chance=NormalPrior(-3.0, 0.8), shape=NormalPrior(-0.3, 0.6)
)


def column(priors: Priors, name: str) -> Floats:
    """Return one field of all components."""
    return np.array([getattr(getattr(priors, component), name) for component in COMPONENTS])


def in_eta(theta: Floats) -> Floats:
    """From r, α, a, b ``(4, group)`` to η ``(group, component)``."""
    r, alpha, a, b = theta
    return np.column_stack([np.log(r / alpha), np.log(r), np.log(a / b), np.log(a + b)])


def from_eta(eta: Floats) -> Floats:
    """From η ``(group, component)`` to r, α, a, b ``(4, group)``."""
    rate, shape, dropout, concentration = eta.T
    share = 1 / (1 + np.exp(-dropout))
    total = np.exp(concentration)
    return np.array([np.exp(shape), np.exp(shape - rate), total * share, total * (1 - share)])


def real_looking_table(n_segments: int = 3, seed: int = 5) -> LandmarkTable:
    """States at the end of customers simulated from the model; one more share is the population's.

    Segments differ, so that the data pull their parameters apart, and the last one has few rows.
    """
    rng = np.random.default_rng(seed)
    size = 400
    segment = rng.choice(np.arange(-1, n_segments), size, p=[0.4, 0.35, 0.23, 0.02])
    T = rng.integers(30, 365, size).astype(float)
    rate = rng.gamma(0.8 + 0.5 * (segment + 1), 1 / 60, size)
    p = rng.beta(0.7, 2.0 + segment, size)
    x, recency = np.zeros(size), np.zeros(size)
    for i in range(size):
        day = 0.0
        while (day := day + rng.exponential(1 / rate[i]) + 1) < T[i]:
            x[i], recency[i] = x[i] + 1, np.floor(day)
            if rng.random() < p[i]:
                break
    return LandmarkTable(segment, x, recency, T, np.ones(size))


def real_looking_stretches(n_segments: int = 3, seed: int = 6) -> StretchTable:
    """States of customers as in ``real_looking_table``, what a few of them did next, and weights.

    One in ten starts afresh after the state; nobody else who is gone comes back.
    """
    rng = np.random.default_rng(seed)
    before = real_looking_table(n_segments, seed)
    first, size = real_looking_table(n_segments, seed + 1), len(before)
    days = rng.choice([60.0, 91.0], size)
    rate = (0.8 + before.frequency) / (60 + before.T)
    gone = (before.T - before.recency) * rate > 1 + rng.exponential(size=size)
    afresh = rng.random(size) < 0.1
    purchases, last = np.zeros(size), np.zeros(size)
    for i in np.flatnonzero(~gone | afresh):
        pace = rng.gamma(0.7, 1 / 40) if afresh[i] else rate[i]
        day = 0.0
        while (day := day + rng.exponential(1 / pace) + 1) < days[i]:
            purchases[i], last[i] = purchases[i] + 1, np.floor(day)
            if rng.random() < 0.3:
                break
    return StretchTable(
        replace(first, segment=np.full(size, POPULATION)),
        before.segment,
        before.frequency,
        before.recency,
        before.T,
        purchases,
        last,
        days,
        rng.choice([0.5, 1.0, 2.0], size),
    )
