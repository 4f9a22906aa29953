"""Tasks in a child process, and what becomes of a method when that dies or hangs.

The child says what it begins. So what hangs is known, and recorded at once; what dies is tried a second time by itself,
since a process may be killed from outside, too. Records of the methods before are kept, and the others go on in a new
process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from experiments.engine.child import Child, Died, Overdue
from experiments.engine.memory import allowed
from experiments.study.records import CRASHED, ERROR, Record, failure, overdue
from experiments.study.tasks import DATA_ONLY, GENERATE, Job, Result, Task
from saem.errors import SaemError

TRIALS = 2  # a method is to blame if its process dies so many times
FULL = (
    0.5  # of the memory that a process may have: with more it is replaced, so that a leak costs the next fits nothing
)

own = threading.local()


def contained(job: Job, tasks: Sequence[Task], limit: float) -> list[Result]:
    """Results of tasks, run in a child of this thread.

    Parameters
    ----------
    job : Job
    tasks : sequence of Task
    limit : float
        Seconds for the data and for each method.
    """
    child = child_of_this_thread()
    return [result_of(job, task, limit, child) for task in tasks]


def child_of_this_thread() -> Child:
    """Started when it is first needed; it ends with this process, or when it is closed."""
    if not hasattr(own, "child"):
        own.child = Child()
    return own.child  # type: ignore[no-any-return]


def result_of(job: Job, task: Task, limit: float, child: Child) -> Result:
    """The result of a task: of each method its record, or the blame.

    Raises
    ------
    SaemError
        When the study's functions cannot be loaded, or processes die before they do anything.
    """
    found: dict[str, Record] = {}
    deaths: Counter[str | None] = Counter()
    wanted = task.methods or (DATA_ONLY,)
    is_new, start = child.process is None, time.perf_counter()
    while left := tuple(name for name in wanted if name not in found):
        before = child.calls
        try:
            for record in child.run(job, replace(task, methods=left if task.methods else ()), limit):
                others = before if record["message"].startswith(GENERATE) else child.calls - 1
                if others and out_of_memory(record):
                    child.close()  # they may have taken it: once more in a new process
                    break
                found[record["method"]] = record
        except Died as end:
            deaths[end.at] += 1
            if isinstance(end, Overdue) or deaths[end.at] == TRIALS:
                found = blame(end, wanted, limit) | found
    if child.resident() > FULL * allowed(job.memory):
        child.close()
    seconds = float("nan") if is_new or deaths else time.perf_counter() - start
    return Result(task, [found[name] for name in wanted], seconds)


def blame(end: Died, methods: Sequence[str], limit: float) -> dict[str, Record]:
    """The records of what was under way: of a method, or of all where there are no data.

    Raises
    ------
    SaemError
        When it was neither.
    """
    if end.at is None:
        raise SaemError(f"the processes that are to run replicates do not start: {end}")
    part = GENERATE if end.at == GENERATE else ""
    names = methods if part else [end.at]
    if isinstance(end, Overdue):
        return {name: overdue(name, limit, part) for name in names}
    return {name: failure(name, CRASHED, f"{part}its process was killed ({end})", float("nan")) for name in names}


def out_of_memory(record: Record) -> bool:
    """Whether there was no memory for a method, or for its data."""
    message = record["message"].removeprefix(GENERATE)
    return bool(record["status"] == ERROR and message.startswith(("MemoryError", "_ArrayMemoryError")))
