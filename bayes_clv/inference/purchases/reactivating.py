r"""The log-density of the model of purchases with reactivation, as NUTS walks on it.

Beside the hierarchy's η the model has three variables, v = (logit ε, ln(r_f/α_f), ln r_f), alike in
all segments. The first states of customers enter by the likelihood of the table of states, all that
follows by that of stretches. The coordinates are those of :mod:`bayes_clv.inference.hierarchy`, and
three more at the end, w, which are close to a standard normal, too:

    v = centre + scale · w
    h_s = linear_s + pull_s (v − centre),   μ's centre moves by C pull_μ (v − centre)

For v pulls at the η of all segments at once. To first order the quadratic that approximates the
likelihood of η_s (:mod:`bayes_clv.inference.coordinates`) keeps its Λ, and its h moves with the
mixed derivative pull_s = ∂²ll / ∂η_s ∂v; all of them pull at μ, whose covariance is C. In these
coordinates η no longer depends on w, and a chain need not follow that dependence around its
corners.

centre and scale are the mode and the width of v's density where all other coordinates are 0, that
is, where η follows v. Everything is found in turns, at first with v at its prior mean.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bayes_clv.inference.coordinates import Coordinates
from bayes_clv.inference.hierarchy import Variables, backward, forward, variables_at
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
    pull, pull_of_mu
        ``(segment, component, 3)`` of η_s, and ``(component, 3)`` of μ.
    """

    mean: Floats
    sd: Floats
    centre: Floats
    scale: Floats
    pull: Floats
    pull_of_mu: Floats


@compiled
def _log_density(x, prior, coordinates, layout, afresh, stretches):  # type: ignore[no-untyped-def]
    n, N = len(x) - len(afresh.mean), len(coordinates.centre)
    moved = afresh.scale @ x[n:]
    v = afresh.centre + moved
    at_v = _moved(coordinates, afresh, moved)
    eta, value, saved = forward(x[:n], prior, at_v)
    standard = (v - afresh.mean) / afresh.sd
    value += _log_prior(standard, afresh)
    of_states, by_eta = value_and_gradient_by_eta(eta, layout)
    of_stretches, more_by_eta, by_v = value_and_gradient_of_stretches(eta, v, stretches)
    slope = np.empty_like(x)
    slope[:n] = backward(by_eta + more_by_eta, saved, at_v)
    by_v -= standard / afresh.sd
    by_v += afresh.pull_of_mu.T @ (at_v.scale @ slope[:N])
    for s in range(len(afresh.pull)):
        by_v += afresh.pull[s].T @ (saved.root[s].T @ slope[N * (2 + s) : N * (3 + s)])
    slope[n:] = afresh.scale.T @ by_v
    return value + of_states + of_stretches, slope


@compiled
def _moved(coordinates, afresh, moved):  # type: ignore[no-untyped-def]
    """The hierarchy's coordinates where v is ``moved`` from its centre."""
    linear = coordinates.linear.copy()
    for s in range(len(linear)):
        linear[s] += afresh.pull[s] @ moved
    return Coordinates(
        coordinates.centre
        + coordinates.scale @ (coordinates.scale.T @ (afresh.pull_of_mu @ moved)),
        coordinates.scale,
        coordinates.unit,
        coordinates.offset,
        linear,
        coordinates.precision,
    )


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
        nothing = np.zeros((layout.n_segments, len(priors.components()), len(mean)))
        self._afresh = Afresh(mean, sd, mean, np.diag(sd), nothing, np.zeros(nothing.shape[1:]))
        for _ in range(_TURNS):
            super().__init__(layout, priors)
            before, self._afresh = self._afresh, self._following()
            self._afresh = self._suiting()
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
        afresh = self._afresh
        flat = np.ascontiguousarray(x.reshape(-1, self.n_dim))
        moved = flat[:, -len(afresh.centre) :] @ afresh.scale.T
        parts: tuple[Any, ...] = _variables_at(flat, moved, self.coordinates, afresh)
        mu, tau, z, log_jacobian = (it.reshape(x.shape[:-1] + it.shape[1:]) for it in parts)
        v = (afresh.centre + moved).reshape(*x.shape[:-1], -1)
        log_jacobian = log_jacobian + np.log(np.diagonal(afresh.scale)).sum()
        return Variables(mu, tau, z, log_jacobian, v)

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
        found = super(ReactivatingDensity, found).in_coordinates_of(tau, eta, scalars)
        found._afresh = found._following()
        return found

    def _following(self) -> Afresh:
        """Find how η follows v, by central differences at the middle of the coordinates."""
        afresh, to = self._afresh, self.coordinates
        at = self.variables(np.zeros(self.n_dim))
        pull = np.empty((self.n_segments + 1, len(to.centre), len(afresh.centre)))
        for i, sd in enumerate(afresh.sd):
            move = np.zeros_like(afresh.centre)
            move[i] = _STEP * sd
            up, down = (
                value_and_gradient_of_stretches(at.eta, afresh.centre + it, self._stretches)[1]
                for it in (move, -move)
            )
            pull[:, :, i] = (up - down) / (2 * _STEP * sd)
        shrinkage = 1 / at.tau**2
        V = np.linalg.inv(to.precision + np.diag(shrinkage))
        of_mu = pull[-1] + shrinkage[:, None] * np.einsum("sij,sjv->iv", V, pull[:-1])
        return afresh._replace(pull=pull[:-1].copy(), pull_of_mu=of_mu)

    def _suiting(self) -> Afresh:
        """Find the mode of v where η follows it, and its width there."""
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


@compiled
def _variables_at(x, moved, coordinates, afresh):  # type: ignore[no-untyped-def]
    """The hierarchy's variables at ``x (point, n_dim)``, where v is ``moved (point, 3)``."""
    mu, tau, z, log_jacobian = variables_at(x, coordinates)
    for i in range(len(x)):
        at = variables_at(x[i : i + 1], _moved(coordinates, afresh, moved[i]))
        mu[i], tau[i], z[i], log_jacobian[i] = at[0][0], at[1][0], at[2][0], at[3][0]
    return mu, tau, z, log_jacobian
