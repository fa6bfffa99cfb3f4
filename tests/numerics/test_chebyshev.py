"""A smooth function of T from a few points, against the function itself."""

import numpy as np
import pytest

from bayes_clv.numerics.chebyshev import smooth_in_T

OFFSET, REACH = 25.0, 90.0


class Counted:
    """1 − (z/(z+c))^power, z = OFFSET + T, for a few c; counts the times it is asked about."""

    def __init__(self, power: float) -> None:
        self.power, self.asked = power, 0

    def __call__(self, T: np.ndarray) -> np.ndarray:
        self.asked += len(T)
        reach = np.array([1e-3, 1.0, 20.0, REACH]) / (OFFSET + T[:, None])
        return -np.expm1(-self.power * np.log1p(reach))


@pytest.mark.parametrize("power", [0.1, 1.0, 12.0, 150.0, 5000.0])
@pytest.mark.parametrize(("first", "last"), [(0, 730), (460, 546), (1, 20_000), (700, 700.001)])
def test_it_is_the_function_at_a_fraction_of_the_price(
    first: float, last: float, power: float
) -> None:
    function = Counted(power)
    T = np.linspace(first, last, 400)
    smooth = smooth_in_T(function, T, OFFSET, power, REACH)
    assert function.asked < 90
    np.testing.assert_allclose(smooth(T), Counted(power)(T), rtol=5e-13)
    assert function.asked < 90


def test_few_times_are_not_interpolated() -> None:
    function = Counted(2.0)
    T = np.array([3.0, 3.0, 10.0, 700.0])
    smooth = smooth_in_T(function, T, OFFSET, 2.0, REACH)
    assert function.asked == 3
    np.testing.assert_array_equal(smooth(T[[2, 0]]), Counted(2.0)(T[[2, 0]]))


def test_one_time_is_enough() -> None:
    smooth = smooth_in_T(Counted(2.0), np.array([0.0]), OFFSET, 2.0, REACH)
    np.testing.assert_array_equal(smooth(np.zeros(1)), Counted(2.0)(np.zeros(1)))
