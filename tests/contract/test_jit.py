"""`saem.system.jit.overload`: what is put in place of its calls is not compiled by itself, and its errors are
noticed."""

from __future__ import annotations

from typing import Any

import numba
import pytest
from numba.core import event

from saem.system.jit import overload


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
