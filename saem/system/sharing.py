"""Work that several threads share, in pieces that do not depend on how many threads there are.

Compiled code (`saem.system.jit.entry`) lets other threads work meanwhile. Where it needs the threads itself, in the
middle of an iteration, it calls back to Python by an address.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from saem.errors import SaemError

SLICE = 250  # of things that do not depend on each other: a piece of work

#: Threads beside the one that asks for work to be done, and how many; of this thread's context only.
_HELPERS: ContextVar[tuple[ThreadPoolExecutor, int] | None] = ContextVar("helpers", default=None)

_CALLED: Any = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)


def check_threads(threads: int) -> int:
    """The number of threads itself, if it is a whole number that is positive."""
    if isinstance(threads, bool) or not hasattr(threads, "__index__") or int(threads) < 1:
        raise SaemError(f"threads must be a whole number, 1 or larger; got {threads!r}")
    return int(threads)


@contextmanager
def sharing(threads: int) -> Iterator[None]:
    """Let so many threads, this one among them, share what is given to `share` within the block."""
    if threads == 1:
        yield
        return
    with ThreadPoolExecutor(threads - 1, "saem") as helpers:
        before = _HELPERS.set((helpers, threads - 1))
        try:
            yield
        finally:
            _HELPERS.reset(before)


def share(count: int, do: Callable[[int], None]) -> None:
    """Do each of so many pieces of work once, by whatever thread is free; all are done when it returns.

    Of exceptions one is raised here, when no thread is at work any more.
    """
    found = _HELPERS.get()
    if found is None or count < 2:
        for piece in range(count):
            do(piece)
        return
    helpers, most = found
    left = iter(range(count))  # `next` gives a number to one thread only

    def work() -> None:
        try:
            for piece in left:
                do(piece)
        except BaseException:
            list(left)  # nobody begins another piece
            raise

    others = [helpers.submit(work) for _ in range(min(most, count - 1))]
    try:
        work()
    finally:
        wait(others)
    for other in others:
        other.result()


def share_slices(count: int, do: Callable[[slice], None]) -> None:
    """Do a work on so many things that do not depend on each other, slice by slice."""
    share(-(-count // SLICE), lambda piece: do(slice(piece * SLICE, min(count, (piece + 1) * SLICE))))


@contextmanager
def callable_by_address(function: Callable[[int, int, int, int], None]) -> Iterator[int]:
    """The address of a C function of four pointers that calls a Python one, which may use threads, within the block.

    No exception passes through compiled code: after the first, Ctrl-C included, the function is called no more, and
    when the block ends it is raised. So compiled code writes results that end it before it calls.
    """
    failures: list[BaseException] = []
    report = sys.unraisablehook

    def call(*pointers: int) -> None:
        if failures:
            return
        try:
            function(*pointers)
        except BaseException as error:
            failures.append(error)

    def note(unraisable: Any) -> None:
        """Ctrl-C may come before `call` has begun to try."""
        if unraisable.object is call or "ctypes callback" in (unraisable.err_msg or ""):
            failures.append(unraisable.exc_value)
        else:
            report(unraisable)

    compiled = _CALLED(call)
    sys.unraisablehook = note
    try:
        yield int(ctypes.cast(compiled, ctypes.c_void_p).value or 0)
    finally:
        sys.unraisablehook = report
        if failures:
            raise failures[0]


def numbers_at(address: int, count: int) -> np.ndarray:
    """The float64 array (count,) at an address, which is not copied."""
    memory: Any = (ctypes.c_double * count).from_address(address)
    return np.frombuffer(memory)
