"""Levels handed to worker processes, any of which may be killed without loss.

When a worker dies, the pool cannot say which of its levels killed it. Those that were under way are then fitted one
at a time: the one that kills its worker again is the culprit, and the others are not blamed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from saem.batch.work import CRASHED, Case, Record, Task, failure, fit_case, fit_cases, serve
from saem.system.cache import COMPILING_SAID
from saem.system.display import method_name
from saem.system.ending import ENDED_BY_OTHERS
from saem.system.threads import ONE_THREAD

MAX_BATCH = 16
PER_WORKER = 2  # batches under way for each worker: one that it works on, and the next

Done = tuple[int, list[Record]]


def run(task: Task, levels: Sequence[int], case: Callable[[int], Case], workers: int) -> Generator[Done, None, None]:
    """Fit levels in any order, yielding the number and the records of each as it is done.

    Parameters
    ----------
    task : Task
    levels : sequence of int
        Numbers of the levels to fit.
    case : callable
        Makes the case of a level from its number, when it is needed.
    workers : int
        Number of processes; 1 fits within this process.
    """
    if workers == 1:
        for level in levels:
            yield level, fit_case(task, case(level))
        return
    size = min(max(len(levels) // (8 * workers), 1), MAX_BATCH)
    waiting = deque(list(levels[i : i + size]) for i in range(0, len(levels), size))
    while waiting:
        suspects = yield from _until_crash(task, waiting, case, min(workers, len(waiting)))
        yield from _one_at_a_time(task, suspects, case)


def _until_crash(
    task: Task, waiting: deque[list[int]], case: Callable[[int], Case], workers: int
) -> Generator[Done, None, list[int]]:
    """Work off the batches; return the levels that were under way when a worker died (none if none did)."""
    suspects: list[int] = []
    broken = False
    with processes(workers) as submit:
        running: dict[Future[Any], list[int]] = {}
        while running or (waiting and not broken):
            while waiting and not broken and len(running) < PER_WORKER * workers:
                cases = [case(level) for level in waiting[0]]
                try:
                    running[submit(fit_cases, task, cases)] = waiting[0]
                except BrokenProcessPool:
                    broken = True
                else:
                    waiting.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                batch = running.pop(future)
                try:
                    yield from future.result()
                except BrokenProcessPool:
                    broken = True
                    suspects += batch
    return suspects


def _one_at_a_time(task: Task, suspects: Sequence[int], case: Callable[[int], Case]) -> Iterator[Done]:
    """Fit levels alone in a process, a new one after each crash."""
    left = deque(suspects)
    while left:
        with processes(1) as submit:
            while left:
                level = left.popleft()
                one = case(level)
                try:
                    yield level, submit(fit_case, task, one).result()
                except BrokenProcessPool as error:
                    reason = f"the process that fitted this level was killed ({first_line(error)})"
                    names = [method_name(method) for method in task.methods]
                    yield level, [failure(name, CRASHED, reason, len(one.table), float("nan")) for name in names]
                    break


@contextmanager
def processes(workers: int) -> Iterator[Callable[..., Future[Any]]]:
    """The `submit` of a pool of processes that Ctrl-C does not reach; they are killed if the block is left early."""
    from joblib.externals.loky import ProcessPoolExecutor

    with _tracker_silenced():
        quiet = ONE_THREAD | {COMPILING_SAID: "1"}
        pool = ProcessPoolExecutor(workers, initializer=serve, initargs=(os.getpid(),), env=quiet)

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        with _interrupts_held():
            future: Future[Any] = pool.submit(function, *arguments)
            return future

    try:
        yield submit
    except BaseException:
        with _manager_silenced():
            pool.shutdown(wait=True, kill_workers=True)
        raise
    pool.shutdown(wait=True)


@contextmanager
def _tracker_silenced() -> Iterator[None]:
    """Let the process that cleans up after killed workers, which is started here, not warn that it has to."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker:UserWarning"]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


@contextmanager
def _manager_silenced() -> Iterator[None]:
    """Let no thread print a traceback: loky's may look for a task that its own shutdown has just dropped."""
    before = threading.excepthook
    threading.excepthook = lambda arguments: None
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back what ends the run while processes may be started, which inherit this: no traceback of their own."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *ENDED_BY_OTHERS})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def first_line(error: BaseException) -> str:
    """The part of the message that names the signal or the exit code, where there is one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    codes = [line for line in lines if "SIG" in line or "EXIT" in line]
    return (codes or lines or ["no reason given"])[-1]
