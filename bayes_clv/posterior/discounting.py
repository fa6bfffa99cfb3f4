"""The terms of customer value: horizon, discount rate, margin, and the discounting itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_clv import arguments

type Floats = NDArray[np.float64]

# Takes a horizon and the smallest α + T. Returns times u_k and weights w_k ≥ 0 such that
# Σ w_k M(u_k) is the expected discounted number of purchases, M(u) being the expected number of
# purchases until u.
type Discounting = Callable[[float, float], tuple[Floats, Floats]]

DAYS_A_YEAR = 365.25
VALUE_HORIZON = 365.0  # days
ANNUAL_DISCOUNT_RATE = 0.1
MARGIN = 1.0


def undiscounted(horizon: float, scale: float) -> tuple[Floats, Floats]:
    """Weigh all purchases equally."""
    return np.array([horizon]), np.ones(1)


@dataclass(frozen=True, slots=True)
class ValueTerms:
    """The terms of customer value.

    Attributes
    ----------
    horizon
        Days ahead, or a timedelta.
    annual_discount_rate
        Discount rate per year: with 0.1, an amount of 1.10 in a year is worth 1 today.
    margin
        Profit per unit of spend.
    """

    horizon: float = VALUE_HORIZON
    annual_discount_rate: float = ANNUAL_DISCOUNT_RATE
    margin: float = MARGIN

    def __post_init__(self) -> None:
        rate = arguments.number("annual_discount_rate", self.annual_discount_rate, least=0)
        settled = {
            "horizon": arguments.days("horizon", self.horizon),
            "annual_discount_rate": rate,
            "margin": arguments.number("margin", self.margin, above=0),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, float]:
        """Return JSON-ready values."""
        rates = {"annual_discount_rate": self.annual_discount_rate, "margin": self.margin}
        return {"horizon_days": self.horizon} | rates

    @property
    def force(self) -> float:
        """δ per day, the force of interest: a purchase after u days has the weight e^−δu."""
        return math.log1p(self.annual_discount_rate) / DAYS_A_YEAR

    def discounting(self) -> Discounting:
        """Return the discounting function, which turns the integral over time into a sum.

        :func:`bayes_clv.posterior.mixtures.expected_purchases` takes it as an argument.
        """
        return _discounted(self.force) if self.force > 0 else undiscounted


def _discounted(force: float) -> Discounting:
    def times_and_weights(horizon: float, scale: float) -> tuple[Floats, Floats]:
        """Gauss–Legendre quadrature in ln(1 + u/scale), where M is analytic up to distance π.

        The error therefore falls like ρ^−2n for n points, where ρ is the sum of the half-axes of
        an ellipse of that height (Trefethen 2008, SIAM Review 50(1), theorem 4.5).
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
