"""The Gamma–Gamma model: published figures, and independent evaluation."""

import datetime as dt

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.rfm import customers
from bayes_clv.models.gammagamma import (
    Floats,
    SpendParameters,
    expected_spend,
    log_likelihood,
    log_likelihood_of_more,
    spend_line,
)

PUBLISHED = SpendParameters(*map(np.array, (6.25, 3.74, 15.44)))


@pytest.fixture(scope="module")
def repeaters() -> tuple[Floats, Floats]:
    """Frequency and mean spend of the 946 of CDNOW's sample who came back within 39 weeks."""
    frame = customers(load_cdnow(sample=True).until(dt.date(1997, 9, 30)))
    frame = frame[frame.frequency > 0]
    return frame.frequency.to_numpy(float), frame.monetary_value.to_numpy(float)


def test_the_published_likelihood_is_met(repeaters: tuple[Floats, Floats]) -> None:
    x, m = repeaters
    assert len(x) == 946
    assert log_likelihood(PUBLISHED, x, m).sum() == pytest.approx(-4055.925, abs=0.05)


def test_the_published_estimates_are_found(repeaters: tuple[Floats, Floats]) -> None:
    x, m = repeaters

    def loss(logs: Floats) -> float:
        return -float(log_likelihood(SpendParameters(*np.exp(logs)), x, m).sum())

    found = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"maxiter": 4000})
    assert -found.fun == pytest.approx(-4055.9177, abs=0.05)
    np.testing.assert_allclose(np.exp(found.x), (6.25, 3.74, 15.44), rtol=5e-3)


def test_the_first_ten_customers_spend_what_is_published() -> None:
    """Their sheet is in the order of first purchases."""
    frame = customers(load_cdnow(sample=True).until(dt.date(1997, 9, 30)))
    frame = frame.sort_values(["T", "customer_id"], ascending=[False, True]).head(10)
    spend = expected_spend(PUBLISHED, frame.frequency, frame.monetary_value)
    published = (24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17)
    np.testing.assert_allclose(spend, published, atol=0.1)


CASES = [
    (p, q, v, x, s, n, more)
    for p, q, v in ((6.25, 3.74, 15.44), (0.4, 1.05, 3000.0), (80.0, 30.0, 1e-3))
    for x, s in ((0.0, 0.0), (1.0, 12.5), (400.0, 1e5))
    for n, more in ((1.0, 0.01), (3.0, 250.0))
]


@pytest.mark.parametrize(("p", "q", "v", "x", "s", "n", "more"), CASES)
def test_more_spend_has_the_density_of_the_mixture(
    p: float, q: float, v: float, x: float, s: float, n: float, more: float
) -> None:
    """∫ Gamma(Δs | pn, ν) Gamma(ν | q+px, v+s) dν, by the Beta-prime density in 40 digits."""
    with mpmath.workdps(40):
        shape, rate = mpmath.mpf(q) + mpmath.mpf(p) * x, mpmath.mpf(v) + s
        k, more_ = mpmath.mpf(p) * n, mpmath.mpf(more)
        expected = (
            (k - 1) * mpmath.log(more_ / rate)
            - (k + shape) * mpmath.log1p(more_ / rate)
            - mpmath.log(rate)
            - mpmath.log(mpmath.beta(k, shape))
        )
    seen = log_likelihood_of_more(SpendParameters(*map(np.array, (p, q, v))), x, s, n, more)
    assert float(seen) == pytest.approx(float(expected), rel=1e-9, abs=1e-7)


def test_histories_bought_in_parts_have_the_density_of_the_parts() -> None:
    """Given ν two sums are independent, so the joint density is the product of conditionals."""
    one = log_likelihood_of_more(PUBLISHED, 0, 0, 2, 30.0)
    other = log_likelihood_of_more(PUBLISHED, 2, 30.0, 3, 80.0)
    p, q, v = 6.25, 3.74, 15.44

    def joint(nu: float) -> float:
        with mpmath.workdps(30):
            logs = (
                mpmath.log(nu) * (5 * p + q - 1) - nu * (v + 110.0)
                + (2 * p - 1) * mpmath.log(30) + (3 * p - 1) * mpmath.log(80)
                + q * mpmath.log(v)
                - mpmath.loggamma(2 * p) - mpmath.loggamma(3 * p) - mpmath.loggamma(q)
            )  # fmt: skip
            return float(mpmath.exp(logs))

    density, _ = quad(joint, 0, 2.0, epsabs=0, epsrel=1e-10, points=[0.15, 0.3, 0.5])
    assert float(one + other) == pytest.approx(np.log(density), rel=1e-9)


def test_a_density_integrates_to_one() -> None:
    mass, _ = quad(lambda m: float(np.exp(log_likelihood(PUBLISHED, 2, m))), 0, np.inf)
    assert mass == pytest.approx(1.0, rel=1e-6)


def test_expected_spend_is_the_mean_of_the_customers_own_posterior() -> None:
    x, m = 3.0, 28.0
    nu = np.random.default_rng(4).gamma(3.74 + 6.25 * x, 1 / (15.44 + m * x), 400_000)
    spend = 6.25 / nu
    se = spend.std() / np.sqrt(len(spend))
    assert abs(float(expected_spend(PUBLISHED, x, m)) - spend.mean()) < 4 * se


def test_expected_spend_lies_between_the_populations_and_the_customers_own_mean() -> None:
    everybody = float(expected_spend(PUBLISHED, 0, 0.0))
    seen = expected_spend(PUBLISHED, np.arange(1, 200), 50.0)
    assert everybody == pytest.approx(6.25 * 15.44 / 2.74)
    assert np.all(np.diff(seen) > 0)
    assert np.all((seen > everybody) & (seen < 50.0))
    base, slope = spend_line(PUBLISHED, 1e6)
    assert float(base + slope * 50.0) == pytest.approx(50.0, rel=1e-4)
