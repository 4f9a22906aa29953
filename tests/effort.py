"""How much work something is, without a clock: what is counted is the same on every machine and under any load.

And how long to wait for what other processes do: only for what hangs does it make a difference.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 600.0  # seconds


@contextmanager
def effort(most: int) -> Iterator[None]:
    """Fail with what makes more calls of functions, of Python or of C, than ``most``: some millions take a second.

    It fails as soon as there are too many, so that what would never end does.
    """
    calls, before = 0, sys.getprofile()

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls > most:
            sys.setprofile(before)
            raise AssertionError(f"it makes more than {most:,} calls of functions")

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
