"""How many segments? Silhouette, inertia, and whether a refit finds the same ones again.

    inertia     mean squared distance of a state to its centroid, in standardised features
    silhouette  mean of (b − c) / max(b, c): c the mean distance to the others of the own segment,
                b to those of the nearest other one (Rousseeuw 1987, J. Comput. Appl. Math. 20)
    stability   adjusted Rand index between the segments and those that a refit to resampled states
                puts the same states in: 1 means the same segments, 0 no better than chance
                (Hubert & Arabie 1985, Journal of Classification 2(1))

None of them knows what customers do next: that is what ``bayes-clv backtest`` is for. Distances
leave a feature out where one of the two states lacks it, as the rule does.
"""

from collections.abc import Iterable
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, silhouette_score

from bayes_clv import arguments
from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.segments.estimators import FEATURES, KMeansSegmenter
from bayes_clv.segments.rules import KMeansRule

MOST_STATES = 3_000  # that are looked at: distances between all of them are computed


def compare_n_segments(
    states: pd.DataFrame,
    n_segments: Iterable[int] = range(2, 10),
    *,
    features: tuple[str, ...] = FEATURES,
    resamples: int = 20,
    level: float = 0.9,
    seed: int = 0,
) -> pd.DataFrame:
    """Learn KMeans segments for each number of them, and say how good they are as clusters.

    Parameters
    ----------
    states
        frequency, recency, T and maybe monetary_value; of more than 3,000, as many are drawn.
    n_segments
        The numbers to compare, 2 or more each.
    features
        See :class:`bayes_clv.segments.estimators.KMeansSegmenter`.
    resamples
        How often states are drawn with replacement, and segments learnt from those.
    level
        Mass of the interval of the stability over resamples.
    seed
        Of everything that is drawn.

    Returns
    -------
    One row per number: inertia, silhouette, stability, stability_lower, stability_upper.

    Raises
    ------
    InputError
        A number is below 2, there is none, or there are fewer distinct states.
    """
    numbers = list(n_segments)
    if not numbers or min(numbers) < 2:
        raise InputError(f"n_segments must hold numbers of 2 or more: {numbers}")
    if resamples < 1:
        raise InputError(f"resamples must be at least 1: {resamples}")
    tails, rng = arguments.tails(level), np.random.default_rng(seed)
    some = states.iloc[rng.permutation(len(states))[:MOST_STATES]].reset_index(drop=True)
    samples = rng.integers(len(some), size=(resamples, len(some)))
    rows = {}
    for k in numbers:
        segmenter = KMeansSegmenter(k, features=features, random_state=seed).fit(some)
        rule, labels = cast(KMeansRule, segmenter.rule_), segmenter.labels_
        place = rule.standardise(States.from_frame(some))
        again = np.array([_agreement(segmenter, some, sample, labels) for sample in samples])
        lower, upper = np.quantile(again, tails)
        rows[k] = {
            "inertia": _inertia(place, np.array(rule.centroids)[labels]),
            "silhouette": float(silhouette_score(_distances(place), labels, metric="precomputed")),
            "stability": again.mean(),
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
    again = KMeansSegmenter(**segmenter.get_params()).fit(states.iloc[sample])
    return float(adjusted_rand_score(labels, again.predict(states)))


def _inertia(place: NDArray[np.float64], centre: NDArray[np.float64]) -> float:
    return float(np.nansum((place - centre) ** 2, axis=1).mean())


def _distances(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between all states, ``(state, state)``, by the features that both have."""
    squares = np.zeros((len(place), len(place)))
    for feature in place.T:
        squares += np.fmax((feature[:, None] - feature) ** 2, 0.0)  # 0 in the place of NaN
    return np.sqrt(squares)
