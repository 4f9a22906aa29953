"""Large kernels are optimised once, and called by the name of a symbol; part of `saem.system.jit`.

Numba puts a copy of each compiled function into whatever calls it, has LLVM optimise the copy once more with the
caller, and so again for what calls that: most of what it takes to compile the package. A small function deserves it,
since it may be merged with its caller. A large one is not merged, and the copy is as fast as the original. Callers
therefore get, in place of a large function, one that only calls the original, whose address is found by a symbol.

A process that reads a caller from the cache on disk must have the original at hand. Its name and types are kept with
the caller (`Call`), and it is read, or compiled, before. What is defined outside the package is copied as ever: two
families of models may have types of the same name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

import llvmlite.binding as llvm_binding

__all__ = ["Call", "Missing", "call_of", "needs_of", "provide", "publish", "register"]

#: Instructions from which on a function is large: some times what LLVM merges with a caller.
LARGE = 150
PACKAGE = "saem."

_dispatchers: dict[tuple[str, str], Any] = {}
_published: dict[str, Any] = {}  # by symbol, the libraries whose code must stay where it is


class Missing(LookupError):
    """A function that compiled code calls is not what it was."""


class Call(NamedTuple):
    """A large function for certain types, as others call it."""

    module: str
    name: str
    arguments: tuple[Any, ...]
    symbol: str


def register(dispatcher: Any) -> None:
    """Let a function of the package be found by its name."""
    function = dispatcher.py_func
    if function.__module__.startswith(PACKAGE) and "<" not in function.__qualname__:
        _dispatchers[function.__module__, function.__qualname__] = dispatcher


def call_of(function: Any, result: Any) -> Call | None:
    """How others are to call a function that was compiled; None where they get a copy of it."""
    module, name = function.__module__, function.__qualname__
    dispatcher = _dispatchers.get((module, name))
    if dispatcher is None or dispatcher.py_func is not function:
        return None
    if not _is_large(result.library.get_function(result.fndesc.llvm_func_name)):
        return None
    arguments = tuple(result.signature.args)
    digest = hashlib.sha256(repr((arguments, result.signature.return_type)).encode()).hexdigest()[:16]
    return Call(module, name, arguments, f"{module}.{name}.{digest}")


def _is_large(function: Any) -> bool:
    count = 0
    for block in function.blocks:
        count += sum(1 for _ in block.instructions)
        if count >= LARGE:
            return True
    return False


def publish(result: Any, call: Call) -> None:
    """Make the code known by its symbol, and let callers that are compiled from now on use that."""
    library, described, context = result.library, result.fndesc, result.target_context
    address = library.get_pointer_to_function(described.llvm_func_name)
    if not address:
        return
    llvm_binding.add_symbol(call.symbol, address)
    _published[call.symbol] = library
    library.saem_call = call

    def module_for_linking() -> Any:
        library._shared_module = _forwarding(context, described, call.symbol)
        del library._get_module_for_linking
        return library._shared_module

    library._get_module_for_linking = module_for_linking


def _forwarding(context: Any, described: Any, symbol: str) -> Any:
    """A module with a function that passes all on to the one of the symbol."""
    from llvmlite import ir

    module = ir.Module(name=symbol)
    function_type = context.call_conv.get_function_type(described.restype, described.argtypes)
    function: Any = ir.Function(module, function_type, described.llvm_func_name)
    function.linkage = "linkonce_odr"
    function.attributes.add("alwaysinline")
    builder: Any = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.call(ir.Function(module, function_type, symbol), function.args))
    return llvm_binding.parse_assembly(str(module))


def needs_of(library: Any) -> tuple[Call, ...]:
    """What compiled code calls by symbols, itself or in what was copied into it."""
    known: tuple[Call, ...] | None = vars(library).get("saem_needs")
    if known is None:
        known = tuple({call.symbol: call for call in _calls(library)}.values())
        library.saem_needs = known
    return known


def _calls(library: Any) -> Iterator[Call]:
    for callee in library._linking_libraries:
        call = vars(callee).get("saem_call")
        if call is not None:
            yield call
        else:
            yield from needs_of(callee)


def provide(call: Call) -> None:
    """Have a function at hand, from the cache or compiled anew."""
    if call.symbol in _published:
        return
    import_module(call.module)
    dispatcher = _dispatchers.get((call.module, call.name))
    if dispatcher is not None:
        dispatcher.compile(call.arguments)
    if call.symbol not in _published:
        raise Missing(call.symbol)
