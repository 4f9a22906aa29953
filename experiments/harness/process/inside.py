"""What a process of `experiments.process.parent` does to be harmless: inside of it."""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from .note import SPOILED, Note

SHORTEST, LONGEST = 1e-3, 1e6  # seconds that the timer of `faulthandler` takes
ours: list[IO[str]] = []  # standard output and standard error, as they are to be found


class Inside:
    """This process, when it is one that answers requests.

    Attributes
    ----------
    note : Note
        Of what is under way.
    requests : Queue
        As they come.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
        asked, self.answers, self.said = taken_over()
        self.own = os.getpid()
        faulthandler.enable(self.said, all_threads=False)  # so that it is known where it was
        self.files = self.descriptors()
        self.note = Note(int(sys.argv[1]))
        self.requests: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=receive, args=(asked, self.requests), daemon=True).start()

    def send(self, answer: Any) -> None:
        """Answer."""
        if os.getpid() != self.own:
            os._exit(0)  # a function forked, and this is the other one
        pickle.dump(answer, self.answers, pickle.HIGHEST_PROTOCOL)
        self.answers.flush()

    @contextmanager
    def watch(self, what: str, limit: float, records: Sequence[Any] = ()) -> Iterator[None]:
        """Say what begins, and end this process if it takes too long: nothing less ends compiled code that loops."""
        self.note.begin(what, records)
        reopen(self.said)
        try:
            faulthandler.dump_traceback_later(min(max(limit, SHORTEST), LONGEST), exit=True, file=self.said)
        except RuntimeError as error:  # what it watches by is a thread, and that needs memory
            raise MemoryError(str(error)) from None
        try:
            yield
        except KeyboardInterrupt:  # nobody's but the function's own: this process ignores the signal
            raise RuntimeError("KeyboardInterrupt") from None
        finally:
            faulthandler.cancel_dump_traceback_later()
            if os.getpid() == self.own and self.descriptors() != self.files:
                os._exit(SPOILED)  # now, so that what comes next is not blamed
            forget(self.said)

    def descriptors(self) -> list[tuple[int, int] | None]:
        """What tells the files that this process needs; None for one that is closed."""
        found: list[tuple[int, int] | None] = []
        for file in (self.answers.fileno(), self.said.fileno()):
            try:
                status = os.fstat(file)
                found.append((status.st_dev, status.st_ino))
            except OSError:
                found.append(None)
        return found


def taken_over() -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    """Requests, answers and what is printed, out of reach for functions: they find no input, and print into a file."""
    asked, answers, said = (os.fdopen(os.dup(k), mode) for k, mode in ((0, "rb"), (1, "wb"), (2, "wb")))
    sys.stdin = open(os.devnull)
    os.close(0)
    reopen(said)
    return asked, answers, said


def reopen(said: IO[bytes]) -> None:
    """No input, and output into a file, also after a function that closed them, or put others in their place."""
    if is_open(said):
        return
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if nothing > 2:
        os.close(nothing)
    for place in (1, 2):
        os.dup2(said.fileno(), place)
    ours[:] = [open(place, "w", errors="backslashreplace", closefd=False) for place in (1, 2)]
    sys.stdout, sys.stderr = ours


def is_open(said: IO[bytes]) -> bool:
    """Whether all is as `reopen` leaves it."""
    if [sys.stdout, sys.stderr] != ours or any(stream.closed for stream in ours):
        return False
    try:
        return os.fstat(0) is not None and all(
            os.fstat(place).st_ino == os.fstat(said.fileno()).st_ino for place in (1, 2)
        )
    except OSError:
        return False


def forget(said: IO[bytes]) -> None:
    """Empty the file of what was printed, so that it does not fill a disk."""
    try:
        for stream in ours:
            stream.flush()
        if os.fstat(said.fileno()).st_size:
            os.ftruncate(said.fileno(), 0)
            os.lseek(said.fileno(), 0, os.SEEK_SET)
    except (OSError, ValueError):  # a function closed them
        pass


def receive(asked: IO[bytes], requests: queue.Queue[Any]) -> None:
    """Put requests into a queue; end this process and its group with the one that sends them."""
    while True:
        try:
            requests.put(pickle.load(asked))
        except (EOFError, OSError, pickle.UnpicklingError):
            os.killpg(0, signal.SIGKILL)
