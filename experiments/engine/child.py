"""A process of our own that runs tasks, and that may be killed without harm to anyone else.

It reads pickled requests from its standard input and answers on its standard output with the records of each task. What
it begins (the data, or a method) it notes in a small file, so that who started it knows what is under way. It leads a
group of processes, which ends with it: whatever a method forks or starts. It ends with the process that started it,
also in the midst of a task.
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.engine.note import SIZE, read
from experiments.study.records import Record
from experiments.study.tasks import DATA_ONLY, Job, Task
from saem.batch.pool import ONE_THREAD
from saem.errors import SaemError

ENDING = 5.0  # seconds that a process may take from its last word to its end
OVERDUE = "Timeout ("  # how `faulthandler` begins
STARTING = 300.0  # seconds that a new process may take to import and compile what it needs
SPARE = 30.0  # seconds beyond the limit after which a process that does not end itself is killed
LOOK = 0.2  # seconds between two looks whether it lives
LAST_WORDS = 65536  # bytes of what it printed that are read


class Died(Exception):
    """The process ended; the message says how.

    Attributes
    ----------
    at : str or None
        What was under way.
    records : list of dict
        What was done of the task and not yet sent.
    """

    def __init__(self, how: str, at: str | None, records: Sequence[Record] = ()) -> None:
        super().__init__(how)
        self.at, self.records = at, list(records)


class Overdue(Died):
    """What was under way did not end within its time."""


class Child:
    """A process that runs tasks, started when it is first needed.

    Attributes
    ----------
    calls : int
        Methods that it has run since it was started.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.run_of = ""
        self.abandoned = False
        self.calls = 0

    def start(self, job: Job) -> None:
        """Start the process, and have it load the functions of a study."""
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self.said, self.note = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.note.truncate(SIZE)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "experiments.engine.child", str(self.note.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": path},
            pass_fds=(self.note.fileno(),),
            start_new_session=True,  # a group of its own, which `close` ends as a whole
        )
        if self.abandoned:
            self.kill()
        self.answers: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=forward, args=(self.process.stdout, self.answers), daemon=True).start()
        self.calls = 0
        self.run_of = job.run
        self.send(job)
        self.answer(STARTING)

    def run(self, job: Job, tasks: Sequence[Task], limit: float) -> Iterator[tuple[int, list[Record], float]]:
        """Run tasks, one after the other: the number of a task, some of its records, and its seconds with the last.

        Parameters
        ----------
        job : Job
        tasks : sequence of Task
        limit : float
            Seconds for the data and for each method of a task.

        Raises
        ------
        Died, Overdue
            When the process ended. Another one is started by the next call.
        SaemError
            When the study's functions cannot be loaded.
        """
        if self.process is not None and self.run_of != job.run:
            self.close()  # it may have code in memory that has changed since
        if self.abandoned:
            raise RuntimeError("nobody waits for this process any more")
        if self.process is None:
            self.start(job)
        self.send((tasks, limit))
        for k, task in enumerate(tasks):
            left = len(task.methods or (DATA_ONLY,))
            while left:
                # the process ends itself at a limit; this is for one that cannot
                records, seconds = self.answer(SPARE + limit * (2 + 2 * len(task.methods)))
                left -= len(records)
                self.calls += len(records)
                yield k, records, seconds

    def send(self, request: Any) -> None:
        """Ask for something."""
        assert self.process is not None and self.process.stdin is not None
        try:
            pickle.dump(request, self.process.stdin)
            self.process.stdin.flush()
        except OSError:
            pass  # it died: the answer says so

    def answer(self, seconds: float) -> Any:
        """The next answer, within so many seconds."""
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
                if time.monotonic() > end:
                    raise Overdue("it does not answer", *read(self.note.fileno()))
        except BaseException:
            self.close()
            raise
        if answer is EOFError:
            raise self.death()
        if isinstance(answer, SaemError):
            self.close()
            raise answer
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
        if code == 1 and any(line.startswith(OVERDUE) for line in lines):
            return Overdue("it did not end in time", *noted)
        return Died(in_words(code) + (f": {lines[-1].strip():.200}" if lines else ""), *noted)

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
            self.process, self.calls = None, 0

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

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def in_words(code: int) -> str:
    """How a process ended."""
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


if __name__ == "__main__":
    from experiments.engine.inside import main

    main()
