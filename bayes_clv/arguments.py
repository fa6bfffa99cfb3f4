"""Validation of arguments that many functions share."""

import math

from bayes_clv.errors import InputError


def tails(level: float) -> tuple[float, float]:
    """Return the probabilities below the lower and the upper end of an equal-tailed interval.

    Raises
    ------
    InputError
        Unless 0 < level < 1.

    Examples
    --------
    >>> tails(0.5)
    (0.25, 0.75)
    """
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1: {level}")
    return (1 - level) / 2, (1 + level) / 2


def days(name: str, value: float) -> float:
    """Return ``value`` as a float, a positive and finite number of days; messages call it ``name``.

    Raises
    ------
    InputError
        Unless 0 < value < ∞.
    """
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be a positive number of days: {value}")
    return float(value)


def seed(value: int) -> int:
    """Return a seed that is 0 or more.

    Raises
    ------
    InputError
        When ``value`` is negative.
    """
    if value < 0:
        raise InputError(f"seed must not be negative: {value}")
    return value
