"""Interpolation of a smooth function of T from its values at a few Chebyshev points."""

from collections.abc import Callable

import numpy as np
from numpy.polynomial.chebyshev import chebpts1, chebvander
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type OfTime = Callable[[Floats], Floats]  # from (time,) to (time, draw)

_ACCURACY = 1e-15
_ANGLES = np.linspace(0.3, np.pi, 60, endpoint=False)


def smooth_in_T(function: OfTime, T: Floats, offset: float, power: float, reach: float) -> OfTime:
    """Return ``function`` for the given times, interpolated where that is cheaper.

    Parameters
    ----------
    function
        From ``(time,)`` to ``(time, draw)``; analytic in T except for T ≤ −offset.
    T
        ``(time,)`` at which the returned function will be evaluated.
    offset, power, reach
        Bounds on the function at complex T. Where z = offset + T has the angle θ, the function is
        at most (sin θ)^−power times as large as at angles up to π/2, and it falls no faster than
        1/(z + reach). Both hold for 1 − (z/(z + c))^power with 0 ≤ c ≤ reach, and for means of
        such functions.

    Returns
    -------
    A function from ``(time,)`` to ``(time, draw)``: 1/(z + reach) times a polynomial in ln z that
    agrees with ``function`` at n Chebyshev points. Its error falls like ρ^−n, where ρ is the sum
    of the semi-axes of an ellipse in which the function is bounded (Trefethen 2013, Approximation
    Theory and Approximation Practice, chapters 2–8); here the ellipse has height θ. For n distinct
    times or fewer, the function is evaluated at these times instead.
    """
    times = np.unique(T)
    first, last = np.log(offset + times[[0, -1]])
    middle, half = (last + first) / 2, max((last - first) / 2, _ACCURACY)
    growth = -power * np.log(np.sin(np.maximum(_ANGLES, np.pi / 2)))
    n = int(np.ceil(np.min((growth - np.log(_ACCURACY)) / np.arcsinh(_ANGLES / half))))
    if len(times) <= n:
        at_times = function(times)
        return lambda T: at_times[np.searchsorted(times, T)]

    points = chebpts1(n)
    z = np.exp(middle + half * points)
    at_points = (z[:, None] + reach) * function(z - offset)
    at_degrees = chebvander(points, n - 1).T

    def interpolated(T: Floats) -> Floats:
        z = (offset + T)[:, None]
        position = np.clip((np.log(z[:, 0]) - middle) / half, -1, 1)
        weights = 2 / n * chebvander(position, n - 1) @ at_degrees - 1 / n
        values: Floats = weights / (z + reach) @ at_points
        return values

    return interpolated
