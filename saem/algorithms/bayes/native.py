"""The log posterior density as a C function, so that a sampler calls it without Python and its lock.

A C function knows nothing of arrays, so what it works on lies in a block of memory whose address it is given. The block
holds the compiled representation of the arguments of `standardised`: pointers to the arrays, which must stay alive.

Its coordinates are those of `frame`, or of `joint`: the type of the frame says which.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from saem.algorithms.bayes.density import Space
from saem.algorithms.bayes.frame import Frame, standardised
from saem.algorithms.bayes.joint import JointFrame, standardised_jointly
from saem.algorithms.bayes.target import Target
from saem.families.contract import is_a
from saem.system.jit import entry, kernel, overload
from saem.system.jit import types as numba_types

Array = np.ndarray
types: Any = numba_types
tools: Any = cgutils
carray: Any = numba.carray  # type: ignore[attr-defined]


def density_in(objective: Any, space: Space, address: int, frame: Any, v: Array, gradient: Array) -> float:
    """Log posterior density and its gradient in the coordinates of a frame of either kind."""
    raise NotImplementedError


@overload(density_in, inline="always")
def _density_in(objective, space, address, frame, v, gradient):  # type: ignore[no-untyped-def]
    if is_a(frame, Frame):
        return lambda objective, space, address, frame, v, gradient: standardised(
            objective, space, address, frame, v, gradient
        )
    if is_a(frame, JointFrame):
        return lambda objective, space, address, frame, v, gradient: standardised_jointly(
            objective, space, address, frame, v, gradient
        )
    return None


@kernel
def called(objective: Any, space: Space, address: int, frame: Any, d: int, v: Any, gradient: Any, value: Any) -> int:
    """What the C function does: 0, or a positive number where the density is zero."""
    found = density_in(objective, space, address, frame, carray(v, (d,)), carray(gradient, (d,)))
    carray(value, (1,))[0] = found
    return 0 if math.isfinite(found) else 1


POINTER = types.CPointer(types.float64)
BLOCK = 4096  # numbers in a block before the room for draws; the arguments of a linear problem take some 300


def unowned(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """A value whose arrays have no reference counts: those of a call from Python end with the call."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = tools.get_null_value(array.meminfo.type)
        array.parent = tools.get_null_value(array.parent.type)
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        parts = tools.unpack_tuple(builder, value, len(kind))
        return context.make_tuple(
            builder, kind, [unowned(context, builder, *each) for each in zip(kind, parts, strict=True)]
        )
    return value


@intrinsic
def _as_c_function(typingctx: Any, objective: Any, space: Any, address: Any, frame: Any, block: Any) -> Any:
    """Store the arguments of `called` in a block of memory and return the address of a C function that reads them."""
    signature = types.int64(objective, space, address, frame, block)
    stored = types.Tuple([objective, space, address, frame])
    calling = types.int64(objective, space, address, frame, types.int64, POINTER, POINTER, POINTER)
    called.compile(calling.args)  # type: ignore[attr-defined]

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        layout = context.get_value_type(stored)
        if context.get_abi_sizeof(layout) > 8 * BLOCK:
            raise ValueError(
                f"the arguments take {context.get_abi_sizeof(layout)} bytes, and the block has {8 * BLOCK}"
            )
        values = unowned(context, builder, stored, context.make_tuple(builder, stored, arguments[:4]))
        memory = context.make_array(signature.args[4])(context, builder, arguments[4]).data
        builder.store(values, builder.bitcast(memory, layout.as_pointer()), align=8)

        integer, pointer = ir.IntType(64), ir.DoubleType().as_pointer()
        kind = ir.FunctionType(integer, [integer, pointer, pointer, pointer, tools.voidptr_t])
        function = ir.Function(builder.module, kind, context.mangler("saem_log_density", [types.intp]))
        function.linkage = "internal"
        inside = ir.IRBuilder(function.append_basic_block("entry"))
        d, v, gradient, value, given = function.args
        parts = tools.unpack_tuple(inside, inside.load(inside.bitcast(given, layout.as_pointer()), align=8), 4)
        compiled = called.overloads[calling.args]  # type: ignore[attr-defined]
        inner = context.declare_function(builder.module, compiled.fndesc)
        status, result = context.call_conv.call_function(
            inside, inner, calling.return_type, calling.args, [*parts, d, v, gradient, value]
        )
        inside.ret(inside.select(status.is_error, ir.Constant(integer, -1), result))
        context.add_linking_libs([compiled.library])
        return builder.ptrtoint(function, integer)

    return signature, codegen


as_c_function: Any = _as_c_function


@entry
def c_function(objective: Any, space: Space, address: int, frame: Any, block: Array) -> int:
    """Fill a block and return the address of a C function ``(d, v, gradient, value, block) -> status``."""
    return int(as_c_function(objective, space, address, frame, block))


def compiled(target: Target, room: int = 0) -> tuple[int, Array, tuple[Any, ...]]:
    """A density as the address of a C function, the block of memory that it is given, and what that points to.

    The function is there as long as the process; the others must be kept. After what the function needs the block has
    ``room`` for so many numbers.
    """
    block, arguments = np.zeros(BLOCK + room), target.arguments()
    return c_function(*arguments, block), block, arguments
