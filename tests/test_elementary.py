"""exp and log against 40-digit arithmetic."""

import mpmath as mp
import numpy as np
import pytest
from scipy.special import digamma, gammaln

from bayes_clv.elementary import exp_non_positive, log_gamma_and_digamma, log_positive

LAST_PLACE = 2.0**-52


def test_exp_is_right_to_two_units_in_the_last_place() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([-np.exp(rng.uniform(-40, np.log(700), 4000)), [0.0, -1.0, -700.0]])
    with mp.workdps(40):
        errors = [abs(exp_non_positive(v) / mp.exp(mp.mpf(v)) - 1) for v in x.tolist()]
    assert max(errors) < 3 * LAST_PLACE
    assert exp_non_positive(0.0) == 1.0


@pytest.mark.parametrize("x", [-701.0, -1e6, -1e300, -np.inf])
def test_exp_of_less_than_minus_700_is_as_good_as_nothing(x: float) -> None:
    assert 0 < exp_non_positive(x) < 1e-303


def test_log_is_right_to_two_units_in_the_last_place() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate(
        [
            np.exp(rng.uniform(-700, 700, 2000)),
            np.exp(rng.uniform(-1, 1, 2000)),
            1 + rng.uniform(-1e-6, 1e-6, 500),
            np.sqrt([0.5, 2.0]) * (1 + np.array([[-1e-15], [0], [1e-15]])).ravel()[0],
        ]
    )
    with mp.workdps(40):
        errors = [abs(log_positive(v) / mp.log(mp.mpf(v)) - 1) for v in x.tolist() if v != 1]
    assert max(errors) < 3 * LAST_PLACE
    assert log_positive(1.0) == 0.0


def test_both_are_the_inverse_of_each_other_where_the_kernel_uses_them() -> None:
    for x in np.linspace(-30, 0, 301).tolist():
        assert log_positive(exp_non_positive(x)) == pytest.approx(x, rel=1e-15, abs=1e-15)


def test_log_gamma_and_digamma_equal_scipys() -> None:
    x = np.concatenate(
        [np.geomspace(1e-6, 1e8, 4001), np.linspace(9, 11, 201), np.linspace(1.4, 1.5, 101)]
    )
    log_gamma, psi = np.array([log_gamma_and_digamma(value) for value in x]).T
    # Absolute near the roots, where the recurrence cancels.
    np.testing.assert_allclose(log_gamma, gammaln(x), rtol=2e-14, atol=2e-14)
    np.testing.assert_allclose(psi, digamma(x), rtol=2e-14, atol=1e-14)
    assert log_gamma_and_digamma(1.0)[1] == pytest.approx(-np.euler_gamma, rel=1e-14)
