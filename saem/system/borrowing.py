"""Arrays of which no references are counted; part of `saem.system.jit`."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, ir_utils, types
from numba.extending import intrinsic


@intrinsic
def _borrowed(typingctx: Any, value: Any) -> Any:
    """An array, or a tuple of such, whose memory the caller keeps for as long as the result is used.

    Wherever one is taken out of a tuple or sliced, Numba counts its references, by an instruction that takes longer
    than many a sum here, and for which threads that share an array wait. Of what is borrowed nothing is counted. An
    array of the function's own lives until `release` of it. Assign two or three at once, not more: what goes through a
    tuple is not followed.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _without_owner(context, builder, signature.args[0], arguments[0])

    return value(value), codegen


def _note_alias(target: str, arguments: Any, alias_map: Any, arg_aliases: Any) -> None:
    """Tell Numba that what is borrowed is the same memory, or it removes what is written there as of no use."""
    add_alias: Any = ir_utils._add_alias
    add_alias(target, arguments[0].name, alias_map, arg_aliases)


borrowed: Any = _borrowed
ir_utils.alias_func_extensions["_borrowed", __name__] = _note_alias


@intrinsic
def _release(typingctx: Any, array: Any) -> Any:
    """From here on an array of this function's own is not borrowed: Numba frees one after its last use."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array), codegen


release: Any = _release


def _without_owner(context: Any, builder: Any, numba_type: Any, value: Any) -> Any:
    """The value with no owner in any of its arrays."""
    tools: Any = cgutils
    if isinstance(numba_type, types.BaseTuple):
        parts: Any = numba_type
        for i, part in enumerate(parts):
            each = _without_owner(context, builder, part, builder.extract_value(value, i))
            value = builder.insert_value(value, each, i)
    elif isinstance(numba_type, types.Array):
        array = context.make_array(numba_type)(context, builder, value)
        array.meminfo = tools.get_null_value(array.meminfo.type)
        array.parent = tools.get_null_value(array.parent.type)
        value = array._getvalue()
    return value
