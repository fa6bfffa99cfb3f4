r"""The BG/NBD model and its modified form, MBG/NBD, as pure functions on arrays.

While alive a customer buys as a Poisson process at rate λ, with λ ~ Gamma(shape r, rate α); after
certain purchases they leave with probability p, with p ~ Beta(a, b). A history is
(x, t_x, T): repeat purchases, time of the last one, time observed. Let n be the number of chances
to leave in the history; the customer stayed after all of them, except perhaps the last. n = x when
they may leave after a *repeat* purchase only (BG/NBD), and n = x + 1 when they may also leave after
the first purchase (MBG/NBD). With n, the same formulas hold for both models:

    ln L     = ln Γ(r+x)/Γ(r) + r ln α + ln B(a, b+n)/B(a, b)
               + ln[ (α+T)^−(r+x) + 1{n>0} a/(b+n−1) (α+t_x)^−(r+x) ]
    P(alive) = 1 / ( 1 + 1{n>0} a/(b+n−1) ((α+T)/(α+t_x))^(r+x) )
    P(≥1 purchase in t)    = P(alive) (1 − ((α+T)/(α+T+t))^(r+x))
    E[purchases in t]      = P(alive) E[(1 − ((α+T)/(α+T+p t))^(r+x)) / p],   p ~ Beta(a, b+n)

All arguments are arrays that broadcast against each other; times, horizons and α share one unit
(days in this package's public functions). Nothing is validated here; the callers do that.

Sources: Fader, Hardie & Lee (2005), Marketing Science 24(2), 275–284; Fader, Hardie & Lee (2008),
note 021 (P(alive)); Batislam, Denizel & Filiztekin (2007), IJRM 24(3), 201–209 (MBG/NBD). The
expectation equals their Gaussian-hypergeometric expression, and stays finite where that overflows.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, expit, gammaln

type Floats = NDArray[np.float64]

NODES = 100  # number of nodes of the quadrature over p


class Dropout(StrEnum):
    """The purchases after which a customer may leave."""

    AFTER_REPEAT = "after_repeat"  # BG/NBD
    AFTER_ANY = "after_any"  # MBG/NBD

    @property
    def model_name(self) -> str:
        """The model's name in the literature."""
        return "BG/NBD" if self is Dropout.AFTER_REPEAT else "MBG/NBD"

    def chances(self, frequency: ArrayLike) -> Floats:
        """Return n, the number of chances to leave, given the number of repeat purchases."""
        return np.asarray(frequency, dtype=float) + (self is Dropout.AFTER_ANY)


@dataclass(frozen=True, slots=True, repr=False)
class Parameters:
    """Hyperparameters, each an array of one shape; α in the unit of the durations."""

    r: Floats
    alpha: Floats
    a: Floats
    b: Floats

    def __getitem__(self, index: object) -> "Parameters":
        """Index all four arrays alike."""
        return Parameters(*(getattr(self, name)[index] for name in ("r", "alpha", "a", "b")))

    def __repr__(self) -> str:
        return f"Parameters(r, alpha, a, b: arrays of shape {np.shape(self.r)})"


def log_likelihood(
    parameters: Parameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> Floats:
    """Log-likelihood of each history."""
    r, alpha, a, b = parameters.r, parameters.alpha, parameters.a, parameters.b
    x, t_x, T = _floats(frequency, recency, T)
    n = dropout.chances(x)
    still_alive = -(r + x) * np.log(alpha + T)
    left_at_last = log_leaving_odds(a, b, n) - (r + x) * np.log(alpha + t_x)
    return cast(
        Floats,
        gammaln(r + x)
        - gammaln(r)
        + r * np.log(alpha)
        + betaln(a, b + n)
        - betaln(a, b)
        + np.logaddexp(still_alive, left_at_last),
    )


def probability_alive(
    parameters: Parameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> Floats:
    """Probability that the customer has not left by T."""
    r, alpha, a, b = parameters.r, parameters.alpha, parameters.a, parameters.b
    x, t_x, T = _floats(frequency, recency, T)
    silence = np.log1p((T - t_x) / (alpha + t_x))  # ln (α+T)/(α+t_x)
    log_odds_gone = log_leaving_odds(a, b, dropout.chances(x)) + (r + x) * silence
    with np.errstate(over="ignore"):  # infinite odds give 0
        return 1.0 / (1.0 + np.exp(log_odds_gone))  # SciPy's expit takes four times as long


def probability_of_purchase(
    parameters: Parameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    horizon: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> Floats:
    """Probability of at least one purchase in (T, T + horizon]."""
    alive = probability_alive(parameters, frequency, recency, T, dropout)
    return alive * probability_of_purchase_if_alive(parameters, frequency, T, horizon)


def probability_of_purchase_if_alive(
    parameters: Parameters, frequency: ArrayLike, T: ArrayLike, horizon: ArrayLike
) -> Floats:
    """Probability of a purchase in (T, T + horizon] by a customer who is alive at T.

    It needs neither recency nor the dropout rule: customers leave only after their next purchase.
    """
    x, T, t = _floats(frequency, T, horizon)
    return cast(Floats, -np.expm1(-(parameters.r + x) * np.log1p(t / (parameters.alpha + T))))


def expected_purchases(
    parameters: Parameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    horizon: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> Floats:
    """Expected number of purchases in (T, T + horizon]."""
    alive = probability_alive(parameters, frequency, recency, T, dropout)
    return alive * expected_purchases_if_alive(parameters, frequency, T, horizon, dropout)


def expected_purchases_if_alive(
    parameters: Parameters,
    frequency: ArrayLike,
    T: ArrayLike,
    horizon: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> Floats:
    """Expected purchases in (T, T + horizon] of a customer who is alive at T.

    It needs no recency: customers with the same x and T have the same expectation. Pass a scalar
    frequency with many T to build the quadrature over p only once.
    """
    x, T, t = _floats(frequency, T, horizon)
    p, weight = leaving_quadrature(parameters.a, parameters.b + dropout.chances(x))
    k = parameters.r + x
    reach = t / (parameters.alpha + T)
    total = np.zeros(())
    for p_j, weight_j in zip(p, weight / p, strict=True):
        total = total - weight_j * np.expm1(-k * np.log1p(p_j * reach))
    return cast(Floats, total)


def log_leaving_odds(a: Floats, b: Floats, n: Floats) -> Floats:
    """ln of 1{n>0} a/(b+n−1): minus infinity where there was no chance to leave."""
    return np.where(n > 0, np.log(a / (b + np.maximum(n - 1, 0))), -np.inf)


def leaving_quadrature(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Nodes p and weights, each (node, …), with sum of weight · g(p) ≈ E g(p), p ~ Beta(a, b).

    In y = logit p the density p^a (1−p)^b falls off exponentially on both sides; with
    y = mode + width · sinh s it falls off doubly exponentially in s, where the trapezoidal rule
    converges geometrically (Takahasi & Mori 1974). The weights are divided by their sum, so no Beta
    function is needed and nothing overflows. Relative error of expected purchases: below
    1e-11 for a ≥ 0.3 and b ≥ 0.5, 1e-7 at worst for a ≥ 0.02 and b ≥ 0.1.
    """
    mode, width, first, last = quadrature_range(a, b)
    s = first + (last - first) * np.linspace(0, 1, NODES).reshape(-1, *[1] * mode.ndim)
    y = mode + width * np.sinh(s)
    log_weight = np.log(np.cosh(s)) + a * _log_expit(y) + b * _log_expit(-y)
    weight = np.exp(log_weight - log_weight.max(axis=0))
    return np.maximum(expit(y), TINY), weight / weight.sum(axis=0)


def quadrature_range(a: Floats, b: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Mode and width in y = mode + width · sinh s, and the first and last s of the quadrature."""
    mode = np.log(a) - np.log(b)
    width = np.sqrt(1 / a + 1 / b)
    first = -np.arcsinh((_TAIL / a + _SHOULDER) / width)
    last = np.arcsinh((_TAIL / b + np.maximum(-mode, 0.0) + _SHOULDER) / width)
    return mode, width, first, last


def sample_purchases(
    rng: np.random.Generator,
    parameters: Parameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    horizon: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> NDArray[np.int64]:
    """Draw the number of purchases in (T, T + horizon], one outcome for each element.

    Unlike an expectation, an outcome varies with the customer's random behaviour as well as with
    the uncertain hyperparameters.
    """
    x, T, t = _floats(frequency, T, horizon)
    alive = probability_alive(parameters, x, recency, T, dropout)
    shape, b = parameters.r + x, parameters.b + dropout.chances(x)
    size = np.broadcast_shapes(alive.shape, t.shape)
    shape, since, a, b, t = np.broadcast_arrays(shape, parameters.alpha + T, parameters.a, b, t)
    later = sample_purchases_if_alive(rng, shape, since, a, b, t)
    return np.where(rng.random(size) < alive, later, 0)


def sample_purchases_if_alive(
    rng: np.random.Generator,
    shape: Floats,
    since: Floats,
    a: Floats,
    b: Floats,
    horizon: Floats | float,
) -> NDArray[np.int64]:
    """Draw the number of purchases within the horizon of customers who are alive.

    Parameters
    ----------
    shape, since, a, b
        λ ~ Gamma(shape, rate since) and p ~ Beta(a, b), arrays of one shape.
    """
    rate = rng.gamma(shape) / since
    # A conditional Beta draw may underflow to 0, but the geometric draw needs p > 0; with p = TINY
    # no customer leaves either.
    p = np.maximum(rng.beta(a, b), TINY)
    if_never_leaving = rng.poisson(np.minimum(rate * horizon, _MAX_POISSON))
    return np.minimum(if_never_leaving, _geometric(rng, p))


_TAIL = 38.0  # the quadrature ends where the weight is e^-38 of its peak
_SHOULDER = 4.0
TINY = 1e-200
_ALMOST_ONE = float(np.nextafter(1.0, 0.0))
_MAX_POISSON = 1e18  # NumPy rejects much larger Poisson means


def _floats(*values: ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.asarray(value, dtype=float) for value in values)


def _log_expit(y: Floats) -> Floats:
    return -np.logaddexp(0.0, -y)


def _geometric(rng: np.random.Generator, p: Floats) -> NDArray[np.int64]:
    """Draw the number of the purchase after which the customer leaves: 1, 2, …

    By inversion, since NumPy's own geometric draw is undefined for very small p.
    """
    draws = np.ceil(-rng.standard_exponential(p.shape) / np.log1p(-np.minimum(p, _ALMOST_ONE)))
    return np.clip(draws, 1, np.iinfo(np.int64).max // 2).astype(np.int64)
