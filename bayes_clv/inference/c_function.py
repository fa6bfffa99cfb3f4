"""A compiled log-density as a C function, which NUTS calls without Python and its lock.

Called through Python, a step on a small table costs two or three times its arithmetic, and chains
that run in parallel wait for one another: four chains of 400 simulated customers in four
segments took 4.0 s on one core, 6.0 s on two, and 1.1 s by C functions.

A log-density is a function of x and of arguments, which are NamedTuples of arrays; it is compiled
once for all data and cached on disk. The C function is so small that it can be compiled whenever it
is needed: it reads the arguments from a block of memory and calls the density by its address.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core import types as numba_types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

types: Any = numba_types  # Numba's annotations cover only a part of it

# What nutpie calls: from the number of coordinates and x to the gradient and the value.
_VECTOR = types.CPointer(types.float64)
_SIGNATURE = types.int64(types.uint64, _VECTOR, _VECTOR, _VECTOR, types.voidptr)
_POINT = types.Array(types.float64, 1, "C")
_ANSWER = types.Tuple((types.float64, _POINT))
_NOT_FINITE, _FAILED = 4, 1


class CFunction(Protocol):
    """A function that Numba compiled for C."""

    address: int


class Native(NamedTuple):
    """A function that C code can call, and its arguments.

    Attributes
    ----------
    function
        Takes n_dim, x, the gradient, the value, and the address of ``memory``; returns 0 if value
        and gradient are finite.
    memory
        Holds the address of the density, and its arguments.
    arguments
        Own the arrays that ``memory`` points to, so they must live as long.
    """

    function: CFunction
    memory: NDArray[np.uint8]
    arguments: tuple[Any, ...]


def native(log_density: Callable[..., tuple[float, Floats]], arguments: tuple[Any, ...]) -> Native:
    """Make a C function of a compiled ``log_density(x, *arguments)``.

    Parameters
    ----------
    log_density
        From ``x (n_dim,)`` and arguments to the value and its gradient; compiled by
        :func:`bayes_clv.numerics.jit.compiled`.
    arguments
        NamedTuples of arrays and numbers, and of nothing else.
    """
    dispatcher: Any = log_density
    of_arguments = numba.typeof(arguments)
    signature = (_POINT, *of_arguments)
    dispatcher.compile(signature)
    made = dispatcher.overloads[signature]
    address = made.library.get_pointer_to_function(made.fndesc.llvm_func_name)
    context = cpu_target.target_context
    kept = types.Tuple((types.intp, of_arguments))
    memory = np.zeros(context.get_abi_sizeof(context.get_value_type(kept)), np.uint8)
    _put(memory.ctypes.data, (address, arguments))
    return Native(_c_function(kept), memory, arguments)


@numba.cfunc(types.int64(types.uint64, types.uint64, _VECTOR, _VECTOR, types.voidptr), cache=True)
def copy_of_x(n_dim, size, x, copy, memory):  # type: ignore[no-untyped-def]
    """Expand a draw for nutpie: copy its coordinates."""
    for k in range(n_dim):
        copy[k] = x[k]
    return 0


@cache
def _c_function(kept: Any) -> CFunction:
    take = _taker(kept)

    @numba.cfunc(_SIGNATURE)
    def function(n_dim, x, slope, value, memory):  # type: ignore[no-untyped-def]
        try:
            address, arguments = take(memory)
            seen, by_x = _call(address, numba.carray(x, (n_dim,)), arguments)
            value[0] = total = seen
            for k in range(n_dim):
                slope[k] = by_x[k]
                total += by_x[k]
            return 0 if math.isfinite(total) else _NOT_FINITE
        except Exception:  # the only class that Numba can catch
            return _FAILED

    found: CFunction = function
    return found


@numba.njit  # not cached on disk, where one file would collect the types of all callers
def _put(address, kept):  # type: ignore[no-untyped-def]
    _store(address, kept)


@intrinsic  # type: ignore[untyped-decorator]
def _store(typing: Any, address: Any, kept: Any) -> Any:
    """Write the struct that stands for ``kept`` to an address."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        pointer = builder.inttoptr(given[0], context.get_value_type(kept).as_pointer())
        builder.store(_borrowed(context, builder, kept, given[1]), pointer)
        return context.get_dummy_value()

    return types.void(address, kept), code


def _borrowed(context: Any, builder: ir.IRBuilder, type: Any, value: ir.Value) -> ir.Value:
    """The same arrays without an owner, so that references to them are not counted."""
    if isinstance(type, types.Array):
        array = cgutils.create_struct_proxy(type)(context, builder, value=value)
        for owner in ("meminfo", "parent"):
            setattr(array, owner, cgutils.get_null_value(getattr(array, owner).type))
        return array._getvalue()
    if isinstance(type, types.BaseTuple):
        for place, inner in enumerate(type):
            member = _borrowed(context, builder, inner, builder.extract_value(value, place))
            value = builder.insert_value(value, member, place)
    return value


def _taker(kept: Any) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def take(typing: Any, memory: Any) -> Any:
        """Read what was stored."""

        def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
            return builder.load(
                builder.bitcast(given[0], context.get_value_type(kept).as_pointer())
            )

        return kept(memory), code

    return take


@intrinsic  # type: ignore[untyped-decorator]
def _call(typing: Any, address: Any, x: Any, arguments: Any) -> Any:
    """Call the compiled density at an address, as compiled code does."""
    taken = (_POINT, *arguments)

    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        convention = context.call_conv
        pointer = convention.get_function_type(_ANSWER, taken).as_pointer()
        members = [builder.extract_value(given[2], place) for place in range(len(arguments))]
        status, answer = convention.call_function(
            builder, builder.inttoptr(given[0], pointer), _ANSWER, taken, [given[1], *members]
        )
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return answer

    return _ANSWER(address, x, arguments), code
