"""How the package compiles: one decorator, so that every kernel is cached and strict about NaN."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal, TypeVar, cast

from saem.system import cache

cache.configure()  # before numba is imported: it reads the folder of its cache once

import llvmlite.binding as llvm_binding  # noqa: E402
import numba  # noqa: E402
from numba.core import caching, cgutils, sigutils, types  # noqa: E402
from numba.core.ccallback import CFunc  # noqa: E402
from numba.core.errors import TypingError  # noqa: E402
from numba.core.typing import templates  # noqa: E402
from numba.extending import intrinsic  # noqa: E402
from numba.extending import overload as numba_overload  # noqa: E402

from saem.system import linking  # noqa: E402
from saem.system.borrowing import borrowed, release  # noqa: E402
from saem.system.calling import call_address, call_row_sums  # noqa: E402
from saem.system.compiling import LISTENER  # noqa: E402, F401 - it hears of what is compiled

__all__ = [
    "borrowed",
    "call_address",
    "call_row_sums",
    "callback",
    "entry",
    "inlined",
    "kernel",
    "llvm_binding",
    "overload",
    "release",
    "standalone",
    "types",
]

F = TypeVar("F", bound=Callable[..., Any])
njit: Any = numba.njit


FunctionCache: Any = caching.FunctionCache
IndexFile: Any = caching.IndexDataCacheFile
Implementation: Any = caching.CompileResultCacheImpl


class SealedFile(IndexFile):  # type: ignore[misc]
    """Numba's files on disk, each after a hash of its content: one that is cut off or damaged is as good as missing."""

    _index_path: str
    _version: str
    _source_stamp: Any

    def _load_index(self) -> dict[Any, str]:
        try:
            stream = io.BytesIO(self._content(self._index_path))
        except FileNotFoundError:
            return {}
        except OSError as error:
            cache.complain(str(error))
            return {}
        if pickle.load(stream) != self._version:
            return {}
        stamp, overloads = pickle.load(stream)
        return dict(overloads) if stamp == self._source_stamp else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        content = pickle.dumps(self._version, protocol=-1) + self._dump((self._source_stamp, overloads))
        self._write(self._index_path, content)

    def _load_data(self, name: str) -> Any:
        try:
            return pickle.loads(self._content(self._data_path(name)))
        except FileNotFoundError:
            raise
        except OSError as error:  # numba takes it for a miss
            cache.complain(str(error))
            raise

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), self._dump(data))

    def _write(self, path: str, content: bytes) -> None:
        with self._open_for_write(path) as stream:
            stream.write(hashlib.sha256(content).digest() + content)

    @staticmethod
    def _content(path: str) -> bytes:
        with open(path, "rb") as stream:
            seal, content = stream.read(32), stream.read()
        if hashlib.sha256(content).digest() != seal:
            raise OSError(f"the compiled code in {path} is damaged")
        return content


class FamilyImplementation(Implementation):  # type: ignore[misc]
    """Where numba keeps a function: in the folder that it was given, and never beside the sources.

    With it is kept what it calls by symbols, and how it is called so itself (`saem.system.linking`).
    """

    _locator_classes = Implementation._locator_classes[:1]

    def reduce(self, data: Any) -> Any:
        call = vars(data.library).get("saem_call")
        return super().reduce(data), call, linking.needs_of(data.library)

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        kept, call, needs = payload
        for need in needs:
            linking.provide(need)
        result: Any = super().rebuild(target_context, kept)
        result.library.saem_needs = needs
        if call is not None:
            linking.publish(result, call)
        return result


class FamilyCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, with a file of its own for each family of models defined outside the package.

    A process that does not know such a family could not read an index that names its types. And a family that is
    edited is compiled again: its file's time and size are part of the key. What cannot be read is compiled anew, and
    what cannot be written is not kept.
    """

    _impl_class = FamilyImplementation
    _cache_file: Any

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = self._file(self._impl.filename_base)

    def _file(self, base: str) -> SealedFile:
        make: Any = SealedFile
        file: SealedFile = make(self._cache_path, base, self._impl.locator.get_source_stamp())
        return file

    def _foreign(self, signature: Any) -> tuple[tuple[str, int, int], ...]:
        """Module, time and size of the files that define types of the signature outside the package."""
        found = {}
        for numba_type in nested_types(signature):
            module = getattr(getattr(numba_type, "instance_class", None), "__module__", None)
            if module is not None and module.split(".")[0] != "saem":
                path = getattr(sys.modules.get(module), "__file__", None)
                stamp = os.stat(path) if path is not None else None
                found[module] = (stamp.st_mtime_ns, stamp.st_size) if stamp is not None else (0, 0)
        return tuple((module, *stamp) for module, stamp in sorted(found.items()))

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), self._foreign(sig))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            with self._file_for(sig):
                return super().load_overload(sig, target_context)
        except linking.Missing:
            return None
        except Exception as error:  # of whatever kind: compiling helps
            cache.complain(f"compiled code in {self._cache_path} cannot be read ({type(error).__name__}: {error})")
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        call = None if self._foreign(sig) else linking.call_of(self._py_func, data)
        data.library.saem_call = call
        try:
            with self._file_for(sig):
                super().save_overload(sig, data)
        except OSError as error:
            cache.complain(f"compiled code cannot be kept in {self._cache_path}: {error.strerror or error}")
        if call is not None:
            linking.publish(data, call)

    @contextmanager
    def _file_for(self, signature: Any) -> Iterator[None]:
        """Let the index be that of the families in the signature."""
        foreign = self._foreign(signature)
        before = self._cache_file
        if foreign:
            name = hashlib.sha256(repr([module for module, *_ in foreign]).encode()).hexdigest()[:12]
            self._cache_file = self._file(f"{self._impl.filename_base}-{name}")
        try:
            yield
        finally:
            self._cache_file = before


def nested_types(numba_type: Any) -> Iterator[Any]:
    """A type (or a tuple of types) and all types within."""
    if isinstance(numba_type, tuple | list):
        for part in numba_type:
            yield from nested_types(part)
        return
    yield numba_type
    yield from nested_types(tuple(getattr(numba_type, "types", ())))
    inner = getattr(numba_type, "dtype", None)
    if isinstance(numba_type, types.BaseTuple) and inner is not None:
        yield from nested_types((inner,))


def cached(dispatcher: Any) -> Any:
    """Give a compiled function the package's cache on disk, if there is one."""
    own = cache_of(dispatcher.py_func)
    if own is not None:
        dispatcher._cache = own
        linking.register(dispatcher)
    return dispatcher


def cache_of(function: Any) -> Any:
    """The cache of a function; None where nothing can be kept."""
    make_cache: Any = FamilyCache
    try:
        return make_cache(function)
    except (RuntimeError, OSError):  # no place that can be written to
        cache.complain("there is no folder in which compiled code could be kept")
        return None


def callback(source: str, name: str, path: str) -> Any:
    """Compile a function of four ``double *`` from a source that the package has generated, cached on disk.

    Parameters
    ----------
    source : str
        Of a module.
    name : str
        Of the function in it.
    path : str
        Where the source was written to, by which numba finds what it kept.

    Returns
    -------
    CFunc
        Its `address` is that of the C function, for as long as it is kept.
    """
    module = ModuleType(f"saem_generated_{os.path.splitext(os.path.basename(path))[0]}")
    sys.modules[module.__name__] = module  # numba looks the module up by name when it reads its cache
    exec(compile(source, path, "exec"), vars(module))
    make_pointer: Any = types.CPointer
    return c_function(getattr(module, name), types.void(*[make_pointer(types.float64)] * 4))


def c_function(function: Any, signature: Any) -> Any:
    """Compile a function as a C function of a signature, cached on disk; see `callback`."""
    normalized: Any = sigutils.normalize_signature
    compiled: Any = CFunc(function, normalized(signature), locals={}, options={"error_model": "numpy"})
    own = cache_of(function)
    if own is not None:
        compiled._cache = own
    compiled.compile()
    return compiled


def kernel(function: F) -> F:
    """Compile a function that other compiled functions call; Python cannot call it.

    Cached on disk. No wrapper for Python is made: unpacking the arrays of a model takes longer to compile than most
    kernels. No ``fastmath``: it would remove the checks for NaN.
    """
    options = {"error_model": "numpy", "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast("F", cached(njit(**options)(function)))


def standalone(*signature: Any) -> Callable[[F], F]:
    """Compile a large function once, for these types: kernels call it by the name of a symbol.

    What calls a `kernel` has it optimised once more with itself, and so has what calls that. Here nothing is known of
    the function but where it is. Nothing is converted: what is passed must have these very types.
    """
    arguments = tuple(signature)

    def decorate(function: F) -> F:
        compiled: Any = kernel(function)
        compiled.compile(arguments)
        result = compiled.overloads[arguments]
        symbol = f"saem.{function.__module__}.{function.__name__}"
        llvm_binding.add_symbol(symbol, result.library.get_pointer_to_function(result.fndesc.llvm_func_name))

        def call(typingctx: Any, *given: Any) -> Any:
            if tuple(map(_writable, given)) != arguments:
                raise TypingError(f"{function.__name__} is compiled for {arguments} alone; got {given}")

            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                function_type = context.call_conv.get_function_type(types.void, arguments)
                tools: Any = cgutils
                target = tools.get_or_insert_function(builder.module, function_type, symbol)
                each = tools.unpack_tuple(builder, values[0], len(arguments))
                context.call_conv.call_function(builder, target, types.void, arguments, each)
                return context.get_dummy_value()

            together: Any = types.StarArgTuple
            return types.void(together.from_types(arguments)), codegen

        return cast("F", intrinsic(call))

    return decorate


def _writable(numba_type: Any) -> Any:
    """The type, whether or not arrays may be written to: they look the same in memory."""
    if isinstance(numba_type, types.Array):
        return numba_type.copy(readonly=False)
    named: Any = types.NamedTuple
    if isinstance(numba_type, named):
        return named(tuple(map(_writable, numba_type.types)), numba_type.instance_class)
    return numba_type


def inlined(function: F) -> F:
    """Put a function's body in place of its calls before compilation.

    For thin layers around large kernels: every level of calls makes LLVM optimise all that lies below once more.
    """
    return cast("F", njit(inline="always", error_model="numpy")(function))


def entry(function: F) -> F:
    """Compile a function that Python calls, cached on disk."""
    return cast("F", cached(njit(error_model="numpy", nogil=True, no_cfunc_wrapper=True)(function)))


def overload(function: Callable[..., Any], inline: Literal["never", "always"] = "never") -> Callable[[F], F]:
    """Numba's decorator of that name, which makes a function known for some types.

    Numba compiles even what is always put in place of its calls, to see that it can, and throws the code away. Of a
    thin layer around large kernels LLVM optimises all that lies below. Here it is not compiled by itself.
    """
    if inline != "always":
        return cast("Callable[[F], F]", numba_overload(function, inline=inline))

    def decorate(implementation: F) -> F:
        make: Any = templates.make_overload_template
        options = {"no_cpython_wrapper": True, "nopython": True}  # those of numba's own decorator
        template = make(function, implementation, options, True, inline)
        template = type(template.__name__, (InlinedTemplate, template), {})
        register: Any = templates.infer
        register(template)
        register_global: Any = templates.infer_global
        register_global(function, types.Function(template))
        return implementation

    return decorate


class InlinedTemplate:
    """What a numba template of an overload is to do where the overload is always inlined."""

    def _get_jit_decorator(self) -> Any:
        parent: Any = super()
        jitter = parent._get_jit_decorator()

        def decorator(**options: Any) -> Any:
            def dispatch(implementation: Any) -> Any:
                dispatcher = jitter(**options)(implementation)
                dispatcher._can_compile = False  # its types are inferred all the same, or refused
                return dispatcher

            return dispatch

        return decorator
