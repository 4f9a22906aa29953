"""SIGTERM and SIGHUP as Ctrl-C: what a batch system or a closed terminal ends is kept as what a person ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from saem.system.ending import ENDED_BY_OTHERS

Handler = Callable[[int, FrameType | None], object]

ENDING = (signal.SIGINT, *ENDED_BY_OTHERS)
OFFSET = 128  # a process that a signal ended has this exit code and the number of the signal


class Stopped:
    """Which signal ended the command, for its exit code."""

    last: int = signal.SIGINT

    @classmethod
    def code(cls) -> int:
        """130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return OFFSET + cls.last


def interrupt(number: int, frame: FrameType | None = None) -> None:
    """Raise the KeyboardInterrupt of Ctrl-C, and remember which signal it was."""
    Stopped.last = number
    raise KeyboardInterrupt


@contextmanager
def handling(handler: Handler, numbers: tuple[signal.Signals, ...] = ENDING) -> Iterator[None]:
    """Let a handler see to some signals within the block; those that are ignored stay so, as under `nohup`."""
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other may handle signals
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def terminated_as_interrupted() -> AbstractContextManager[None]:
    """Let the signals of others raise a KeyboardInterrupt within a block, as Ctrl-C does."""
    Stopped.last = signal.SIGINT
    return handling(interrupt, ENDED_BY_OTHERS)
