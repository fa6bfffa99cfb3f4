"""``GET /metrics``: counts over all workers, for Prometheus.

The numbers are in anonymous shared memory, which is allocated before the workers are forked, with
one row per process. Each process writes only its own row, so no lock is shared between processes,
the counts of a killed worker remain, and nothing is written to disk. A scrape adds up the rows. If
a WSGI server forks before it creates the app, each of its processes has its own counts.
"""

import mmap
import threading
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from flask import Blueprint, Flask, Response, current_app
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from api import loaded

ROWS = 128  # the parent's, then one per worker; old workers that still finish requests included
NO_ROUTE = "none"
_STATUSES = (200, 400, 401, 404, 405, 411, 413, 414, 415, 422, 431, 500, 501, 503)
_OTHER = "other"
_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
_SINGLES = ("customers", "swaps", "refusals", "newer_file_refused")
_KEY = "bayes_clv_metrics"

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer in the Prometheus text format."""
    registry = CollectorRegistry()
    registry.register(_AppCollector(current_app))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Counts:
    """Requests by route and status, their durations, and a few single figures.

    Parameters
    ----------
    routes
        All routes of the app; requests to other paths count as ``NO_ROUTE``.
    """

    def __init__(self, routes: Sequence[str]) -> None:
        self.routes = (*routes, NO_ROUTE)
        self._route = {route: index for index, route in enumerate(self.routes)}
        self._status = {status: index for index, status in enumerate(_STATUSES)}
        self._width = len(_STATUSES) + 1 + len(_EDGES) + 1 + 1  # statuses, durations, their sum
        columns = self._width * len(self.routes) + len(_SINGLES)
        memory = mmap.mmap(-1, ROWS * columns * 8)
        self._rows = np.frombuffer(memory, dtype=np.float64).reshape(ROWS, columns)
        self._mine = self._rows[0]
        self._lock = threading.Lock()  # between the threads of a worker

    def use_row(self, row: int) -> None:
        """Count in this row from now on; each worker calls this once, after it was forked."""
        self._mine = self._rows[row]

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        first = self._route.get(route, len(self._route) - 1) * self._width
        edges = first + len(_STATUSES) + 1
        with self._lock:
            self._mine[first + self._status.get(status, len(_STATUSES))] += 1
            self._mine[edges + bisect_left(_EDGES, seconds)] += 1
            self._mine[edges + len(_EDGES) + 1] += seconds

    def add(self, name: str, amount: float = 1) -> None:
        """Add to a single figure."""
        with self._lock:
            self._mine[_single(name)] += amount

    def set(self, name: str, value: float) -> None:
        """Set a single figure; only the parent may, so that the sum over rows is the figure."""
        self._mine[_single(name)] = value

    def total(self, name: str) -> float:
        """Return a single figure, summed over all processes."""
        return float(self._rows[:, _single(name)].sum())

    def families(self) -> Iterator[Metric]:
        """Yield all metrics as Prometheus metric families."""
        sums = self._rows.sum(axis=0)
        requests = CounterMetricFamily(
            "bayes_clv_requests", "Requests answered.", labels=("route", "status")
        )
        seconds = HistogramMetricFamily(
            "bayes_clv_request_seconds",
            "Time to answer.",
            labels=("route",),
        )
        names = [*map(str, _STATUSES), _OTHER]
        edges = [*map(str, _EDGES), "+Inf"]
        for index, route in enumerate(self.routes):
            of_route = sums[index * self._width : (index + 1) * self._width]
            by_status, durations, total = np.split(of_route, [len(names), -1])
            for name, count in zip(names, by_status.tolist(), strict=True):
                if count:
                    requests.add_metric((route, name), count)
            buckets = list(zip(edges, durations.cumsum().tolist(), strict=True))
            seconds.add_metric((route,), buckets, float(total[0]))
        yield requests
        yield seconds
        yield CounterMetricFamily(
            "bayes_clv_customers", "Customers scored.", value=self.total("customers")
        )
        yield CounterMetricFamily(
            "bayes_clv_model_swaps",
            "Newer model files that replaced the served model.",
            value=self.total("swaps"),
        )
        yield CounterMetricFamily(
            "bayes_clv_model_refusals",
            "Newer model files that were refused.",
            value=self.total("refusals"),
        )
        yield GaugeMetricFamily(
            "bayes_clv_newer_file_refused",
            "1 while the model's file on disk is one that was refused.",
            value=self.total("newer_file_refused"),
        )


def register(app: Flask) -> None:
    """Create the counts of the app; call after all routes are registered."""
    app.extensions[_KEY] = Counts([rule.rule for rule in app.url_map.iter_rules()])


def of(app: Flask) -> Counts:
    """Return the app's counts."""
    counts: Counts = app.extensions[_KEY]
    return counts


def free_row(taken: Collection[int]) -> int:
    """Return a free row for a new worker; the last row is shared if there are too many workers."""
    return next((row for row in range(1, ROWS - 1) if row not in taken), ROWS - 1)


class _AppCollector(Collector):
    """Collects the counts of an app and facts about its model."""

    def __init__(self, app: Any) -> None:
        self._counts = of(app)
        self._posterior = loaded.of(app).posterior

    def collect(self) -> Iterator[Metric]:
        yield from self._counts.families()
        yield GaugeMetricFamily(
            "bayes_clv_ready", "1 if a model is loaded.", value=float(self._posterior is not None)
        )
        if self._posterior is not None:
            model = GaugeMetricFamily(
                "bayes_clv_model",
                "The served model; 1 if its diagnostics are sound.",
                labels=("version", "data_end"),
            )
            labels = (self._posterior.version, self._posterior.record.end.isoformat())
            model.add_metric(labels, float(self._posterior.diagnostics.sound))
            yield model


def _single(name: str) -> int:
    return _SINGLES.index(name) - len(_SINGLES)
