r"""The log-density of the model of purchases with reactivation, as NUTS walks on it.

Beside the hierarchy's η the model has three variables, v = (logit ε, ln(r_f/α_f), ln r_f), alike in
all segments. The first states of customers enter by the likelihood of the table of states, all that
follows by that of stretches. The coordinates are those of :mod:`bayes_clv.inference.hierarchy`, and
three more at the end, w, which are close to a standard normal, too:

    v = centre + scale · w

centre and scale are the mode of v, and its width there, where all other coordinates are 0. These
are found with v at its centre, so both are found in turns, at first with v at its prior mean. To
let η follow v, by mixed derivatives of the likelihood, was tried and saved no steps: NUTS finds
the few directions in which the two depend on each other.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bayes_clv.inference.hierarchy import Variables, backward, forward
from bayes_clv.inference.purchases.density import LogDensity
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.likelihood import value_and_gradient_by_eta
from bayes_clv.inference.purchases.stretch_layout import StretchLayout
from bayes_clv.inference.purchases.stretch_likelihood import value_and_gradient_of_stretches
from bayes_clv.models.hyperparameters import components_of, reactivation_at
from bayes_clv.models.priors import Priors, ReactivationPriors
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.numerics.jit import compiled
from bayes_clv.posterior.draws import REACTIVATION

type Floats = NDArray[np.float64]

_TURNS = 12
_STILL = 0.1  # standard deviations that v moves in a turn: below, the search ends
_STEP = 1e-4  # of central differences
_LEAST = 1e-9  # share of the prior's variance that is added to the draws', so that none is 0


class Afresh(NamedTuple):
    """Priors and coordinates of v, in the form that compiled code takes.

    Attributes
    ----------
    mean, sd
        ``(3,)`` of the normal priors.
    centre, scale
        ``(3,)`` and lower triangular ``(3, 3)``: v = centre + scale · w.
    """

    mean: Floats
    sd: Floats
    centre: Floats
    scale: Floats


@compiled
def _log_density(x, prior, coordinates, layout, afresh, stretches):  # type: ignore[no-untyped-def]
    n = len(x) - len(afresh.mean)
    eta, value, saved = forward(x[:n], prior, coordinates)
    v = afresh.centre + afresh.scale @ x[n:]
    standard = (v - afresh.mean) / afresh.sd
    value += _log_prior(standard, afresh)
    of_states, by_eta = value_and_gradient_by_eta(eta, layout)
    of_stretches, more_by_eta, by_v = value_and_gradient_of_stretches(eta, v, stretches)
    slope = np.empty_like(x)
    slope[:n] = backward(by_eta + more_by_eta, saved, coordinates)
    slope[n:] = afresh.scale.T @ (by_v - standard / afresh.sd)
    return value + of_states + of_stretches, slope


@compiled
def _log_prior(standard, afresh):  # type: ignore[no-untyped-def]
    """Of v, with the Jacobian of its coordinates."""
    value = -0.5 * np.sum(standard * standard)
    for i in range(len(standard)):
        value += np.log(afresh.scale[i, i] / afresh.sd[i]) - 0.5 * np.log(2 * np.pi)
    return value


class ReactivatingDensity(LogDensity):
    """The log-density of the model with reactivation as a function of its coordinates.

    Parameters
    ----------
    layout
        The states at which customers' first stretches end, all of the population.
    stretches
        What followed.
    priors, reactivation
        Of the four components, and of v.
    """

    compiled = staticmethod(_log_density)  # type: ignore[assignment]  # of more arguments
    scalars = REACTIVATION

    def __init__(
        self,
        layout: LikelihoodLayout,
        stretches: StretchLayout,
        priors: Priors,
        reactivation: ReactivationPriors,
    ) -> None:
        self._stretches = stretches
        mean, sd = (np.array(reactivation.column(name)) for name in ("mean", "sd"))
        self._afresh = Afresh(mean, sd, centre=mean, scale=np.diag(sd))
        for _ in range(_TURNS):
            super().__init__(layout, priors)
            before, self._afresh = self._afresh, self._suiting()
            moved = np.linalg.solve(self._afresh.scale, self._afresh.centre - before.centre)
            if np.abs(moved).max() < _STILL:
                break

    def log_likelihood(self, eta: Floats) -> tuple[float, Floats]:
        """Value and gradient by η, both of ``eta (group, component)``, with v at its centre."""
        of_states, by_eta = super().log_likelihood(eta)
        of_stretches, more_by_eta, _ = value_and_gradient_of_stretches(
            eta, self._afresh.centre, self._stretches
        )
        return of_states + of_stretches, by_eta + more_by_eta

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What ``compiled`` takes beside x."""
        return *super().arguments, self._afresh, self._stretches

    def variables(self, x: Floats) -> Variables:
        """Turn coordinates ``(…, n_dim)`` into the model's variables; v beside the hierarchy's."""
        at, afresh = super().variables(x), self._afresh
        v = afresh.centre + x[..., -len(afresh.centre) :] @ afresh.scale.T
        log_jacobian = at.log_jacobian + np.log(np.diagonal(afresh.scale)).sum()
        return replace(at, beside=v, log_jacobian=log_jacobian)

    def point(self, at: Variables) -> dict[str, Floats]:
        """The free variables of the PyMC model, by name."""
        return super().point(at) | {"afresh": at.beside}

    def scalars_at(self, at: Variables) -> Mapping[str, Floats]:
        """ε, r_f, and α_f in days, each ``(…,)``."""
        found = reactivation_at(np.moveaxis(at.beside, -1, 0), self._layout.time_unit)
        return dict(zip(REACTIVATION, (found.probability, found.r, found.alpha), strict=True))

    def in_coordinates_of(self, tau: Floats, eta: Floats, scalars: Mapping[str, Floats]) -> Self:
        """The same density, in coordinates estimated from draws of it."""
        drawn = Reactivation(*(scalars[name] for name in REACTIVATION))
        v = components_of(drawn, self._layout.time_unit).T
        spread = np.cov(v, rowvar=False) + np.diag(_LEAST * self._afresh.sd**2)
        found = copy(self)
        found._afresh = self._afresh._replace(
            centre=v.mean(axis=0), scale=np.linalg.cholesky(spread)
        )
        return super(ReactivatingDensity, found).in_coordinates_of(tau, eta, scalars)

    def _suiting(self) -> Afresh:
        """Find the mode of v where all else is in the middle, and its width there."""
        mean, sd = self._afresh.mean, self._afresh.sd
        prior = self._afresh._replace(scale=np.diag(sd))
        arguments = (self.prior, self.coordinates, self._layout, prior, self._stretches)

        def loss(w: Floats) -> tuple[float, Floats]:
            x = np.zeros(self.n_dim)
            x[-len(w) :] = w
            value, slope = self.compiled(x, *arguments)
            return -value, -slope[-len(w) :]

        mode = minimize(loss, np.zeros_like(mean), jac=True, method="BFGS").x
        moves = _STEP * np.eye(len(mean))
        bend = [(loss(mode + it)[1] - loss(mode - it)[1]) / (2 * _STEP) for it in moves]
        values, vectors = np.linalg.eigh((np.array(bend) + np.transpose(bend)) / 2)
        # Where the likelihood is convex, the prior counts, whose curvature is 1.
        covariance = (vectors / np.maximum(values, 1.0)) @ vectors.T
        scale = sd[:, None] * np.linalg.cholesky(covariance)
        return self._afresh._replace(centre=self._afresh.centre + sd * mode, scale=scale)
