"""Segments by the nearest of k centroids: a frozen rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bayes_clv.data.described import Described, listed
from bayes_clv.data.states import States
from bayes_clv.segments import memberships
from bayes_clv.segments.cuts import NOISE, Codes, as_array
from bayes_clv.segments.weighted import (
    MaybeSoft,
    Weights,
    checked_bandwidth,
    hard_weights,
    hard_weights_one,
    shown_bandwidth,
)


@dataclass(frozen=True, slots=True, repr=False)
class KMeansRule(MaybeSoft, Described):
    """The nearest of k centroids in standardised log idle time, log frequency and log spend.

    A feature that is unknown (such as the spend of a one-time buyer) is left out of the distance.
    With a ``bandwidth`` (in standard deviations) the rule is soft.
    """

    kind: ClassVar[str] = "kmeans"
    names: tuple[str, ...]
    features: tuple[str, ...]
    location: tuple[float, ...]  # (feature,)
    scale: tuple[float, ...]  # (feature,)
    centroids: tuple[tuple[float, ...], ...]  # (segment, feature), standardised
    bandwidth: float | None = None  # None: hard

    def __post_init__(self) -> None:
        checked_bandwidth(self.bandwidth)

    def standardise(self, states: States) -> NDArray[np.float64]:
        """Return ``(customer, feature)``, NaN where a feature is unknown."""
        standardised = [
            (_LOG[name](_value(states, name)) - location) / scale
            for name, location, scale in zip(self.features, self.location, self.scale, strict=True)
        ]
        matrix = np.stack(standardised, axis=1)
        return np.where(np.isfinite(matrix), matrix, np.nan)

    def assign(self, states: States) -> Codes:
        """Return the nearest centroid of each state, ``(customer,)``; on ties the first."""
        return nearest(self.standardise(states), as_array(self.centroids))

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Return the centroid nearest to one state; on ties the first."""
        distances = self._distances_one(frequency, recency, T, monetary_value)
        enough = min(distances) + NOISE
        return next(code for code, distance in enumerate(distances) if distance <= enough)

    def _distances_one(
        self, frequency: float, recency: float, T: float, monetary_value: float
    ) -> list[float]:
        """Return the squared distances of one state from the centroids, by the known features."""
        values = {"idle_time": T - recency, "frequency": frequency, "monetary_value": nan}
        if frequency > 0 and 0 < monetary_value < inf:
            values["monetary_value"] = monetary_value
        point = [
            (float(_LOG[name](values[name])) - location) / scale
            for name, location, scale in zip(self.features, self.location, self.scale, strict=True)
        ]
        known = [index for index, value in enumerate(point) if not isnan(value)]
        return [
            sum((point[index] - centroid[index]) ** 2 for index in known)
            for centroid in self.centroids
        ]

    def weights(self, states: States) -> Weights:
        """Return weights that fall off with the distance, ``(customer, segment)``."""
        if self.bandwidth is None:
            return hard_weights(self, states)
        squared = squared_distances(self.standardise(states), as_array(self.centroids))
        return memberships.softmax(squared, self.bandwidth)

    def weights_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> tuple[float, ...]:
        """Return the weights of one state."""
        if self.bandwidth is None:
            return hard_weights_one(self, frequency, recency, T, monetary_value)
        squared = self._distances_one(frequency, recency, T, monetary_value)
        return memberships.softmax_one(squared, self.bandwidth)

    def _facts(self) -> Mapping[str, object]:
        return {
            "segments": listed(self.names),
            "features": ", ".join(self.features),
            "bandwidth": shown_bandwidth(self.bandwidth),
        }


def log_features(states: States) -> dict[str, NDArray[np.float64]]:
    """Return the features KMeans may use, by name."""
    return {name: log(_value(states, name)) for name, log in _LOG.items()}


def _value(states: States, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = getattr(states, _ATTRIBUTE.get(name, name))
    return values


_LOG = {"idle_time": np.log1p, "frequency": np.log1p, "monetary_value": np.log}
_ATTRIBUTE = {"monetary_value": "repeat_spend"}


def nearest(matrix: NDArray[np.float64], centroids: NDArray[np.float64]) -> Codes:
    """Return each row's nearest centroid by the known features, ``(row,)``.

    Of those that are nearest up to ``NOISE``, the first.
    """
    distances = squared_distances(matrix, centroids)
    enough = distances.min(axis=1, keepdims=True) + NOISE
    return np.argmax(distances <= enough, axis=1).astype(np.int64)


def squared_distances(
    matrix: NDArray[np.float64], centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``(row, centroid)``; a feature that is NaN is left out."""
    distances = np.zeros((len(matrix), len(centroids)))
    for feature, centre in zip(matrix.T, centroids.T, strict=True):
        distances += np.fmax((feature[:, None] - centre) ** 2, 0.0)  # 0 where NaN
    return distances
