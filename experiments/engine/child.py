"""A process of our own that runs tasks, and that may be killed without harm to anyone else.

It reads pickled requests from its standard input and answers on its standard output, a result at a time, so that who
started it knows which task is under way. It ends with the process that started it, also in the midst of a task.
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from experiments.study import tasks as tasks_module
from experiments.study.tasks import Job, Result, Task, run_task
from saem.batch.pool import ONE_THREAD
from saem.errors import SaemError

ENDING = 5.0  # seconds that a process may take from its last word to its end
OVERDUE = "Timeout ("  # how `faulthandler` begins
STARTING = 300.0  # seconds that a new process may take to import and compile what it needs


class Died(Exception):
    """The process ended in the midst of a task; the message says how."""


class Overdue(Exception):
    """A task did not end within its time."""


class Child:
    """A process that runs tasks, started when it is first needed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.run_of = ""
        self.abandoned = False

    def start(self) -> None:
        """Start the process."""
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "experiments.engine.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": path},
        )
        self.answers: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=forward, args=(self.process.stdout, self.answers), daemon=True).start()
        self.answer(STARTING)

    def run(self, job: Job, tasks: Sequence[Task], limit: float) -> Iterator[Result]:
        """Run tasks, one after the other.

        Parameters
        ----------
        job : Job
        tasks : sequence of Task
        limit : float
            Seconds for the data and for each method of a task.

        Raises
        ------
        Died, Overdue
            When the task whose result would be the next ended the process, or did not end. The process is gone then.
        SaemError
            When the study's functions cannot be loaded.
        """
        if self.process is not None and self.run_of != job.run:
            self.close()  # it may have code in memory that has changed since
        if self.abandoned:
            raise RuntimeError("nobody waits for this process any more")
        if self.process is None:
            self.start()
        self.run_of = job.run
        assert self.process is not None and self.process.stdin is not None
        try:
            pickle.dump((job, tasks, limit), self.process.stdin)
            self.process.stdin.flush()
        except OSError:
            pass  # it died: the answer says so
        self.answer(STARTING)  # it has loaded the functions
        for task in tasks:
            # the process ends itself at a limit; this is for one that cannot
            yield self.answer(STARTING + limit * (1 + 2 * len(task.methods)))

    def answer(self, seconds: float) -> Any:
        """The next answer."""
        assert self.process is not None
        try:
            answer = self.answers.get(timeout=seconds)
        except queue.Empty:
            self.close()
            raise Overdue from None
        except BaseException:
            self.close()
            raise
        if answer is EOFError:
            try:
                code = self.process.wait(ENDING)
            except subprocess.TimeoutExpired:  # it lives, but what it said cannot be understood
                code = 0
            self.said.seek(0)
            lines = self.said.read().decode(errors="replace").strip().splitlines()
            self.close()
            if code == 1 and any(line.startswith(OVERDUE) for line in lines):
                raise Overdue
            raise Died(in_words(code) + (f": {lines[-1].strip():.200}" if lines else ""))
        if isinstance(answer, SaemError):
            raise answer
        return answer

    def close(self) -> None:
        """Kill the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.said):
                try:
                    if stream is not None:
                        stream.close()
                except OSError:
                    pass  # what was not yet sent to it
            self.process = None

    def abandon(self) -> None:
        """Kill the process for good, from another thread than the one that uses it."""
        self.abandoned = True
        process = self.process
        if process is not None:
            process.kill()

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


def receive(requests: queue.Queue[Any]) -> None:
    """Put requests into a queue; end this process with the one that sends them."""
    while True:
        try:
            requests.put(pickle.load(sys.stdin.buffer))
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)


def main() -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a method prints must not get among the answers

        def send(answer: Any) -> None:
            pickle.dump(answer, answers)
            answers.flush()

        requests: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=receive, args=(requests,), daemon=True).start()
        send("started")
        tasks_module.overdue_to = 2
        while True:
            job, tasks, limit = requests.get()
            try:
                tasks_module.prepared(job.functions, job.digest)
            except SaemError as error:
                send(error)
                continue
            send("ready")
            for task in tasks:
                send(run_task(job, task, limit))


if __name__ == "__main__":
    main()
