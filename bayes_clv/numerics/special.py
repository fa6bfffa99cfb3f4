"""exp, log and ln Γ for Numba code; LLVM turns loops over exp and log into vector instructions.

``math.exp`` and ``math.log`` are function calls, one number at a time. The functions here are a few
multiplications each, so that loops process four or eight numbers at a time on today's processors.
Method: reduction to a short interval, then a polynomial (Muller 2016, Elementary Functions, 3rd
ed., chapters 3 and 11); error below 2 units in the last place.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bayes_clv.numerics.jit import compiled

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01  # last 21 bits 0: exact times an exponent
_LN2_LOW = 1.90821492927058770002e-10
_ROUNDING = 1.5 * 2.0**52  # adding and subtracting it rounds to the nearest integer
_ROUNDING_BITS = int(np.float64(_ROUNDING).view(np.int64))
_ONE_BITS = int(np.float64(1.0).view(np.int64))
_ROOT_HALF_BITS = int(np.sqrt(np.float64(0.5)).view(np.int64))
_LEAST = -700.0
_EDGE = -0.35  # from here to 0, 14 terms give e^x − 1 to all digits
_AT_EDGE = float(np.exp(_EDGE))


@intrinsic  # type: ignore[untyped-decorator]
def _bits(typing_context: Any, number: Any) -> tuple[Any, Callable[..., Any]]:
    """Read the 64 bits of a float as an integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _from_bits(typing_context: Any, integer: Any) -> tuple[Any, Callable[..., Any]]:
    """Read 64 bits as a float."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@compiled
def exp_non_positive(x: float) -> float:
    """e^x for x ≤ 0; e^−700 for x below −700, where the difference has no effect."""
    x = max(x, _LEAST)
    rounded = x * _LOG2_E + _ROUNDING
    k = rounded - _ROUNDING
    f = (x - k * _LN2_HIGH) - k * _LN2_LOW  # |f| ≤ ln(2) / 2
    f2 = f * f
    f4 = f2 * f2
    low = ((1.0 + f) + f2 * (1 / 2 + f * (1 / 6))) + f4 * (
        (1 / 24 + f * (1 / 120)) + f2 * (1 / 720 + f * (1 / 5040))
    )
    high = (1 / 40320 + f * (1 / 362880)) + f2 * (1 / 3628800 + f * (1 / 39916800))
    power: float = _from_bits((_bits(rounded) << 52) + _ONE_BITS)  # 2^k
    return (low + f4 * f4 * (high + f4 * (1 / 479001600))) * power


@compiled
def log_positive(x: float) -> float:
    """Ln x for x > 0, finite and not subnormal."""
    bits = _bits(x)
    exponent = (bits - _ROOT_HALF_BITS) >> 52
    m: float = _from_bits(bits - (exponent << 52))  # √½ ≤ m < √2
    k: float = _from_bits(exponent + _ROUNDING_BITS) - _ROUNDING
    t = (m - 1.0) / (m + 1.0)  # ln m = 2 artanh t
    t2 = t * t
    t4 = t2 * t2
    t8 = t4 * t4
    series = (
        (1 / 3 + t2 * (1 / 5))
        + t4 * (1 / 7 + t2 * (1 / 9))
        + t8 * ((1 / 11 + t2 * (1 / 13)) + t4 * (1 / 15 + t2 * (1 / 17)) + t8 * (1 / 19))
    )
    return k * _LN2_HIGH + (2.0 * t + (2.0 * t * t2 * series + k * _LN2_LOW))


@compiled
def log1p(z: float) -> float:
    """Ln(1 + z) for z ≥ 0, accurate to the last digits for small z too (Higham 2002, §1.14)."""
    w = 1.0 + z
    return z if w == 1.0 else z * (log_positive(w) / (w - 1.0))


@compiled
def expm1(x: float) -> float:
    """e^x − 1 for x ≤ 0: a series near 0; below ``_EDGE``, its value there plus e^x − e^_EDGE.

    There is no branch, because a branch would prevent vector instructions in loops.
    """
    y = max(x, _EDGE)
    y2 = y * y
    y4 = y2 * y2
    low = (1 / 2 + y * (1 / 6)) + y2 * (1 / 24 + y * (1 / 120))
    middle = (1 / 720 + y * (1 / 5040)) + y2 * (1 / 40320 + y * (1 / 362880))
    high = (1 / 3628800 + y * (1 / 39916800)) + y2 * (1 / 479001600 + y * (1 / 6227020800))
    series = y + y2 * (low + y4 * (middle + y4 * high))
    return series + min(exp_non_positive(x) - _AT_EDGE, 0.0)


@compiled
def log_gamma_and_digamma(z: float) -> tuple[float, float]:
    """Ln Γ(z) and ψ(z), z > 0: recurrence to z ≥ 10, then Stirling's series (error below 1e-15)."""
    product, slope = 1.0, 0.0  # z (z+1) …, and its derivative
    while z < _LARGE:
        slope = slope * z + product
        product *= z
        z += 1.0
    log_z = math.log(z)
    series, series_slope = _stirling_series(z)
    log_gamma = (z - 0.5) * log_z - z + _HALF_LOG_2_PI + series - math.log(product)
    return log_gamma, log_z - 0.5 / z + series_slope - slope / product


@compiled
def log_rise(z: float, n: float) -> tuple[float, float, float]:
    """Ln Γ(z+n) − ln Γ(z) and its derivatives by z and by n, for z > 0 and n ≥ 0.

    Accurate to all digits of the difference, even for z so large that all digits of the two terms
    agree.
    """
    if z < _LARGE:
        (low, psi_low), (high, psi_high) = log_gamma_and_digamma(z), log_gamma_and_digamma(z + n)
        return high - low, psi_high - psi_low, psi_high
    y = z + n
    log_z, growth = math.log(z), math.log1p(n / z)
    (low, low_slope), (high, high_slope) = _stirling_series(z), _stirling_series(y)
    rise = n * log_z + ((y - 0.5) * growth - n) + (high - low)
    by_z = growth + 0.5 * n / (z * y) + (high_slope - low_slope)
    return rise, by_z, log_z + growth - 0.5 / y + high_slope


@compiled
def log_rise_in_steps(z: float, n: float) -> tuple[float, float]:
    """``log_rise`` and its derivative by z for a whole number n; cheaper for small n."""
    if n > _FEW or z > _OVERFLOW:
        rise, by_z, _ = log_rise(z, n)
        return rise, by_z
    product, slope = 1.0, 0.0  # z (z+1) … (z+n−1), and its derivative
    while n > 0.5:
        slope = slope * z + product
        product *= z
        z += 1.0
        n -= 1.0
    return math.log(product), slope / product


@compiled
def _stirling_series(z: float) -> tuple[float, float]:
    """Ln Γ(z) − (z−½) ln z + z − ½ ln 2π and its derivative, for z ≥ 10."""
    f = 1.0 / (z * z)
    value = 1 / 12 - f * (
        1 / 360 - f * (1 / 1260 - f * (1 / 1680 - f * (1 / 1188 - f * (691 / 360360))))
    )
    slope = 1 / 12 - f * (
        1 / 120 - f * (1 / 252 - f * (1 / 240 - f * (1 / 132 - f * (691 / 32760 - f / 12))))
    )
    return value / z, -f * slope


_LARGE = 10.0  # from here on Stirling's series has all digits
_FEW, _OVERFLOW = 12.0, 1e24  # 12 factors up to 1e24 do not overflow
_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
