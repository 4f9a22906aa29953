"""What is compiled is counted, and told where it takes time: the first fits on a machine wait for it."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from numba.core import event

from saem.system.cache import COMPILING_SAID

PATIENCE = 1.0  # seconds of compiling about which nothing is said
WORDS = "compiling what this machine needs for the first time: up to a minute, once ('saem warmup' does it ahead)"


class Listener(event.Listener):
    """Hears of every function that is compiled, and not of those that come from the cache.

    Attributes
    ----------
    functions : int
        Compiled by this process so far.
    """

    def __init__(self) -> None:
        self.functions = self.depth = 0
        self.seconds = self.began = 0.0

    def on_start(self, event: Any) -> None:
        """One is begun, perhaps for the sake of another."""
        if not is_ours(event):
            return
        if self.depth == 0:
            self.began = time.perf_counter()
        self.depth += 1
        self.tell()

    def on_end(self, event: Any) -> None:
        """One is done."""
        if not is_ours(event):
            return
        self.tell()
        self.depth -= 1
        self.functions += 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.began

    def tell(self) -> None:
        """Say once that it takes a while, if it does."""
        if self.seconds + time.perf_counter() - self.began > PATIENCE and not os.environ.get(COMPILING_SAID):
            os.environ[COMPILING_SAID] = "1"
            logging.getLogger("saem").warning(WORDS)


def is_ours(event: Any) -> bool:
    """Whether a function of this package is compiled, and not one of somebody else's in the same process."""
    function = getattr(event.data.get("dispatcher"), "py_func", None)
    return str(getattr(function, "__module__", "")).partition(".")[0] == "saem"


LISTENER = Listener()
event.register("numba:compile", LISTENER)  # type: ignore[no-untyped-call]
