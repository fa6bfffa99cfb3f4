"""Scikit-learn estimators that learn a segment rule from states, without using later purchases.

``X`` is a frame with the columns frequency, recency, T and optionally monetary_value (any order,
others ignored), or an array with them in that order. After ``fit``: ``rule_`` is the frozen rule,
``labels_`` the codes of the states in ``X``, ``segment_names_`` the names by code.
"""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from bayes_clv import arguments
from bayes_clv.data.states import States, check_columns
from bayes_clv.errors import InputError
from bayes_clv.segments.kmeans import KMeansRule, log_features
from bayes_clv.segments.naming import centroid_names
from bayes_clv.segments.rfm import RFMRule
from bayes_clv.segments.rules import SegmentRule
from bayes_clv.segments.weighted import checked_bandwidth

COLUMNS = ("frequency", "recency", "T", "monetary_value")
FEATURES = ("idle_time", "frequency", "monetary_value")


class _Segmenter(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the two segmenters: reads X, and sets the scikit-learn attributes."""

    @abstractmethod
    def _learn(self, states: States) -> SegmentRule: ...

    def fit(self, X: pd.DataFrame | ArrayLike, y: object = None) -> Self:
        """Learn the rule from states ``X``; ``y`` is ignored."""
        states = self._states(X, reset=True)
        self.rule_ = self._learn(states)
        self.labels_ = self.rule_.assign(states)
        self.segment_names_ = np.array(self.rule_.names, dtype=object)
        return self

    def predict(self, X: pd.DataFrame | ArrayLike) -> NDArray[np.int64]:
        """Return the segment code of each state, ``(customer,)``."""
        check_is_fitted(self)
        return self.rule_.assign(self._states(X, reset=False))

    def predict_weights(self, X: pd.DataFrame | ArrayLike) -> NDArray[np.float64]:
        """Return how much each state belongs to each segment, ``(customer, segment)``.

        Rows sum to 1. With ``bandwidth=None`` all weight is on the segment of ``predict``.
        """
        check_is_fitted(self)
        return self.rule_.weights(self._states(X, reset=False))

    def _states(self, X: pd.DataFrame | ArrayLike, *, reset: bool) -> States:
        if isinstance(X, pd.DataFrame) and "frequency" in X.columns:
            check_columns(X)
            X = X.reindex(columns=list(COLUMNS))
        values = validate_data(
            self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        if values.shape[1] not in (3, 4):
            raise InputError(
                "X must hold frequency, recency, T and optionally monetary_value, in this order; "
                f"it has {values.shape[1]} feature(s)"
            )
        return States.from_frame(pd.DataFrame(values, columns=list(COLUMNS[: values.shape[1]])))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = True
        return tags


class RFMSegmenter(_Segmenter):
    """Eleven named segments by quintile scores for idle time, frequency and spend.

    See :class:`bayes_clv.segments.rfm.RFMRule` for the scores.

    Parameters
    ----------
    bandwidth
        How far segments reach across their borders, in mean gaps between cuts, so that answers do
        not jump there; None for hard segments. ``predict`` names the hard segment all the same.
    """

    def __init__(self, *, bandwidth: float | None = 0.6) -> None:
        self.bandwidth = bandwidth

    def _learn(self, states: States) -> RFMRule:
        bandwidth = checked_bandwidth(self.bandwidth)
        quintiles, quartiles = (0.2, 0.4, 0.6, 0.8), (0.25, 0.5, 0.75)
        spend = states.repeat_spend
        return RFMRule(
            idle_cuts=_quantiles(states.idle_time, quintiles),
            frequency_cuts=_quantiles(states.frequency[states.frequency > 0], quartiles),
            monetary_cuts=_quantiles(spend[np.isfinite(spend)], quintiles),
            bandwidth=bandwidth,
        )


class KMeansSegmenter(_Segmenter):
    """K centroids in standardised log idle time, log frequency and log monetary value.

    An unknown feature is left out of the distance, in learning and in assignment (k-POD; Chi, Chi &
    Baraniuk 2016, The American Statistician 70(1)). Segments are ordered and named by their
    centroids, so the labels do not depend on the run.

    Parameters
    ----------
    n_segments
        Number of centroids.
    features
        Some of ``idle_time``, ``frequency``, ``monetary_value``; a feature that is unknown for all
        customers is dropped.
    random_state
        Seed of the random starts.
    bandwidth
        How far segments reach across their borders, in standard deviations; None for hard segments.
    """

    def __init__(
        self,
        n_segments: int = 5,
        *,
        features: tuple[str, ...] = FEATURES,
        random_state: int | None = 0,
        bandwidth: float | None = 1.0,
    ) -> None:
        self.n_segments = n_segments
        self.features = features
        self.random_state = random_state
        self.bandwidth = bandwidth

    def _learn(self, states: States) -> KMeansRule:
        arguments.whole("n_segments", self.n_segments, least=1)
        bandwidth = checked_bandwidth(self.bandwidth)
        if self.random_state is not None:
            arguments.whole("random_state", self.random_state, least=0, most=2**32 - 1)
        given = tuple(self.features) if isinstance(self.features, list | tuple) else ()
        if not given or any(name not in FEATURES for name in given):
            raise InputError(
                f"features must be some of {', '.join(FEATURES)}: {arguments.shown(self.features)}"
            )
        # What differs by rounding noise only is the same state.
        columns = {name: np.round(it, _DECIMALS) for name, it in log_features(states).items()}
        features = tuple(name for name in self.features if np.isfinite(columns[name]).any())
        if not features:
            raise InputError(f"features are unknown for all customers: {', '.join(self.features)}")
        matrix = np.column_stack([columns[name] for name in features])
        location = np.array(_rounded(np.nanmean(matrix, axis=0)))
        scale = np.array(_rounded(np.nanstd(matrix, axis=0)))
        scale = np.where(scale > _SAME, scale, 1.0)
        # One thread: a step takes a millisecond, which several threads would spend waiting for each
        # other (thirty times as long where another process uses a core), and they would add in any
        # order.
        with threadpool_limits(1):
            centroids = self._centroids(*_distinct((matrix - location) / scale))
        natural = dict(zip(features, (centroids * scale + location).T, strict=True))
        order, names = centroid_names(natural, columns)
        return KMeansRule(
            names=names,
            features=features,
            location=tuple(location.tolist()),
            scale=tuple(scale.tolist()),
            centroids=tuple(_rounded(row) for row in np.round(centroids[order], _DECIMALS)),
            bandwidth=bandwidth,
        )

    def _check_k(self, distinct: int) -> None:
        if self.n_segments > distinct:
            raise InputError(
                f"n_segments must not exceed the number of distinct states, {distinct}: "
                f"{self.n_segments}"
            )

    def _centroids(
        self, matrix: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Run Lloyd's steps on known features until none moves, from k-means with filled-in means.

        `matrix` holds distinct states ``(state, feature)``, `weight` how often each occurs.
        """
        self._check_k(len(matrix))
        kmeans = KMeans(self.n_segments, n_init=_STARTS, random_state=self.random_state)
        unknown = np.isnan(matrix)
        filled = np.where(unknown, 0.0, matrix)  # the mean, after standardising
        centroids: NDArray[np.float64] = kmeans.fit(filled, sample_weight=weight).cluster_centers_
        z, known = np.ascontiguousarray(filled.T), np.ascontiguousarray(~unknown.T, np.float64)
        codes = np.full(len(matrix), -1)
        for _ in range(_MAX_STEPS if unknown.any() else 0):
            # Σ known (z − c)² minus Σ z², which is the same for all centroids: two matrix products.
            distance = centroids**2 @ known - 2 * centroids @ z
            previous, codes = codes, np.argmin(distance, axis=0)
            if np.array_equal(previous, codes):
                break
            member = weight * (codes == np.arange(self.n_segments)[:, np.newaxis])
            # A feature that no member has gets 0, the overall mean; an empty segment stays.
            mean = member @ z.T / np.maximum(member @ known.T, 1)
            centroids = np.where(member.any(axis=1, keepdims=True), mean, centroids)
        return centroids


def _distinct(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distinct rows, sorted, and how often each occurs; NaN equals NaN."""
    columns = list(range(matrix.shape[1]))
    counts = pd.DataFrame(matrix).groupby(columns, dropna=False).size()
    return np.array(counts.index.to_frame(), np.float64), np.array(counts, np.float64)


_MAX_STEPS, _STARTS = 300, 4
_DECIMALS = 10  # of a log feature and of a centroid; noise is a million times smaller
# A feature whose logarithms spread by less than this is the same for everybody: it is a cent of a
# thousand. To divide by less would blow rounding noise (4e-16) up to ``cuts.NOISE`` and beyond.
_SAME = 1e-5


def _quantiles(values: NDArray[np.float64], levels: tuple[float, ...]) -> tuple[float, ...]:
    return _rounded(np.quantile(values, levels)) if len(values) else ()


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Round to ten digits: databases add in any order, which must not change a rule's last bits."""
    return tuple(float(f"{value:.10g}") for value in values)
