"""Worker processes on this machine, any of which may be killed, or hang, without loss and without blame on others.

A future is a batch of tasks, of about a third of a second. A method that takes too long ends its process itself. When a
process dies, the pool cannot say which task did it: the pool is stopped, and what was under way is judged apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool

from experiments.engine.child import Child
from experiments.engine.judging import child_of_this_thread, contained
from experiments.engine.pace import Pace
from experiments.study.tasks import Job, Result, Task, run_task
from saem.batch.pool import processes

LOOK = 1.0  # seconds after which the driver is woken though nothing is done, to keep what it holds
PER_WORKER = 2  # batches under way for each worker: one that it works on, and the next


def run_local(job: Job, take: Callable[[], Task | None], workers: int, limit: float) -> Iterator[list[Result]]:
    """Run tasks in processes.

    Parameters
    ----------
    job : Job
    take : callable
        Gives the next task, or None if there is none before the results of those under way are known.
    workers : int
    limit : float
        Seconds for each method of a task.
    """
    back: deque[Task] = deque()  # tasks that were taken and not handed out
    pace = Pace()

    def next_one() -> Task | None:
        return back.popleft() if back else take()

    while True:
        suspects = yield from until_death(job, next_one, back, workers, limit, pace)
        if suspects is None:
            return
        yield from apart(job, suspects, workers, limit)


def apart(job: Job, suspects: Sequence[Sequence[Task]], workers: int, limit: float) -> Iterator[list[Result]]:
    """Run batches, one of which killed its process, in children that say which task they are at."""
    children: list[Child] = []
    with ThreadPoolExecutor(workers, initializer=lambda: children.append(child_of_this_thread())) as pool:
        running = [pool.submit(contained, job, batch, limit) for batch in suspects]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            for future in running:
                future.cancel()
            for child in children:
                child.abandon()
    for child in children:
        child.close()


def until_death(
    job: Job, take: Callable[[], Task | None], back: deque[Task], workers: int, limit: float, pace: Pace
) -> Generator[list[Result], None, list[list[Task]] | None]:
    """Work tasks off; return the batches under way when a process died, or None when nothing is left."""
    running: dict[Future[list[Result]], list[Task]] = {}
    try:
        with processes(workers) as submit:
            while True:
                while len(running) < PER_WORKER * workers and (batch := pace.batch(take)):
                    back.extendleft(reversed(batch))  # until it is surely handed out
                    future = submit(run_batch, job, batch, limit)
                    for _ in batch:
                        back.popleft()
                    running[future] = batch
                if not running:
                    return None
                done = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done
                if not done:
                    yield []
                for future in done:
                    results = future.result()  # may raise: then the batch is still under way
                    del running[future]
                    pace.learn(results)
                    yield results
    except BrokenProcessPool:
        return list(running.values())


def run_batch(job: Job, tasks: Sequence[Task], limit: float) -> list[Result]:
    """The results of some tasks, in their order."""
    return [run_task(job, task, limit) for task in tasks]
