"""The log-density that NUTS walks on: that of the PyMC model of purchases, in better coordinates.

:func:`bayes_clv.model.build_model` defines the model, and sampling starts by holding this density
against its graph. Here it is :mod:`bayes_clv.hierarchy` around the likelihood's kernel.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_clv.coordinates import Coordinates, find_coordinates
from bayes_clv.elementary import compiled
from bayes_clv.hierarchy import HierarchicalDensity, Variables, folded, unfolded
from bayes_clv.kernel import Layout, eta_value_and_slope, parameters_of, value_and_slope
from bayes_clv.priors import Priors

type Floats = NDArray[np.float64]


def coordinates_for(layout: Layout, priors: Priors) -> Coordinates:
    """Choose coordinates that suit these data."""
    return find_coordinates(lambda eta: value_and_slope(eta, layout), layout.n_groups, priors)


class LogDensity(HierarchicalDensity):
    """The log-density of the model of purchases as a function of its coordinates."""

    def __init__(self, layout: Layout, priors: Priors, coordinates: Coordinates) -> None:
        super().__init__(priors, coordinates)
        self._layout = layout.arrays
        self._time_unit = layout.time_unit

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient at ``x (n_dim,)``."""
        value, slope = _log_density(x, self.prior, self.coordinates, self._layout)
        return value, slope

    def parameters(self, at: Variables) -> Mapping[str, Floats]:
        """r, α in days, a and b, ``(…, group)``."""
        eta = at.eta
        flat: tuple[Any, ...] = parameters_of(eta.reshape(-1, eta.shape[-1]))
        r, alpha, a, b = (value.reshape(eta.shape[:-1]) for value in flat)
        return {"r": r, "alpha": alpha * self._time_unit, "a": a, "b": b}


@compiled
def _log_density(x, prior, coordinates, layout):  # type: ignore[no-untyped-def]
    eta, value, by_mu, by_log_tau, way = unfolded(x, prior, coordinates)
    log_likelihood, by_eta = eta_value_and_slope(eta, layout)
    return value + log_likelihood, folded(by_eta, eta, by_mu, by_log_tau, way, coordinates)
