"""A process of our own that answers requests, and that may be killed without harm to anyone else.

It reads pickled requests from its standard input and answers on its standard output. What it begins it notes in a small
file, so that who started it knows what is under way, and for how long. It leads a group of processes, which ends with
it: whatever a function forks or starts. It ends with the process that started it, also in the midst of its work.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from saem.system.cache import COMPILING_SAID
from saem.system.threads import ONE_THREAD

from ...names import FOLDER
from .note import SIZE, SPOILED, read, seconds_under_way

ENDING = 5.0  # seconds that a process may take from its last word to its end
OVERDUE, FATAL, FRAME = "Timeout (", "Fatal Python error", '  File "'  # how lines of `faulthandler` begin
STARTING = 300.0  # seconds that a new process may take to import and compile what it needs
GRACE = 2.0  # seconds beyond its limit after which what does not end itself is ended: it may have stopped its process
LOOK = 0.2  # seconds between two looks whether it lives
LAST_WORDS = 65536  # bytes of what it printed that are read


class Died(Exception):
    """The process ended; the message says how.

    Attributes
    ----------
    at : str or None
        What was under way.
    records : list of dict
        What was done of a task and not yet sent.
    frames : list of str
        Where it was then, the innermost first, as far as it could tell: ``File "median.py", line 12 in estimate``.
    """

    def __init__(self, how: str, at: str | None, records: Sequence[Any] = (), frames: Sequence[str] = ()) -> None:
        super().__init__(how)
        self.at, self.records, self.frames = at, list(records), list(frames)


class Overdue(Died):
    """What was under way did not end within its time."""


class Process:
    """A process that answers requests.

    Parameters
    ----------
    module : str
        Which Python runs there.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self.process: subprocess.Popen[bytes] | None = None
        self.abandoned = False

    def launch(self) -> None:
        """Start the process."""
        root = str(FOLDER.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self.said, self.note = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.note.truncate(SIZE)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", self.module, str(self.note.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": path, COMPILING_SAID: "1"},
            pass_fds=(self.note.fileno(),),
            start_new_session=True,  # a group of its own, which `close` ends as a whole
        )
        if self.abandoned:
            self.kill()
        self.answers: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=forward, args=(self.process.stdout, self.answers), daemon=True).start()

    def send(self, request: Any) -> None:
        """Ask for something."""
        assert self.process is not None and self.process.stdin is not None
        try:
            pickle.dump(request, self.process.stdin, pickle.HIGHEST_PROTOCOL)  # which does not copy what is large
            self.process.stdin.flush()
        except OSError:
            pass  # it died: the answer says so

    def answer(self, limit: float, seconds: float) -> Any:
        """The next answer.

        Parameters
        ----------
        limit : float
            Seconds for each thing that it does; it ends itself then, and is ended if it cannot.
        seconds : float
            For the whole.

        Raises
        ------
        Died, Overdue
            When the process ended; another one is to be started then.
        """
        end = time.monotonic() + seconds
        try:
            while True:
                try:
                    answer = self.answers.get(timeout=LOOK)
                    break
                except queue.Empty:
                    pass
                if self.process is None or self.process.poll() is not None:  # what it forked may hold its pipe
                    answer = self.last_answer()
                    break
                if seconds_under_way(self.note.fileno()) > limit + GRACE:
                    raise Overdue("it did not end in time", *read(self.note.fileno()))
                if time.monotonic() > end:
                    raise Overdue("it does not answer", *read(self.note.fileno()))
        except BaseException:
            self.close()
            raise
        if answer is EOFError:
            raise self.death()
        return answer

    def last_answer(self) -> Any:
        """What the process has answered before it ended, once nothing holds its pipe any more."""
        self.kill()
        try:
            return self.answers.get(timeout=ENDING)
        except queue.Empty:  # a process that left the group has it
            return EOFError

    def death(self) -> Died:
        """How the process ended."""
        assert self.process is not None
        try:
            code = self.process.wait(ENDING)
        except subprocess.TimeoutExpired:  # it lives, but what it said cannot be understood
            code = 0
        noted, size = read(self.note.fileno()), self.said.seek(0, os.SEEK_END)
        self.said.seek(max(0, size - LAST_WORDS))
        lines = self.said.read(LAST_WORDS).decode(errors="replace").strip().splitlines()
        self.close()
        dump = next((k for k, line in enumerate(lines) if line.startswith((OVERDUE, FATAL))), len(lines))
        frames = [line.strip() for line in lines[dump:] if line.startswith(FRAME)]
        if code == 1 and any(line.startswith(OVERDUE) for line in lines[dump:]):
            return Overdue("it did not end in time", *noted, frames)
        said = f": {lines[dump - 1].strip():.200}" if dump else ""
        return Died(in_words(code) + said, *noted, frames)

    def kill(self) -> None:
        """Kill the process and all of its group; it may have ended before, and others of its group live."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self.process.kill()

    def close(self) -> None:
        """Kill the process, and wait for its end."""
        if self.process is not None:
            self.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.said, self.note):
                try:
                    if stream is not None:
                        stream.close()
                except OSError:
                    pass  # what was not yet sent to it
            self.process = None

    def abandon(self) -> None:
        """Kill the process for good, from another thread than the one that uses it."""
        self.abandoned = True
        self.kill()

    def resident(self) -> float:
        """MiB that the process has in memory; 0 where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) if self.process else 0
        except (OSError, ValueError, IndexError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def in_words(code: int) -> str:
    """How a process ended."""
    if code == SPOILED:
        return "it closed files that are not its own"
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def forward(stream: Any, answers: queue.Queue[Any]) -> None:
    """Put what comes from the process into a queue, and `EOFError` at its end."""
    with stream:
        while True:
            try:
                answers.put(pickle.load(stream))
            except Exception:  # the end, or a part of an answer: the process was killed
                answers.put(EOFError)
                return
