"""The workers of a Dask cluster. Each runs its tasks in a child process of its own, which alone a replicate can kill.

Dask would blame whatever was on a worker that died, and cannot end a task that hangs. So no task runs in a worker: the
worker watches the child that does, and judges a suspect by itself. Workers may come, go and be killed at any time; what
a worker had is run again by another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING

from saem.errors import SaemError

from ..study.tasks import Job, Result, Task
from .judging import contained
from .pace import Pace

if TYPE_CHECKING:
    from distributed import Client, Future

PER_THREAD = 2  # batches under way for each thread of a worker
LOOK = 1.0  # seconds between two looks for new workers
PATIENCE = 15.0  # seconds to wait for a scheduler
DEATHS = 10  # of workers that had a batch, after which something else is wrong


@contextmanager
def client_of(scheduler: str | None, workers: int) -> Iterator[Client]:
    """A client of a scheduler, or of a cluster on this machine if there is none.

    Raises
    ------
    SaemError
        When Dask is not installed, or the scheduler does not answer.
    """
    try:
        import distributed
    except ImportError:
        raise SaemError("the executor 'dask' needs the package distributed: pip install distributed") from None
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is raised; tracebacks tell a user nothing
    if scheduler is None:
        local = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
        with local, distributed.Client(local) as client:
            yield client
        return
    try:
        found = distributed.Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise SaemError(
            f"no scheduler answers at {scheduler!r} ({error}); start one with 'dask scheduler' and give its address, "
            "such as tcp://host:8786"
        ) from None
    with found:
        yield found


def run_cluster(job: Job, take: Callable[[], Task | None], client: Client, limit: float) -> Iterator[list[Result]]:
    """Run tasks on the workers of a cluster.

    Parameters
    ----------
    job : Job
        Its file must be at the same path on every machine.
    take : callable
        Gives the next task, or None if there is none before the results of those under way are known.
    client : distributed.Client
    limit : float
        Seconds for each method of a task.

    Raises
    ------
    SaemError
        When the scheduler is lost; what was done is with the caller.
    """
    from distributed import wait

    pace = Pace()
    running: dict[Future, tuple[list[Task], int]] = {}

    def submit(batch: list[Task], deaths: int = 0) -> None:
        running[client.submit(contained, job, batch, limit, pure=False)] = batch, deaths

    try:
        while True:
            threads = sum(client.nthreads().values())
            while len(running) < PER_THREAD * max(threads, 1) and (batch := pace.batch(take)):
                submit(batch)
            if not running:
                return
            try:
                done = wait(list(running), timeout=LOOK, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                done = set()
                yield []
            for future in done:
                batch, deaths = running.pop(future)
                if (results := outcome(future, deaths)) is None:
                    submit(batch, deaths + 1)
                    continue
                pace.learn(results)
                yield results
    except (CancelledError, OSError) as error:  # nobody else cancels
        raise SaemError("the scheduler is lost; what is done is kept, and the same command goes on") from error
    finally:
        if client.status == "running":
            client.cancel(list(running))


def outcome(future: Future, deaths: int) -> list[Result] | None:
    """The results of a batch; None where its workers died, or its place was lost, and it must be run again.

    Raises
    ------
    SaemError
        When it cannot be run at all.
    """
    from distributed.scheduler import KilledWorker

    if future.status == "finished":
        results: list[Result] = future.result()
        return results
    error = future.exception() if future.status == "error" else None
    if error is None or isinstance(error, KilledWorker):
        if deaths + 1 < DEATHS:
            return None
        raise SaemError(f"workers of the cluster die again and again ({error}); look at their logs")
    if isinstance(error, SaemError):
        raise error
    raise SaemError(f"a worker of the cluster cannot run the study: {type(error).__name__}: {error}") from error
