"""The log-density that NUTS walks on: that of the PyMC model of purchases, in better coordinates.

:func:`bayes_clv.inference.purchases.model.build_model` defines the model, and sampling starts by
comparing this density with its graph. Here it is :mod:`bayes_clv.inference.hierarchy` around the
likelihood's kernel.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_clv.inference.coordinates import Coordinates
from bayes_clv.inference.hierarchy import HierarchicalDensity, Variables, backward, forward
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.likelihood import value_and_gradient_by_eta
from bayes_clv.models.hyperparameters import parameters_of
from bayes_clv.models.priors import PriorArrays, Priors
from bayes_clv.numerics.jit import compiled

type Floats = NDArray[np.float64]


@compiled
def _log_density(x, prior, coordinates, layout):  # type: ignore[no-untyped-def]
    eta, value, saved = forward(x, prior, coordinates)
    log_likelihood, by_eta = value_and_gradient_by_eta(eta, layout)
    return value + log_likelihood, backward(by_eta, saved, coordinates)


class LogDensity(HierarchicalDensity):
    """The log-density of the model of purchases as a function of its coordinates.

    Parameters
    ----------
    layout
        The landmark table, from ``LikelihoodLayout.of``.
    priors
        Of the four components.
    coordinates
        By default those that suit the data.
    """

    compiled = staticmethod(_log_density)

    def __init__(
        self, layout: LikelihoodLayout, priors: Priors, coordinates: Coordinates | None = None
    ) -> None:
        self._layout = layout
        super().__init__(priors, layout.n_groups, coordinates)

    def log_likelihood(self, eta: Floats) -> tuple[float, Floats]:
        """Value and gradient by η, both of ``eta (group, component)``."""
        return value_and_gradient_by_eta(eta, self._layout)

    @property
    def arguments(self) -> tuple[PriorArrays, Coordinates, LikelihoodLayout]:
        """What ``compiled`` takes beside x."""
        return self.prior, self.coordinates, self._layout

    def parameters(self, at: Variables) -> Mapping[str, Floats]:
        """r, α in days, a and b, ``(…, group)``."""
        eta = at.eta
        flat: tuple[Any, ...] = parameters_of(eta.reshape(-1, eta.shape[-1]))
        r, alpha, a, b = (value.reshape(eta.shape[:-1]) for value in flat)
        return {"r": r, "alpha": alpha * self._layout.time_unit, "a": a, "b": b}
