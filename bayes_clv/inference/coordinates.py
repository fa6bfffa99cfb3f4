r"""Coordinates in which the posterior is close to a standard normal; the model stays the same.

NUTS takes the fewest steps where all directions are alike. The textbook coordinates of a hierarchy
are not: centred ones (η) narrow to a funnel as τ → 0, non-centred ones (z) bend where a segment's
data pin η down, and a segment's components are strongly correlated either way. Here the data
choose: segment s's log-likelihood is about hᵀη − ½ ηᵀΛη, so given μ and τ

    η_s ≈ Normal(μ + V (h − Λ μ), V),   V = (Λ + diag τ⁻²)⁻¹,

and the coordinate ε of  η_s = μ + V (h − Λμ) + V^½ ε  is, up to the error of the quadratic, a
standard normal that does not depend on μ and τ. Without data ε is the non-centred z, with many data
the whitened η; in between it suits small and large τ alike. It generalises partial centring
(Papaspiliopoulos, Roberts & Sköld 2007, Statistical Science 22(1), 59–73) to weights that follow τ.

**The quadratics** approximate the likelihood on average over the posterior, not at its mode, since
a likelihood of purchases is skewed and its ridges are curved. With q(η_s) the normal that they
imply,

    Λ = −E_q[∇² ll],   h = E_q[∇ ll] + Λ E_q[η],

the stationary point of a Gaussian variational approximation (Opper & Archambeau 2009, Neural
Computation 21(3), 786–792). Stein's lemma turns ∇² into ∇, and the expectations are taken at the 2N
points of the spherical cubature rule (Arasaratnam & Haykin 2009, IEEE Transactions on Automatic
Control 54(6), 1254–1269), √N standard deviations from the mean. q uses a τ at the upper end of its
plausible range: where τ is small the prior dominates and Λ hardly matters, where τ is large Λ must
be right. (With τ in the middle of its range, NUTS diverged at the curved ends of the ridges, where
τ is large: 437 times in 45 fits of five logs, instead of 96.)

**τ** has a marginal posterior in closed form under the quadratics, a nested Laplace approximation
(Rue, Martino & Chopin 2009, JRSS B 71(2), 319–392). Its mode and width in ln τ choose

    τ = unit · g(offset + u/√2)²,   g(w) = w Φ(w) + φ(w),

so that u = 0 is the mode and u = 1 is one standard deviation above it. ln τ itself has a long tail
towards τ = 0, where the density of τ is flat; with g it falls off like a normal. τ itself has a
long tail to the right, which the square shortens.

An error in any of this costs steps, but does not change the posterior: the density includes the
Jacobian.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import brentq, minimize
from scipy.stats import norm

from bayes_clv.models.priors import HierarchicalPriors, PriorArrays

type Floats = NDArray[np.float64]

# From η (group, component) to the log-likelihood and its gradient by η.
type LogLikelihood = Callable[[Floats], tuple[float, Floats]]

_ROUNDS, _DAMPING = 20, 0.5
_STILL = 0.05  # standard deviations that a mean moves in a round: below, the search ends
_DRAWS = 500  # are enough to estimate coordinates from
_LEAST = 1e-9  # share of a variance that is added to it, so that it is never 0
_UPPER_END = 2.0  # standard deviations of ln τ
_LONGEST = 2.0  # standard deviations: a longer step is rejected
_PLAUSIBLE = (1e-4, 6.0)  # τ, in units of its prior
_WIDTHS = (0.05, 1.0)  # of ln τ: outside, the approximation is not credible


class Coordinates(NamedTuple):
    """The constants of the change of coordinates.

    Attributes
    ----------
    centre, scale
        ``(component,)``, ``(component, component)``: μ = centre + scale · its coordinates.
    unit, offset
        ``(component,)``: τ = unit · g(offset + u/√2)².
    linear, precision
        ``(segment, component)`` h and ``(segment, component, component)`` Λ.
    """

    centre: Floats
    scale: Floats
    unit: Floats
    offset: Floats
    linear: Floats
    precision: Floats


class _Quadratics(NamedTuple):
    """Each group's log-likelihood, up to a constant: hᵀη − ½ ηᵀΛη.

    ``linear (group, component)``, ``precision (group, component, component)``.
    """

    linear: Floats
    precision: Floats


class _Normals(NamedTuple):
    """Of each group's η given τ: ``mean (group, component)``, ``covariance``; and of μ."""

    mean: Floats
    covariance: Floats
    precision_of_mu: Floats


def find_coordinates(
    log_likelihood: LogLikelihood, n_groups: int, priors: HierarchicalPriors
) -> Coordinates:
    """Find the quadratics and, from them, the mode and the width of τ.

    Parameters
    ----------
    log_likelihood
        From η ``(group, component)``, the population's row last, to the value and its gradient.
    n_groups
        The population and the segments with parameters of their own: 1 in a pooled model.
    priors
        Of μ and τ.
    """
    prior = priors.arrays()
    variance = np.tile(prior.sd**2, (n_groups, 1))
    variance[:-1] += prior.between**2
    modes = _modes_by_code(log_likelihood, prior.mean, variance)
    quadratics = _at_modes(log_likelihood, modes)
    log_tau, width = _mode_of_log_tau(prior, quadratics, np.log(prior.between))
    at = _normals(prior, quadratics, log_tau + _UPPER_END * width)
    reach = np.ones(n_groups)
    for _ in range(_ROUNDS):
        before, moved = at, _on_average(log_likelihood, at, reach)
        quadratics, reach = _a_step(at, quadratics, moved, reach)
        log_tau, width = _mode_of_log_tau(prior, quadratics, log_tau)
        at = _normals(prior, quadratics, log_tau + _UPPER_END * width)
        if np.abs((at.mean - before.mean) / _deviations(at)).max() < _STILL:
            break
    return _coordinates(prior, quadratics, log_tau, width)


def coordinates_of_draws(
    log_likelihood: LogLikelihood, tau: Floats, eta: Floats, priors: HierarchicalPriors
) -> Coordinates:
    """Estimate the quadratics and τ from draws, by regressing each group's gradient on its η.

    Over draws of a normal this is the quadratic that holds on average, by Stein's lemma.

    Parameters
    ----------
    log_likelihood
        As in ``find_coordinates``.
    tau
        ``(draw, component)``, of finite draws.
    eta
        ``(draw, group, component)``.
    priors
        Of μ and τ.
    """
    some = np.linspace(0, len(eta) - 1, min(len(eta), _DRAWS)).astype(int)
    at, slopes = eta[some], np.array([log_likelihood(it)[1] for it in eta[some]])
    mean, slope = at.mean(axis=0), slopes.mean(axis=0)
    away = at - mean
    spread = np.einsum("dgi,dgj->gij", away, away)
    spread += _LEAST * np.trace(spread, axis1=1, axis2=2)[:, None, None] * np.eye(at.shape[2])
    together = np.einsum("dgi,dgj->gij", slopes - slope, away)
    precision = _without_negative_part(_symmetric(-together @ np.linalg.inv(spread)))
    quadratics = _Quadratics(slope + np.einsum("gij,gj->gi", precision, mean), precision)
    low, log_tau, high = np.quantile(np.log(tau), [0.16, 0.5, 0.84], axis=0)
    width = np.clip((high - low) / 2, *_WIDTHS)
    return _coordinates(priors.arrays(), quadratics, log_tau, width)


def _coordinates(
    prior: PriorArrays, quadratics: _Quadratics, log_tau: Floats, width: Floats
) -> Coordinates:
    middle = _normals(prior, quadratics, log_tau)
    unit, offset = _unit_and_offset(log_tau, width)
    return Coordinates(
        centre=middle.mean[-1],
        scale=np.linalg.inv(np.linalg.cholesky(middle.precision_of_mu)).T,
        unit=unit,
        offset=offset,
        linear=quadratics.linear[:-1],
        precision=quadratics.precision[:-1],
    )


def _normals(prior: PriorArrays, quadratics: _Quadratics, log_tau: Floats) -> _Normals:
    """The marginal posterior of each group's η under quadratics, given τ."""
    V, weight, precision, linear = _solved(prior, quadratics, log_tau)
    covariance_of_mu = np.linalg.inv(precision)
    mu = covariance_of_mu @ linear
    own = np.einsum("sij,sj->si", V, quadratics.linear[:-1]) + weight @ mu
    spread = V + weight @ covariance_of_mu @ weight.transpose(0, 2, 1)
    covariance = np.concatenate([spread, covariance_of_mu[None]])
    return _Normals(np.vstack([own, mu]), _symmetric(covariance), precision)


def _mode_of_log_tau(
    prior: PriorArrays, quadratics: _Quadratics, start: Floats
) -> tuple[Floats, Floats]:
    """Mode and standard deviation of each ln τ, given the others; both ``(component,)``."""
    if len(quadratics.linear) == 1:
        return start, np.full_like(start, _WIDTHS[1])

    def loss(log_tau: Floats) -> float:
        return -_log_density_of_log_tau(prior, quadratics, log_tau)

    bounds = np.log(prior.between)[:, None] + np.log(_PLAUSIBLE)
    mode: Floats = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-2}).x
    step = 1e-2
    moves = step * np.eye(len(start))
    bend = np.array([loss(mode + it) + loss(mode - it) - 2 * loss(mode) for it in moves])
    return mode, np.clip(step / np.sqrt(np.maximum(bend, 1e-9)), *_WIDTHS)


def _log_density_of_log_tau(prior: PriorArrays, quadratics: _Quadratics, log_tau: Floats) -> float:
    """Up to a constant, all else integrated out."""
    V, _, precision, linear = _solved(prior, quadratics, log_tau)
    h = quadratics.linear[:-1]
    of_segments = 0.5 * (np.linalg.slogdet(V)[1].sum() + np.einsum("si,sij,sj->", h, V, h))
    of_mu = 0.5 * (linear @ np.linalg.solve(precision, linear) - np.linalg.slogdet(precision)[1])
    of_tau = (log_tau - 0.5 * np.exp(2 * log_tau) / prior.between**2).sum()
    return float(of_segments - len(V) * log_tau.sum() + of_mu + of_tau)


def _solved(
    prior: PriorArrays, quadratics: _Quadratics, log_tau: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """V and V diag τ⁻² of each segment; precision of μ, and precision times mean."""
    shrinkage = np.exp(-2 * log_tau)
    V = _symmetric(np.linalg.inv(quadratics.precision[:-1] + np.diag(shrinkage)))
    weight = V * shrinkage
    precision = np.diag(1 / prior.sd**2) + quadratics.precision[-1]
    precision += (quadratics.precision[:-1] @ weight).sum(axis=0)
    linear = prior.mean / prior.sd**2 + quadratics.linear[-1]
    linear += shrinkage * np.einsum("sij,sj->i", V, quadratics.linear[:-1])
    return V, weight, _symmetric(precision), linear


def _at_modes(log_likelihood: LogLikelihood, mode: Floats) -> _Quadratics:
    """The quadratics that touch the log-likelihood at ``mode (group, component)``."""
    precision = _without_negative_part(_curvature(mode, log_likelihood))
    slope = log_likelihood(mode)[1]
    return _Quadratics(slope + np.einsum("gij,gj->gi", precision, mode), precision)


def _on_average(log_likelihood: LogLikelihood, at: _Normals, reach: Floats) -> _Quadratics:
    """The quadratics that hold on average over normals of ``reach (group,)`` times the width.

    Groups do not interact, so all of them are moved at once.
    """
    n = at.mean.shape[1]
    root = reach[:, None, None] * np.linalg.cholesky(at.covariance)
    slope, columns = np.zeros_like(at.mean), []
    for component in range(n):
        move = np.sqrt(n) * root[:, :, component]
        up, down = (log_likelihood(at.mean + sign * move)[1] for sign in (1, -1))
        slope += (up + down) / (2 * n)
        columns.append((down - up) / (2 * np.sqrt(n)))
    bend = np.stack(columns, axis=2) @ np.linalg.inv(root)
    precision = _without_negative_part(_symmetric(bend))
    return _Quadratics(slope + np.einsum("gij,gj->gi", precision, at.mean), precision)


def _a_step(
    at: _Normals, old: _Quadratics, new: _Quadratics, reach: Floats
) -> tuple[_Quadratics, Floats]:
    """Take a damped step in the groups where it is safe; halve the reach of the others.

    Far from its mode a likelihood may fall like an exponential, where the average quadratic points
    nowhere.
    """
    linear, precision = (
        (1 - _DAMPING) * before + _DAMPING * after for before, after in zip(old, new, strict=True)
    )
    finite = np.isfinite(linear).all(axis=1) & np.isfinite(precision).all(axis=(1, 2))
    linear = np.where(finite[:, None], linear, old.linear)
    precision = np.where(finite[:, None, None], precision, old.precision)
    # The posterior of a group, if only its own likelihood changes.
    before = np.linalg.inv(at.covariance)
    after = before + precision - old.precision
    pull = np.einsum("gij,gj->gi", before, at.mean) + linear - old.linear
    moved = np.linalg.solve(after, pull[..., None])[..., 0] - at.mean
    good = finite & (np.abs(moved) < _LONGEST * _deviations(at)).all(axis=1)
    taken = _Quadratics(
        np.where(good[:, None], linear, old.linear),
        np.where(good[:, None, None], precision, old.precision),
    )
    return taken, np.where(good, reach, reach / 2)


def _deviations(at: _Normals) -> Floats:
    """Standard deviations, ``(group, component)``."""
    deviations: Floats = np.sqrt(np.diagonal(at.covariance, axis1=1, axis2=2))
    return deviations


def _unit_and_offset(log_tau: Floats, width: Floats) -> tuple[Floats, Floats]:
    """Unit and offset that put the mode of ln τ at u = 0, and give it slope ``width`` there."""

    def g(w: Floats) -> Floats:
        value: Floats = w * norm.cdf(w) + norm.pdf(w)
        return value

    offset = np.array(
        [brentq(lambda w, s=s: np.sqrt(2) * norm.cdf(w) / g(w) - s, -1, 100) for s in width]
    )
    return np.exp(log_tau) / g(offset) ** 2, offset


def _modes_by_code(log_likelihood: LogLikelihood, mean: Floats, variance: Floats) -> Floats:
    """``posterior_modes`` with the groups ordered by code: the population, code −1, comes first.

    The optimiser adds over groups, and in another order its result differs in the last digit, after
    which NUTS draws other numbers for the same seed.
    """

    def by_code(eta: Floats) -> tuple[float, Floats]:
        value, slope = log_likelihood(np.roll(eta, -1, axis=0))
        return value, np.roll(slope, 1, axis=0)

    return np.roll(posterior_modes(by_code, mean, np.roll(variance, 1, axis=0)), -1, axis=0)


def posterior_modes(
    log_likelihood: LogLikelihood, mean: Floats, variance: Floats, *, slope: float = 0.03
) -> Floats:
    """Maximise each group's penalised log-likelihood, ``(group, component)``.

    By Newton's method in a trust region of radius 1 at most. A longer step, which many customers
    can cause, may end where a + b is so large that the gradient no longer shows the way back. It
    ends where the gradient is shorter than ``slope``.
    """

    def loss(flat: Floats) -> tuple[float, Floats]:
        away = flat.reshape(variance.shape)
        value, rise = log_likelihood(mean + away)
        penalty = away / variance
        return -value + 0.5 * np.sum(penalty * away), (penalty - rise).ravel()

    def curvature(flat: Floats) -> Floats:
        hessians = _curvature(mean + flat.reshape(variance.shape), log_likelihood)
        whole: Floats = block_diag(*hessians) + np.diag(1 / variance.ravel())
        return whole

    found = minimize(
        loss,
        np.zeros(variance.size),
        jac=True,
        hess=curvature,
        method="trust-exact",
        options={"initial_trust_radius": 0.5, "max_trust_radius": 1.0, "gtol": slope},
    ).x
    mode: Floats = mean + found.reshape(variance.shape)
    return mode


def _curvature(mode: Floats, log_likelihood: LogLikelihood, step: float = 1e-4) -> Floats:
    """Minus the Hessian of each group, ``(group, component, component)``, by central differences.

    Groups do not interact, so one component of all groups is moved at a time.
    """
    columns = []
    for component in range(mode.shape[1]):
        move = np.zeros_like(mode)
        move[:, component] = step
        up, down = (log_likelihood(mode + sign * move)[1] for sign in (1, -1))
        columns.append((down - up) / (2 * step))
    return _symmetric(np.stack(columns, axis=2))


def _symmetric(matrices: Floats) -> Floats:
    return (matrices + matrices.swapaxes(-1, -2)) / 2


def _without_negative_part(matrices: Floats) -> Floats:
    """Set negative eigenvalues to 0: negative weights cause them, and they hold no information."""
    finite = np.isfinite(matrices).all(axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(finite[:, None, None], matrices, 0.0))
    nonnegative = (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1)
    return np.where(finite[:, None, None], nonnegative, np.nan)
