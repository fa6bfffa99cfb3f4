"""Compilation with Numba: without the GIL, and cached on disk until a source changes."""

import hashlib
from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from numba.core.caching import FunctionCache, IndexDataCacheFile

# Contraction allows one instruction for a multiplication and an addition; where the compiler uses
# it depends on what surrounds a function. So each function is inlined in its callers: a call would
# run the code of its first caller in the process, and the last digits of a fit would depend on
# whether its code was just compiled or came from disk.
_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "nogil": True,
    "fastmath": {"contract"},
    "forceinline": True,
}


def compiled[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function with Numba for this machine; it runs without the GIL.

    The compiled code is cached on disk until one of its sources changes.
    """
    return _cached_on_disk(function, _OPTIONS)


def compiled_sums[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile like ``compiled``, for loops that may add their terms in any order.

    Not for functions that rely on rounding, as those of `special` do: reordering would break them.
    """
    return _cached_on_disk(function, _OPTIONS | {"fastmath": {"contract", "reassoc", "nsz"}})


def _cached_on_disk[**P, R](function: Callable[P, R], options: dict[str, Any]) -> Callable[P, R]:
    dispatcher: Any = numba.njit(**options)(function)
    dispatcher._cache = _Cache(function)
    return cast(Callable[P, R], dispatcher)


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache, which checks only the function's own file, extended to all its sources."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.stamp = _stamp(function, self._impl.locator.get_source_stamp())
        self._cache_file = _Index(
            self.cache_path, self._impl.filename_base, source_stamp=self.stamp
        )


class _Index(IndexDataCacheFile):  # type: ignore[misc]
    """Numba's index of a cached function; one of an older release may name types that are gone."""

    def _load_index(self) -> dict[Any, Any]:
        try:
            index: dict[Any, Any] = super()._load_index()
        except (ImportError, AttributeError):
            return {}
        return index


def _stamp(function: Callable[..., Any], own_file: object) -> str:
    """Return a hash of a function's sources: its file, and the globals that compiled code can use.

    These are other compiled functions, constants, and the fields of named tuples.
    """
    sources: list[object] = [own_file]
    for name, value in sorted(function.__globals__.items()):
        if isinstance(cache := getattr(value, "_cache", None), _Cache):
            sources.append((name, cache.stamp))
        elif isinstance(value, int | float | str | np.generic) and not name.startswith("__"):
            sources.append((name, value))
        elif hasattr(value, "_fields"):
            sources.append((name, value._fields))
    return hashlib.sha256(repr(sources).encode()).hexdigest()
