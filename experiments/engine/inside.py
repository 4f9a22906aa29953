"""What the process of `experiments.engine.child` does."""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from experiments.engine.memory import allowed, limit_memory
from experiments.engine.note import Note
from experiments.study.records import Record
from experiments.study.tasks import FOREVER, Job, prepared, records_of
from saem.errors import SaemError

STARTED = "started"
KEPT = 0.05  # seconds that records may wait for others, so that a task of fast methods is one answer


def main() -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    asked, answers, said = taken_over()
    own = os.getpid()

    def send(answer: Any) -> None:
        if os.getpid() != own:
            os._exit(0)  # a method forked, and this is the other one
        pickle.dump(answer, answers)
        answers.flush()

    @contextmanager
    def watch(what: str) -> Iterator[None]:
        """Say what begins, and end this process if it takes too long: nothing less ends compiled code that loops."""
        if waiting and time.monotonic() - sent > KEPT:
            give(float("nan"))
        note.begin(what, waiting)
        reopen(said)
        faulthandler.dump_traceback_later(min(limit, FOREVER), exit=True, file=said)
        try:
            yield
        except KeyboardInterrupt:  # nobody's but the method's own: this process ignores the signal
            raise RuntimeError("KeyboardInterrupt") from None
        finally:
            faulthandler.cancel_dump_traceback_later()
            forget(said)

    def give(seconds: float) -> None:
        """Send the records that wait."""
        nonlocal sent
        send((waiting.copy(), seconds))
        waiting.clear()
        note.clear()
        sent = time.monotonic()

    waiting: list[Record] = []
    sent = time.monotonic()
    note = Note(int(sys.argv[1]))
    requests: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=receive, args=(asked, requests), daemon=True).start()
    job: Job = requests.get()
    limit_memory(allowed(job.memory))
    try:
        prepared(job.functions, job.digest)
    except SaemError as error:
        send(error)
    else:
        send(STARTED)
    while True:
        tasks, limit = requests.get()
        for task in tasks:
            begun = sent = time.monotonic()
            for record in records_of(job, task, watch):
                waiting.append(record)
            give(time.monotonic() - begun)


def taken_over() -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    """Requests, answers, and what is printed, out of reach for methods: these find no input, and print into a file."""
    asked, answers, said = (os.fdopen(os.dup(k), mode) for k, mode in ((0, "rb"), (1, "wb"), (2, "wb")))
    sys.stdin = open(os.devnull)
    os.close(0)
    reopen(said)
    return asked, answers, said


def reopen(said: IO[bytes]) -> None:
    """No input, and output into a file, also for a method after one that closed them."""
    if is_open(said):
        return
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if nothing > 2:
        os.close(nothing)
    for place, stream in ((1, "stdout"), (2, "stderr")):
        os.dup2(said.fileno(), place)
        if getattr(sys, stream) is None or getattr(sys, stream).closed:
            setattr(sys, stream, open(place, "w", closefd=False))


def is_open(said: IO[bytes]) -> bool:
    """Whether all is as `reopen` leaves it."""
    if sys.stdout is None or sys.stderr is None or sys.stdout.closed or sys.stderr.closed:
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
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if os.fstat(said.fileno()).st_size:
            os.ftruncate(said.fileno(), 0)
            os.lseek(said.fileno(), 0, os.SEEK_SET)
    except (OSError, ValueError):  # a method closed them
        pass


def receive(asked: IO[bytes], requests: queue.Queue[Any]) -> None:
    """Put requests into a queue; end this process and its group with the one that sends them."""
    while True:
        try:
            requests.put(pickle.load(asked))
        except (EOFError, OSError, pickle.UnpicklingError):
            os.killpg(0, signal.SIGKILL)
