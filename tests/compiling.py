"""Kernels that are compiled by one process at a time.

The processes of one run of the tests begin with the same kernels. With an empty cache each of them would compile all
of these; here the others wait for the one that has begun, and read what it kept. That takes no longer, and less of the
processors' time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import sigutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher

from saem.system.cache import cache_folder


def take_turns() -> None:
    """Let this process wait for kernels that another one compiles; nothing where files cannot be locked or kept."""
    try:
        import fcntl
    except ImportError:
        return
    folder = cache_folder()
    if folder is None:
        return
    stream = (folder / "tests.lock").open("w")  # never closed: that would give all its locks back
    held: set[int] = set()
    compile_kernel: Any = Dispatcher.compile

    @contextmanager
    def turn(what: str) -> Iterator[None]:
        """Hold the lock of one byte of the file, whose place stands for a kernel."""
        place = int.from_bytes(hashlib.sha256(what.encode()).digest()[:7], "big")
        if place in held:
            yield
            return
        fcntl.lockf(stream, fcntl.LOCK_EX, 1, place)
        held.add(place)
        try:
            yield
        finally:
            held.discard(place)
            fcntl.lockf(stream, fcntl.LOCK_UN, 1, place)

    def compile_in_turn(self: Any, signature: Any) -> Any:
        arguments, _ = sigutils.normalize_signature(signature)
        if tuple(arguments) in self.overloads:
            return compile_kernel(self, signature)
        function = self.py_func
        with global_compiler_lock, turn(f"{function.__module__}.{function.__qualname__}{arguments}"):
            return compile_kernel(self, signature)

    Dispatcher.compile = compile_in_turn
