"""Columns of a DataFrame as floats: numbers, and durations that are given as timedeltas.

NumPy would turn a timedelta into its nanoseconds, a date into nanoseconds since 1970, and ``True``
into 1, without a word. Here a timedelta becomes days, and the rest is refused.
"""

import datetime as dt
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv.errors import InputError

type Floats = NDArray[np.float64]

_DAY = np.timedelta64(1, "D")
_DATES = (dt.date, np.datetime64, pd.Period)


def floats(column: pd.Series, name: str, *, is_duration: bool = False) -> Floats:
    """Return a column as floats, NaN where a value is missing.

    Parameters
    ----------
    column
        Numbers (text that is a number counts as one) or, if ``is_duration``, timedeltas of any
        unit, which are converted to days: whole days exactly.
    name
        Of the column, for messages.

    Raises
    ------
    InputError
        The column holds something else, such as dates, truth values or words.
    """
    if pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        column = column.astype(object)
    kind = _kind(column)
    if kind == "timedelta":
        if not is_duration:
            raise InputError(f"{name} must be a number, but the column holds timedeltas")
        return _days(column)
    if kind == "truth":
        raise InputError(f"{name} must be a number, but the column holds true and false")
    if kind == "date":
        what = "a number of days or a timedelta" if is_duration else "a number"
        advice = ": subtract the date of the first purchase" if is_duration else ""
        raise InputError(f"{name} must be {what}; it is {_type_name(column)}{advice}")
    if kind == "complex":
        raise InputError(f"{name} must be a number, but the column holds complex numbers")
    if kind == "mixed":
        raise InputError(f"{name} must be a number; the column mixes timedeltas with other values")
    try:
        return cast(Floats, column.to_numpy(dtype=float, na_value=np.nan))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be a number: {error}") from None


def _kind(column: pd.Series) -> str:
    """Return what the column holds: timedelta, truth, date, complex, mixed, or number."""
    types = pd.api.types
    dtype: Any = column.dtype
    if types.is_object_dtype(dtype):
        return _kind_of_objects(column)
    if isinstance(dtype, pd.CategoricalDtype):
        return _kind(pd.Series(dtype.categories))
    arrow = str(getattr(dtype, "pyarrow_dtype", ""))
    if types.is_timedelta64_dtype(dtype) or arrow.startswith("duration"):
        return "timedelta"
    if types.is_bool_dtype(dtype):
        return "truth"
    if types.is_complex_dtype(dtype):
        return "complex"
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return "date"
    return "date" if arrow.startswith(("date", "time")) else "number"


def _kind_of_objects(column: pd.Series) -> str:
    types = set(map(type, column[column.notna()]))

    def some(*of: type) -> bool:
        return any(issubclass(it, of) for it in types)

    if some(bool, np.bool_):
        return "truth"
    if some(*_DATES):
        return "date"
    if some(complex, np.complexfloating) and not some(str):
        return "complex"
    durations = {it for it in types if issubclass(it, (dt.timedelta, np.timedelta64))}
    if durations:
        return "timedelta" if durations == types else "mixed"
    return "number"


def _days(column: pd.Series) -> Floats:
    """Return timedeltas as days: whole days exactly, for a day is a multiple of 2^16 ns."""
    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        column = column.astype(dtype.categories.dtype)
    elif hasattr(dtype, "pyarrow_dtype"):
        column = column.astype(cast(Any, f"timedelta64[{dtype.pyarrow_dtype.unit}]"))
    days: Floats = pd.to_timedelta(column).to_numpy() / _DAY  # NaT becomes NaN
    return days


def _type_name(column: pd.Series) -> str:
    if not pd.api.types.is_object_dtype(column.dtype):
        return str(column.dtype)
    given = column[column.notna()]
    return next(type(value).__name__ for value in given if isinstance(value, _DATES))
