"""The user's own segments, matched by value: 1.0 at the fit is 1 at the prediction.

A segment may be text in one source and a number, a date or a truth value in another: programs that
meet a missing value turn whole numbers into floats, and a CSV file turns everything into text. Text
is matched as it is; only where the model has no such name, by its key:

    key("1.0") = key(1.0) = key(1) = "1",   key(True) = key("TRUE") = "true",
    key("2024-05-01 00:00:00") = "2024-05-01",   key(" web ") = "web",   key("01") = "01"

Keys exist twice, for values in Python and as an expression for engines; a test compares them.
"""

import datetime as dt
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv.errors import InputError, SegmentWarning

# What a text is cut down to is the first group of these, in the dialect that all engines share.
PATTERNS = (
    r"^([+-]?[0-9]+)[.]0+$",
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]00:00(:00([.]0+)?)?$",
)
TRUTH = ("true", "false")


def text_of(value: Any) -> str | None:
    """Return a segment as text, None where it is missing.

    >>> text_of(2.0), text_of(np.int64(2)), text_of("web "), text_of(float("nan"))
    ('2', '2', 'web', None)
    """
    if isinstance(value, str):
        return value.strip() or None
    if value is None or pd.isna(value):
        return None
    if isinstance(value, bool | np.bool_):
        return TRUTH[0] if value else TRUTH[1]
    if isinstance(value, float | np.floating | Decimal):
        return str(int(value)) if np.isfinite(float(value)) and value % 1 == 0 else str(value)
    if isinstance(value, dt.datetime | np.datetime64):
        return str(pd.Timestamp(value))
    return str(value).strip() or None


def key(text: str) -> str:
    """Return what texts of one value have in common.

    >>> key("1.0"), key("01"), key("1.50"), key("TRUE")
    ('1', '01', '1.50', 'true')
    """
    if text.lower() in TRUTH:
        return text.lower()
    for pattern in PATTERNS:
        text = re.sub(pattern, r"\1", text)
    return text


@cache
def _by_key(names: tuple[str, ...]) -> Mapping[str, str]:
    """Return the names of a model by their keys; a key that two names share is left out."""
    shared = Counter(map(key, names))
    return {key(name): name for name in names if shared[key(name)] == 1}


def keys(names: tuple[str, ...]) -> dict[str, int]:
    """Return the code of each key that belongs to one name only.

    >>> keys(("1.0", "web", "1"))
    {'web': 1}
    """
    return {it: names.index(name) for it, name in _by_key(names).items()}


def match(value: Any, names: tuple[str, ...]) -> str | None:
    """Return the name that a value stands for, None if there is none.

    >>> match(1.0, ("1", "2")), match("1.0", ("1.0", "1")), match("3", ("1", "2"))
    ('1', '1.0', None)
    """
    if isinstance(value, str) and value in names:
        return value
    text = text_of(value)
    if text is None or text in names:
        return text
    return _by_key(names).get(key(text))


def match_all(values: NDArray[np.object_], names: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the code of each value ``(customer,)``, −1 where it stands for no name.

    Raises
    ------
    InputError
        A value, such as a list, can be no name.
    """
    try:
        position, distinct = pd.factorize(values)
    except TypeError:
        raise InputError("segment must hold names: text, numbers, dates or truth values") from None
    code = {name: code for code, name in enumerate(names)}
    codes = [code.get(match(value, names) or "", -1) for value in distinct]
    return np.array([*codes, -1], dtype=np.int64)[position]  # a missing value has position −1


def warn_of_unmatched(
    names: tuple[str, ...], n_customers: int, unmatched: Mapping[str | None, int], n_unmatched: int
) -> None:
    """Warn of customers whose own segment the model does not know.

    Parameters
    ----------
    names
        The model's segments.
    n_customers
        Number of all customers.
    unmatched
        Some segments that the model does not know (None for a missing one), and their customers.
    n_unmatched
        Number of all customers without a segment that the model knows.

    Raises
    ------
    InputError
        Nobody's segment is known, although segments were given.
    """
    if not n_unmatched:
        return
    of_model = f"the model's segments are {_some(names)}"
    if n_unmatched == n_customers and any(value is not None for value in unmatched):
        raise InputError(
            f"segment must name segments of the model, but none of {n_customers:,} customers has "
            f"one: theirs are {_counted(unmatched)}; {of_model}; choose another column with "
            "segment (--segment COLUMN)"
        )
    if n_unmatched == n_customers:
        words = f"no segments were given, so all {n_customers:,} customers are"
        advice = f"{of_model}: name their column with segment (--segment COLUMN)"
    else:
        words = f"{n_unmatched:,} of {n_customers:,} customers have a segment that the model does "
        words += f"not know, {_counted(unmatched)}, and are"
        advice = of_model
    _warn(f"{words} answered with the population's parameters; {advice}")


def _warn(words: str) -> None:
    """Warn at the caller's line outside of this package, where Python shows it once."""
    warnings.warn(words, SegmentWarning, skip_file_prefixes=(_PACKAGE,), stacklevel=2)


def _some(names: Iterable[str]) -> str:
    texts = [repr(name[:_LONGEST]) for name in names]
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN} more" * (len(texts) > _SHOWN))


def _counted(unmatched: Mapping[str | None, int]) -> str:
    """Write the most frequent values with the numbers of their customers."""
    most = sorted(unmatched.items(), key=lambda it: (-it[1], it[0] or ""))
    texts = [
        f"{'missing' if value is None else repr(value[:_LONGEST])} ({count:,})"
        for value, count in most
    ]
    return ", ".join(texts[:_SHOWN]) + ", …" * (len(texts) > _SHOWN)


_SHOWN, _LONGEST = 5, 60  # values in a message, and characters of each
_PACKAGE = str(Path(__file__).parents[1])
