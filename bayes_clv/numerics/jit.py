"""How this package compiles: Numba without Python's lock, kept on disk until a source changes."""

import hashlib
from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from numba.core.caching import FunctionCache, IndexDataCacheFile

# Contraction lets a multiplication and an addition be one instruction.
_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "nogil": True,
    "fastmath": {"contract"},
}


def compiled[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile with Numba, for this machine, once; run without Python's lock.

    What is compiled is kept on disk until a source changes that it was made from.
    """
    return _kept_on_disk(function, _OPTIONS)


def compiled_sums[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """As ``compiled``, for loops that may add up their terms in any order.

    Not for functions that round on purpose, as those below do: it would undo that.
    """
    return _kept_on_disk(function, _OPTIONS | {"fastmath": {"contract", "reassoc", "nsz"}})


def _kept_on_disk[**P, R](function: Callable[P, R], options: dict[str, Any]) -> Callable[P, R]:
    dispatcher: Any = numba.njit(**options)(function)
    dispatcher._cache = _Cache(function)
    return cast(Callable[P, R], dispatcher)


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's own, which looks at the function's file only, made to look at all its sources."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.stamp = _stamp(function, self._impl.locator.get_source_stamp())
        self._cache_file = _Index(
            self.cache_path, self._impl.filename_base, source_stamp=self.stamp
        )


class _Index(IndexDataCacheFile):  # type: ignore[misc]
    """What is kept of a function; an older release's may name types that are no longer there."""

    def _load_index(self) -> dict[Any, Any]:
        try:
            found: dict[Any, Any] = super()._load_index()
        except (ImportError, AttributeError):
            return {}
        return found


def _stamp(function: Callable[..., Any], own_file: object) -> str:
    """Sum up what a function is compiled from: its file, and what that imports and code can hold.

    Which is other compiled functions, constants, and the fields of tuples.
    """
    imported: list[object] = [own_file]
    for name, value in sorted(function.__globals__.items()):
        if isinstance(cache := getattr(value, "_cache", None), _Cache):
            imported.append((name, cache.stamp))
        elif isinstance(value, int | float | str | np.generic) and not name.startswith("__"):
            imported.append((name, value))
        elif hasattr(value, "_fields"):
            imported.append((name, value._fields))
    return hashlib.sha256(repr(imported).encode()).hexdigest()
