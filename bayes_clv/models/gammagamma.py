r"""The Gamma–Gamma model of spend, as pure functions on arrays.

The spend of a purchase varies around a mean that each customer has, and is independent of how often
the customer buys: a purchase costs z ~ Gamma(shape p, rate ν), and ν ~ Gamma(shape q, rate v) over
customers. The likelihood of a history depends only on the number x of repeat purchases and their
mean m:

    ln f(m | x) = ln Γ(px+q) − ln Γ(px) − ln Γ(q) + q ln v + (px−1) ln m + px ln x
                  − (px+q) ln(v + mx)
    E[spend a purchase | x, m] = p (v + mx) / (px + q − 1)
    ν | x, m ~ Gamma(px + q, v + mx),   a sum of n further purchases | ν ~ Gamma(pn, ν)

The spend Δs on n further purchases, after x purchases whose sum is s, also has a closed-form
likelihood; the parameters of segments are fitted with it:

    ln f(Δs | n; x, s) = ln Γ(p(x+n)+q) − ln Γ(px+q) − ln Γ(pn) + (pn−1) ln Δs
                         + (px+q) ln(v+s) − (p(x+n)+q) ln(v+s+Δs)

A mean of 0 is known, too: purchases that were refunded in full. Its likelihood is 0 or infinite,
for a Gamma distribution pays something each time, so episodes without spend are left out of the
fit. But what is expected after it is the limit m → 0, which is finite: E = pv/(px + q − 1) falls
with every such purchase.

All arguments are arrays that broadcast against each other; v and all spend are in one currency.
The mean of a customer without repeat purchases exists only for q > 1. Nothing is validated here.

Source: Fader & Hardie (2013), "The Gamma-Gamma model of monetary value", note 025; after Colombo &
Jiang (1999), Journal of Interactive Marketing 13(3).
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False)
class SpendParameters:
    """Hyperparameters, each an array of one shape; v in the currency of the log."""

    p: Floats
    q: Floats
    v: Floats

    def __getitem__(self, index: object) -> "SpendParameters":
        """Index all three arrays alike."""
        return SpendParameters(*(getattr(self, name)[index] for name in ("p", "q", "v")))

    def __repr__(self) -> str:
        return f"SpendParameters(p, q, v: arrays of shape {np.shape(self.p)})"


def log_likelihood(
    parameters: SpendParameters, frequency: ArrayLike, monetary_value: ArrayLike
) -> Floats:
    """Log-density of the mean of ``frequency ≥ 1`` purchases, ``monetary_value > 0``."""
    x, m = _floats(frequency, monetary_value)
    total = log_likelihood_of_more(parameters, np.zeros(()), np.zeros(()), x, m * x)
    return total + np.log(x)  # the density of a mean, not of a sum


def log_likelihood_of_more(
    parameters: SpendParameters,
    frequency: ArrayLike,
    spent: ArrayLike,
    purchases: ArrayLike,
    spend: ArrayLike,
) -> Floats:
    """Log-density of the sum ``spend`` of further ``purchases``, given the sum of earlier ones.

    Parameters
    ----------
    frequency, spent
        x ≥ 0 earlier purchases, and their sum.
    purchases, spend
        n ≥ 1 further purchases, and their sum, above 0.
    """
    p, q, v = parameters.p, parameters.q, parameters.v
    x, s, n, more = _floats(frequency, spent, purchases, spend)
    return cast(
        Floats,
        gammaln(p * (x + n) + q)
        - gammaln(p * x + q)
        - gammaln(p * n)
        + (p * n - 1) * np.log(more)
        + (p * x + q) * np.log(v + s)
        - (p * (x + n) + q) * np.log(v + s + more),
    )


def expected_spend(
    parameters: SpendParameters, frequency: ArrayLike, monetary_value: ArrayLike
) -> Floats:
    """Expected spend per purchase; pass frequency 0 for a customer whose spend is unknown.

    A ``monetary_value`` of 0 with a frequency above 0 is known, and lowers the expectation.
    """
    base, slope = spend_line(parameters, frequency)
    return cast(Floats, base + slope * np.asarray(monetary_value, dtype=float))


def spend_line(parameters: SpendParameters, frequency: ArrayLike) -> tuple[Floats, Floats]:
    """Return A and B of  E[spend a purchase | x, m] = A + B m."""
    p, q, v = parameters.p, parameters.q, parameters.v
    (x,) = _floats(frequency)
    per_purchase = p / (p * x + q - 1)
    return per_purchase * v, per_purchase * x


def _floats(*values: ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.asarray(value, dtype=float) for value in values)
