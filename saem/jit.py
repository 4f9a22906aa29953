"""How the package compiles: one decorator, so that every kernel is cached and strict about NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from saem import cache

cache.configure()  # before numba is imported: it reads the folder of its cache once

import numba  # noqa: E402
from numba.core import cgutils, types  # noqa: E402
from numba.extending import intrinsic, overload  # noqa: E402

__all__ = ["call_address", "entry", "inlined", "kernel", "overload", "types"]

F = TypeVar("F", bound=Callable[..., Any])
njit: Any = numba.njit


def kernel(function: F) -> F:
    """Compile a function that other compiled functions call; Python cannot call it.

    Cached on disk. No wrapper for Python is made: unpacking the arrays of a model takes longer to compile than most
    kernels. No ``fastmath``: it would remove the checks for NaN.
    """
    options = {"cache": True, "error_model": "numpy", "nogil": True}
    return cast("F", njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function))


def inlined(function: F) -> F:
    """Put a function's body in place of its calls before compilation.

    For thin layers around large kernels: every level of calls makes LLVM optimise all that lies below once more.
    """
    return cast("F", njit(inline="always", error_model="numpy")(function))


def entry(function: F) -> F:
    """Compile a function that Python calls, cached on disk."""
    return cast("F", njit(cache=True, error_model="numpy", nogil=True)(function))


@intrinsic
def _call_address(typingctx: Any, address: Any, x: Any, values: Any, jacobian: Any, hessian: Any) -> Any:
    """Call the C function at ``address`` with the data pointers of four contiguous float64 arrays.

    A kernel that takes an address, and not a function, is compiled once for all constraints.
    """
    signature = types.void(types.int64, x, values, jacobian, hessian)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        pointer = ir.DoubleType().as_pointer()
        function_type = ir.FunctionType(ir.VoidType(), [pointer] * 4)
        function = builder.inttoptr(arguments[0], cgutils.voidptr_t)
        function = builder.bitcast(function, function_type.as_pointer())
        arrays = zip(signature.args[1:], arguments[1:], strict=True)
        builder.call(function, [context.make_array(kind)(context, builder, value).data for kind, value in arrays])
        return context.get_dummy_value()

    return signature, codegen


call_address: Any = _call_address
