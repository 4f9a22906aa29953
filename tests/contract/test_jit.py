"""`saem.system.jit.overload`: what is put in place of its calls is not compiled by itself, and its errors are
noticed. `standalone`: what is compiled once."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numba.core import event

from saem.system.jit import borrowed, overload, release, standalone, types


class Compiled(event.Listener):
    """The names of the functions that are compiled while it listens."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_start(self, event: Any) -> None:
        self.names.append(event.data["dispatcher"].py_func.__name__)

    def on_end(self, event: Any) -> None:
        pass


@pytest.mark.parametrize(("inline", "names"), [("always", ["call"]), ("never", ["call", "twice"])])
def test_what_is_inlined_is_not_compiled_by_itself(inline: Any, names: list[str]) -> None:
    """As long as it is, which the second case shows to be noticed."""

    def doubled(x: float) -> float:
        raise NotImplementedError

    @overload(doubled, inline=inline)
    def _doubled(x):  # type: ignore[no-untyped-def]
        def twice(x):  # type: ignore[no-untyped-def]
            return 2.0 * x

        return twice

    @numba.njit
    def call(x):  # type: ignore[no-untyped-def]
        return doubled(x) + 1.0

    listener = Compiled()
    with event.install_listener("numba:compile", listener):
        assert call(3.0) == 7.0
    assert listener.names == names


def test_what_cannot_be_compiled_is_refused() -> None:
    def broken(x: float) -> float:
        raise NotImplementedError

    @overload(broken, inline="always")
    def _broken(x):  # type: ignore[no-untyped-def]
        return lambda x: x.there_is_no_such_thing()

    @numba.njit
    def call(x):  # type: ignore[no-untyped-def]
        return broken(x)

    with pytest.raises(numba.TypingError, match="there_is_no_such_thing"):
        call(3.0)


class Pair(NamedTuple):
    """Arrays of two types."""

    a: np.ndarray
    b: np.ndarray


def doubled(x: float) -> float:
    raise NotImplementedError


@overload(doubled, inline="always")
def _doubled(x):  # type: ignore[no-untyped-def]
    return lambda x: 2.0 * x


def write(pair, values):  # type: ignore[no-untyped-def]
    """Write to arrays that are borrowed, where Numba looks for what is of no use: something is inlined."""
    pair = borrowed(pair)
    memory = np.empty(values.shape[0])
    room = borrowed(memory)
    for i in range(values.shape[0]):
        room[i] = doubled(values[i])
    for i in range(values.shape[0]):
        pair.a[0, i] = room[i]
        pair.b[i] = i
    release(memory)


def test_what_is_borrowed_is_the_same_memory() -> None:
    pair, values = Pair(np.zeros((2, 3)), np.zeros(3, dtype=np.int64)), np.arange(3.0)
    counts = [sys.getrefcount(array) for array in pair]
    numba.njit(write)(pair, values)
    assert pair.a.tolist() == [[0.0, 2.0, 4.0], [0.0, 0.0, 0.0]] and pair.b.tolist() == [0, 1, 2]
    assert [sys.getrefcount(array) for array in pair] == counts


def test_numba_must_be_told_that_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.core.ir_utils.alias_func_extensions", {})
    pair = Pair(np.zeros((2, 3)), np.zeros(3, dtype=np.int64))
    numba.njit(write)(pair, np.arange(3.0))
    assert not pair.a.any(), "it need not be told any more: `_note_alias` can go"


def test_what_stands_alone_is_called_and_not_optimised_again() -> None:
    """Its types are those it was compiled for; whether they may be written to makes no difference."""

    @standalone(types.float64[::1], types.float64[::1])
    def tripled(a, out):  # type: ignore[no-untyped-def]
        out[0] = 3.0 * a[0]

    @numba.njit
    def call(a, out):  # type: ignore[no-untyped-def]
        tripled(a, out)
        return out[0] + 1.0

    given, out = np.array([2.0]), np.empty(1)
    assert call(given, out) == 7.0
    given.flags.writeable = False
    assert call(given, out) == 7.0
    code = call.overloads[call.signatures[0]].library.get_llvm_str()
    assert "declare" in code and f"saem.{__name__}.tripled" in code
    assert "fmul" not in code
    with pytest.raises(numba.core.errors.NumbaError, match="compiled for"):
        call(np.ones(4)[::2], out)
