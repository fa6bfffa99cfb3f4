"""The terms of customer lifetime value, and the discounting of future purchases."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.errors import InputError

type Floats = NDArray[np.float64]

# From a horizon and the smallest α + T to times u_k and weights w_k ≥ 0 such that Σ w_k M(u_k) is
# the discounted number of purchases; M(u) is the expected number of purchases until u.
type Discounting = Callable[[float, float], tuple[Floats, Floats]]

DAYS_A_YEAR = 365.25
VALUE_HORIZON = 365.0  # days
ANNUAL_DISCOUNT_RATE = 0.1
MARGIN = 1.0


def undiscounted(horizon: float, scale: float) -> tuple[Floats, Floats]:
    """Without discounting: one time, the horizon, of weight 1."""
    return np.array([horizon]), np.ones(1)


@dataclass(frozen=True, slots=True)
class ValueTerms:
    """The terms of customer lifetime value.

    Attributes
    ----------
    horizon
        Days ahead.
    annual_discount_rate
        Per year: at 0.1, 1.10 in a year is worth 1 today.
    margin
        Share of spend that counts as value.
    """

    horizon: float = VALUE_HORIZON
    annual_discount_rate: float = ANNUAL_DISCOUNT_RATE
    margin: float = MARGIN

    def __post_init__(self) -> None:
        arguments.days("horizon", self.horizon)
        for name, least, ok in (
            ("annual_discount_rate", "0 or more", 0 <= self.annual_discount_rate < np.inf),
            ("margin", "a positive number", 0 < self.margin < np.inf),
        ):
            if not ok:
                raise InputError(f"{name} must be {least}: {getattr(self, name)}")

    def to_dict(self) -> dict[str, float]:
        """Return JSON-ready values."""
        rates = {"annual_discount_rate": self.annual_discount_rate, "margin": self.margin}
        return {"horizon_days": self.horizon} | rates

    @property
    def force(self) -> float:
        """δ, per day: a purchase after u days counts e^−δu."""
        return math.log1p(self.annual_discount_rate) / DAYS_A_YEAR

    def discounting(self) -> Discounting:
        """Turn the integral over time into a sum; see :mod:`bayes_clv.posterior.measures`."""
        return _discounted(self.force) if self.force > 0 else undiscounted


def _discounted(force: float) -> Discounting:
    def times_and_weights(horizon: float, scale: float) -> tuple[Floats, Floats]:
        """Gauss–Legendre in ln(1 + u/scale), in which M is analytic up to the distance π.

        So the error falls like ρ^−2n for n points, where ρ is the sum of the half-axes of an
        ellipse of that height (Trefethen 2008, SIAM Review 50(1), theorem 4.5).
        """
        width = math.log1p(horizon / scale)
        rate = math.asinh(2 * math.pi / width)  # ln ρ
        n = math.ceil(_DIGITS / (2 * rate) + math.sqrt(force * horizon)) + 1
        points, weights = np.polynomial.legendre.leggauss(n)
        u = scale * np.expm1(width * (points + 1) / 2)
        inside = weights * width / 2 * (scale + u) * force * np.exp(-force * u)
        return np.append(u, horizon), np.append(inside, math.exp(-force * horizon))

    return times_and_weights


_DIGITS = 7 * math.log(10)
