"""Calls of C functions at an address from compiled code; part of `saem.system.jit`."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic


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


@intrinsic
def _call_row_sums(typingctx: Any, address: Any, x: Any, z: Any, columns: Any, first: Any, rows: Any, out: Any) -> Any:
    """Call the C function of `saem.expressions.row_sums` at ``address`` for some rows that follow each other.

    ``x``, ``z`` and ``out`` are contiguous float64 arrays, ``columns`` a contiguous one of two dimensions, of which
    the rows from ``first`` on are taken.
    """
    signature = types.void(types.int64, x, z, columns, types.int64, types.int64, out)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        number, count = ir.DoubleType(), ir.IntType(64)
        pointer = number.as_pointer()
        function_type = ir.FunctionType(ir.VoidType(), [pointer, pointer, pointer, count, count, pointer])
        function = builder.inttoptr(arguments[0], cgutils.voidptr_t)
        function = builder.bitcast(function, function_type.as_pointer())
        x, z, columns, out = (
            context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (1, 2, 3, 6)
        )
        first, rows = arguments[4], arguments[5]
        width = builder.extract_value(columns.shape, 1)
        start = builder.gep(columns.data, [builder.mul(first, width)])
        builder.call(function, [x.data, z.data, start, rows, width, out.data])
        return context.get_dummy_value()

    return signature, codegen


call_row_sums: Any = _call_row_sums
