"""Worker processes on this machine, any of which may be killed, or hang, without loss and without blame on others.

A future is a batch of tasks, of about a third of a second. When a worker dies or a batch does not end, the pool cannot
say which task did it: the workers are stopped, and all tasks that were under way are run again one at a time, in a
process of their own each. The one that kills its process there, or does not end within its time, is the culprit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any

from experiments.study.tasks import CRASHED, TIMEOUT, Job, Record, Task, failure, run_task, run_tasks
from saem.batch.pool import first_line, processes

Done = list[tuple[Task, list[Record]]]

PER_BATCH = 0.3  # seconds
MOST = 256  # tasks in a batch
PER_WORKER = 2  # batches under way for each worker: one that it works on, and the next
PATIENCE = 10.0  # times its expected seconds, beyond the time limit of a replicate, for a batch
STARTING = 60.0  # seconds that a new process may take to import what it needs
LOOK = 1.0  # seconds between two looks for what hangs


@dataclass
class Pace:
    """How long a task takes, as far as is known: a mean in which late batches count most."""

    seconds: float = 0.0
    weight: float = 0.0

    def learn(self, seconds: float, tasks: int) -> None:
        """Take a batch into account."""
        self.seconds = 0.9 * self.seconds + seconds
        self.weight = 0.9 * self.weight + tasks

    @property
    def size(self) -> int:
        """Tasks that make a batch; one before anything is known."""
        if not self.weight:
            return 1
        return max(1, min(MOST, int(PER_BATCH * self.weight / max(self.seconds, 1e-9))))

    def limit(self, timeout: float) -> float:
        """Seconds after which a batch that was handed out hangs: it may have waited for another."""
        if not self.weight:
            return STARTING + PER_WORKER * timeout
        return PER_WORKER * (timeout + PATIENCE * self.size * self.seconds / self.weight)


def run_local(job: Job, tasks: Iterable[Task], workers: int, timeout: float) -> Iterator[Done]:
    """Run tasks in processes.

    Parameters
    ----------
    job : Job
    tasks : iterable of Task
        Read as they are needed.
    workers : int
    timeout : float
        Seconds for one task.
    """
    waiting, pace = iter(tasks), Pace()
    back: deque[Task] = deque()  # tasks that were taken and not handed out
    while True:
        suspects = yield from until_trouble(job, waiting, back, workers, timeout, pace)
        if suspects is None:
            return
        yield from one_at_a_time(job, suspects, timeout)


def until_trouble(
    job: Job, waiting: Iterator[Task], back: deque[Task], workers: int, timeout: float, pace: Pace
) -> Generator[Done, None, list[Task] | None]:
    """Work tasks off; return those under way when a worker died or hung, or None when nothing is left."""
    running: dict[Future[Any], tuple[list[Task], float]] = {}
    try:
        with processes(workers) as submit:
            while True:
                while len(running) < PER_WORKER * workers:
                    batch = [back.popleft() for _ in range(min(pace.size, len(back)))]
                    batch += islice(waiting, pace.size - len(batch))
                    if not batch:
                        break
                    back.extendleft(reversed(batch))  # until it is surely handed out
                    future = submit(timed, run_tasks, job, batch)
                    for _ in batch:
                        back.popleft()
                    running[future] = batch, time.monotonic()
                if not running:
                    return None
                for future in wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done:
                    records, seconds = future.result()  # may raise: then the batch is still under way
                    batch, _ = running.pop(future)
                    pace.learn(seconds, len(batch))
                    yield list(zip(batch, records, strict=True))
                if any(time.monotonic() - begun > pace.limit(timeout) for _, begun in running.values()):
                    raise Hung
    except (BrokenProcessPool, Hung):
        return [task for batch, _ in running.values() for task in batch]


class Hung(Exception):
    """A batch did not end."""


def one_at_a_time(job: Job, suspects: Iterable[Task], timeout: float) -> Iterator[Done]:
    """Run tasks alone in a process, a new one after each that failed."""
    left = deque(suspects)
    while left:
        try:
            with processes(1) as submit:
                submit(ready).result(STARTING)
                while left:
                    task = left.popleft()
                    try:
                        records = submit(run_task, job, task).result(timeout)
                    except BrokenProcessPool as error:
                        reason = f"the process that ran this replicate was killed ({first_line(error)})"
                        yield [(task, blamed(task, CRASHED, reason))]
                        break
                    except FutureTimeout:
                        yield [(task, blamed(task, TIMEOUT, f"the replicate did not end within {timeout:g} s"))]
                        raise Hung from None  # so that the process is killed
                    yield [(task, records)]
        except Hung:
            continue


def blamed(task: Task, status: str, reason: str) -> list[Record]:
    """A record for each method of a task that killed its process or did not end."""
    return [failure(name, status, reason, float("nan")) for name in task.methods]


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What a function returns, and the seconds that it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def ready() -> bool:
    """Whether the process has started."""
    return True
