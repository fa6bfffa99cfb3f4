"""How many segments: made-up clusters whose number is known, and the measures' definitions."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from bayes_clv.errors import InputError
from bayes_clv.segments.n_segments import compare_n_segments


def three_groups(n: int = 200, *, spend: bool = True) -> pd.DataFrame:
    """Three groups that are far apart in idle time, frequency and spend."""
    rng = np.random.default_rng(0)
    idle = np.repeat([3.0, 60.0, 500.0], n) * np.exp(rng.normal(0, 0.05, 3 * n))
    frequency = np.repeat([40, 8, 1], n)
    frame = pd.DataFrame({"frequency": frequency, "recency": 100.0, "T": 100 + idle})
    if spend:
        frame["monetary_value"] = np.repeat([5.0, 50.0, 500.0], n)
    return frame


def test_silhouette_and_stability_find_the_three_groups_that_are_there():
    table = compare_n_segments(three_groups(), range(2, 6), resamples=8)
    assert table.index.tolist() == [2, 3, 4, 5]
    assert table["silhouette"].idxmax() == 3
    assert table.loc[3, "silhouette"] > 0.9
    assert table.loc[3, ["stability", "stability_lower", "stability_upper"]].tolist() == [1, 1, 1]
    assert table["inertia"].is_monotonic_decreasing
    assert table.loc[3, "inertia"] < 0.01


def test_segments_of_noise_are_not_stable():
    rng = np.random.default_rng(1)
    noise = pd.DataFrame({"frequency": 1, "recency": 1.0, "T": 1 + rng.uniform(0, 400, 500)})
    table = compare_n_segments(noise, [5], features=("idle_time",), resamples=8)
    assert table.loc[5, "stability_lower"] < table.loc[5, "stability"] < 0.95


def test_silhouette_is_scikit_learns_where_every_feature_is_known():
    states = three_groups(80)
    table = compare_n_segments(states, [4], resamples=1)
    features = np.column_stack(
        [
            np.log1p(states["T"] - states["recency"]),
            np.log1p(states["frequency"]),
            np.log(states["monetary_value"]),
        ]
    )
    place = (features - features.mean(axis=0)) / features.std(axis=0)
    from bayes_clv.segments.estimators import KMeansSegmenter

    order = np.random.default_rng(0).permutation(len(states))
    labels = KMeansSegmenter(4).fit(states.iloc[order]).labels_
    assert table.loc[4, "silhouette"] == pytest.approx(silhouette_score(place[order], labels))


def test_a_feature_that_is_unknown_is_left_out():
    states = three_groups()
    states.loc[::2, "monetary_value"] = np.nan
    table = compare_n_segments(states, [3], resamples=3)
    assert table.loc[3, "silhouette"] > 0.9
    assert table.loc[3, "stability"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_segments": []}, "n_segments must hold numbers of 2 or more"),
        ({"n_segments": [1, 2]}, "n_segments must hold numbers of 2 or more"),
        ({"resamples": 0}, "resamples must be at least 1: 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        compare_n_segments(three_groups(), **arguments)
