"""Criteria for the number of segments: silhouette, inertia, and stability under refits.

    inertia     mean squared distance of a state to its centroid, in standardised features
    silhouette  mean of (b − c) / max(b, c): c is a state's mean distance to the other states of its
                segment, b that to the states of the nearest other segment
                (Rousseeuw 1987, J. Comput. Appl. Math. 20)
    stability   adjusted Rand index between the segments of the states and the segments that a refit
                to resampled states gives them: 1 means the same segments, 0 no better than chance
                (Hubert & Arabie 1985, Journal of Classification 2(1))

None of them measures how well segments predict: use ``bayes-clv backtest`` for that. Distances
leave out a feature that one of the two states lacks, as the rule does.
"""

from collections.abc import Iterable
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, silhouette_score

from bayes_clv import arguments
from bayes_clv.data.given_customers import as_customers
from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.segments.estimators import FEATURES, KMeansSegmenter
from bayes_clv.segments.kmeans import KMeansRule

MOST_STATES = 3_000  # states used at most: distances between all pairs are computed


def compare_n_segments(
    states: pd.DataFrame,
    n_segments: Iterable[int] = range(2, 10),
    *,
    features: tuple[str, ...] = FEATURES,
    resamples: int = 20,
    level: float = 0.9,
    seed: int = 0,
) -> pd.DataFrame:
    """Learn KMeans segments for each number of segments, and measure how good the clusters are.

    Parameters
    ----------
    states
        frequency, recency, T and optionally monetary_value; of more than 3,000 states, 3,000 are
        drawn at random.
    n_segments
        The numbers to compare, 2 or more each.
    features
        See :class:`bayes_clv.segments.estimators.KMeansSegmenter`.
    resamples
        Number of samples drawn from the states with replacement; each is refitted.
    level
        Mass of the interval of the stability over resamples.
    seed
        Seed of all random draws.

    Returns
    -------
    One row per number: inertia, silhouette, stability, stability_lower, stability_upper.

    Raises
    ------
    InputError
        A number of segments is below 2 or exceeds the number of distinct states, no number is
        given, or ``resamples`` is below 1.
    """
    states, numbers = as_customers(states), arguments.wholes("n_segments", n_segments)
    if not numbers or min(numbers) < 2:
        raise InputError(f"n_segments must hold numbers of 2 or more: {list(numbers)}")
    resamples, seed = arguments.whole("resamples", resamples, least=1), arguments.seed(seed)
    tails, rng = arguments.tails(level), np.random.default_rng(seed)
    sampled = states.iloc[rng.permutation(len(states))[:MOST_STATES]].reset_index(drop=True)
    samples = rng.integers(len(sampled), size=(resamples, len(sampled)))
    rows = {}
    for k in numbers:
        segmenter = KMeansSegmenter(k, features=features, random_state=seed).fit(sampled)
        rule, labels = cast(KMeansRule, segmenter.rule_), segmenter.labels_
        points = rule.standardise(States.from_frame(sampled))
        agreements = np.array([_agreement(segmenter, sampled, it, labels) for it in samples])
        lower, upper = np.quantile(agreements, tails)
        rows[k] = {
            "inertia": _inertia(points, np.array(rule.centroids)[labels]),
            "silhouette": float(silhouette_score(_distances(points), labels, metric="precomputed")),
            "stability": agreements.mean(),
            "stability_lower": lower,
            "stability_upper": upper,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("n_segments")


def _agreement(
    segmenter: KMeansSegmenter,
    states: pd.DataFrame,
    sample: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> float:
    refitted = KMeansSegmenter(**segmenter.get_params()).fit(states.iloc[sample])
    return float(adjusted_rand_score(labels, refitted.predict(states)))


def _inertia(points: NDArray[np.float64], centre: NDArray[np.float64]) -> float:
    return float(np.nansum((points - centre) ** 2, axis=1).mean())


def _distances(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between all states, ``(state, state)``, by the features that both have."""
    squares = np.zeros((len(points), len(points)))
    for feature in points.T:
        squares += np.fmax((feature[:, None] - feature) ** 2, 0.0)  # 0 where NaN
    return np.sqrt(squares)
