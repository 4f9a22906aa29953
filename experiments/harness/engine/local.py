"""Processes on this machine, any of which may be killed, or hang, without loss and without blame on others.

A thread for each, which waits for its answers; a future is a batch of tasks, of about a third of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ..study.tasks import Job, Result, Task
from .child import Child
from .judging import child_of_this_thread, contained
from .pace import Pace

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
        Seconds for the data and for each method of a task.
    """
    children: list[Child] = []
    running: set[Future[list[Result]]] = set()
    pace = Pace()
    try:
        with ThreadPoolExecutor(workers, initializer=lambda: children.append(child_of_this_thread())) as pool:
            try:
                while True:
                    while len(running) < PER_WORKER * workers and (batch := pace.batch(take)):
                        running.add(pool.submit(contained, job, batch, limit))
                    if not running:
                        return
                    done = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done
                    if not done:
                        yield []
                    for future in done:
                        running.remove(future)
                        results = future.result()
                        pace.learn(results)
                        yield results
            finally:
                for future in running:
                    future.cancel()
                for child in children:
                    child.abandon()
    finally:
        for child in children:
            child.close()
