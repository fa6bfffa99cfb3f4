"""Validation of arguments that many functions share.

What has one plain meaning is converted: a whole number may be an ``int``, a NumPy integer or 3.0, a
number of days may be a timedelta. The rest is refused in one line that gives the argument, the rule
and the value. Truth values and text are not numbers: ``True`` is a slip, and ``"90"`` does not say
90 of what.
"""

import datetime as dt
import math
import os
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from numbers import Real
from typing import Any

import numpy as np

from bayes_clv.errors import InputError

type Days = float | dt.timedelta | np.timedelta64

_LONGEST = 80  # characters of a value in a message
_LARGEST_SEED = 2**63 - 1  # compiled code takes seeds as int64


def require(holds: bool, words: str) -> None:
    """Raise InputError with these words unless the condition holds."""
    if not holds:
        raise InputError(words)


def shown(value: object) -> str:
    """Return a value for a message: on one line, short, and without the data of tables.

    >>> shown("90"), shown([1, 2]), shown(np.arange(1000))
    ("'90'", '[1, 2]', 'an object of type ndarray')
    """
    if hasattr(value, "shape") and getattr(value, "shape", ()) != ():
        return f"an object of type {type(value).__name__}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def number(
    name: str,
    value: object,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
) -> float:
    """Return a finite number from ``least`` to ``most`` that exceeds ``above``, as a float.

    Raises
    ------
    InputError
        The value is none; truth values and text are not numbers.

    Examples
    --------
    >>> number("margin", 1, above=0)
    1.0
    """
    found = _real(value)
    if found is None or not (max(least, -_FINITE) <= found <= min(most, _FINITE) and found > above):
        raise InputError(f"{name} must be {_range(least, most, above)}: {shown(value)}")
    return found


_FINITE = float(np.finfo(float).max)


def _real(value: object) -> float | None:
    """Return a real number as a float, and None for anything else."""
    if type(value) is float or type(value) is int:  # by far the most frequent
        return _float(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, Real | Decimal) and not isinstance(value, bool | np.timedelta64):
        return _float(value)
    return None


def _float(value: Any) -> float:
    try:
        return float(value)
    except (OverflowError, ValueError):  # an integer of 400 digits, a signalling NaN
        return math.nan


def _range(least: float, most: float, above: float) -> str:
    if most == math.inf and above == 0:
        return "a positive number"
    if most == math.inf and least == 0:
        return "0 or more"
    words = "a number"
    if above > -math.inf:
        words += f" above {above:g}"
    elif least > -math.inf:
        words += f" of at least {least:g}"
    if most < math.inf:
        words += f"{' and' if words != 'a number' else ''} at most {most:g}"
    return words if words != "a number" else "a finite number"


def whole(name: str, value: object, *, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number from ``least`` to ``most`` as an int.

    Raises
    ------
    InputError
        The value is none; truth values and text are not numbers.

    Examples
    --------
    >>> whole("draws", 1000.0, least=4)
    1000
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    found = _real(value)
    if found is None or not found.is_integer():
        raise InputError(f"{name} must be a whole number: {shown(value)}")
    exact = int(value)  # type: ignore[call-overload]  # a real number, see above
    if least is not None and exact < least:
        raise InputError(f"{name} must be at least {least}: {shown(value)}")
    if most is not None and exact > most:
        raise InputError(f"{name} must be at most {most}: {shown(value)}")
    return int(exact)


def wholes(name: str, values: object, *, least: int | None = None) -> tuple[int, ...]:
    """Return whole numbers, given as a list or another collection.

    Raises
    ------
    InputError
        They are no collection, or one is no whole number from ``least`` on.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of whole numbers: {shown(values)}")
    return tuple(whole(name, value, least=least) for value in values)


def tails(level: object) -> tuple[float, float]:
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
    mass = _real(level)
    if mass is None or not 0 < mass < 1:
        raise InputError(f"level must lie between 0 and 1: {shown(level)}")
    return (1 - mass) / 2, (1 + mass) / 2


def days(name: str, value: object) -> float:
    """Return a positive and finite number of days, given as a number or a timedelta.

    Raises
    ------
    InputError
        The value is neither, or not positive and finite. Text is refused.

    Examples
    --------
    >>> days("horizon", dt.timedelta(weeks=2))
    14.0
    >>> days("horizon", np.timedelta64(36, "h"))
    1.5
    """
    found = _real(value)
    if found is None:
        found = _of_timedelta(value)
    if found is None or not 0 < found < math.inf:
        raise InputError(f"{name} must be a positive number of days: {shown(value)}")
    return found


def _of_timedelta(value: object) -> float | None:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.timedelta64):
        if np.isnat(value) or np.datetime_data(value.dtype)[0] in ("Y", "M", "generic"):
            return None  # months and years have no fixed number of days
        return float(value / np.timedelta64(1, "D"))
    if isinstance(value, dt.timedelta):  # and pandas' Timedelta
        return value / dt.timedelta(days=1)
    return None


def whole_days(name: str, value: object, *, least: int = 1) -> int:
    """Return a whole number of days, given as a number or a timedelta.

    >>> whole_days("period", dt.timedelta(weeks=1))
    7
    """
    found = _of_timedelta(value)
    exact = whole(name, value if found is None or not found.is_integer() else found)
    day = "day" if least == 1 else "days"
    require(exact >= least, f"{name} must be at least {least} {day}: {shown(value)}")
    return exact


def seed(value: object) -> int:
    """Return a seed: a whole number of 0 or more.

    Raises
    ------
    InputError
        ``value`` is none.
    """
    found = _real(value)
    if found is not None and found < 0:
        raise InputError(f"seed must not be negative: {shown(value)}")
    return whole("seed", value, most=_LARGEST_SEED)


def flag(name: str, value: object) -> bool:
    """Return a truth value; neither 0 nor ``"no"`` is one.

    Raises
    ------
    InputError
        ``value`` is none.
    """
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} must be True or False: {shown(value)}")
    return bool(value)


def choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Return one of some words.

    Raises
    ------
    InputError
        ``value`` is none of them.

    Examples
    --------
    >>> choice("refunds", "net", ("ignore", "net"))
    'net'
    """
    if not (isinstance(value, str) and value in choices):
        words = ", ".join(f'"{word}"' for word in choices)
        raise InputError(f"{name} must be one of {words}: {shown(value)}")
    return str(value)


def member[Words: StrEnum](name: str, value: object, words: type[Words]) -> Words:
    """Return the member of an enumeration of words, given itself or as text.

    Raises
    ------
    InputError
        ``value`` is no member.
    """
    return words(choice(name, value, [word.value for word in words]))


def instance[Kind](name: str, value: object, kind: type[Kind], how: str = "") -> Kind:
    """Return a value of the type ``kind``; the message may say ``how`` it can be given.

    Raises
    ------
    InputError
        ``value`` has another type.
    """
    if not isinstance(value, kind):
        raise InputError(f"{name} must be {how or f'a {kind.__name__}'}: {shown(value)}")
    return value


def instances[Kind](name: str, values: object, kind: type[Kind]) -> tuple[Kind, ...]:
    """Return one or more values of the type ``kind``, given as a list or another collection.

    Raises
    ------
    InputError
        They are no collection, there is none, or one has another type.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of {kind.__name__}: {shown(values)}")
    how = f"a list of {kind.__name__}; one of them is"
    found = tuple(values)
    for value in found:
        require(isinstance(value, kind), f"{name} must be {how} {shown(value)}")
    require(bool(found), f"{name} must hold at least one {kind.__name__}; got none")
    return found


def function[Function: Callable[..., object]](name: str, value: Function) -> Function:
    """Return a function; it is not called here.

    Raises
    ------
    InputError
        ``value`` cannot be called.
    """
    require(callable(value), f"{name} must be a function: {shown(value)}")
    return value


def path(name: str, value: object) -> str:
    """Return the path of a file as text.

    Raises
    ------
    InputError
        ``value`` is neither text nor a path, or empty.
    """
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise InputError(f"{name} must be the path of a file: {shown(value)}")
    return os.fsdecode(value)
