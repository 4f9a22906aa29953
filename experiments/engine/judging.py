"""Tasks in a child process, and which of them is to blame when it dies or hangs."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from experiments.engine.child import Child, Died, Overdue
from experiments.study.tasks import CRASHED, TIMEOUT, Job, Record, Result, Task, failure

TRIALS = 2  # a process may be killed from outside, too: a method is to blame if it dies twice

own = threading.local()


def contained(job: Job, tasks: Sequence[Task], limit: float) -> list[Result]:
    """Results of tasks, run in a child of this thread; the one under way when that dies is judged.

    Parameters
    ----------
    job : Job
    tasks : sequence of Task
    limit : float
        Seconds for the data and for each method.
    """
    child = child_of_this_thread()
    found: list[Result] = []
    while len(found) < len(tasks):
        try:
            for result in child.run(job, tasks[len(found) :], limit):
                found.append(result)
        except (Died, Overdue):
            found.append(judged(job, tasks[len(found)], limit, child))
    return found


def child_of_this_thread() -> Child:
    """Started when it is first needed; it ends with this process, or when it is closed."""
    if not hasattr(own, "child"):
        own.child = Child()
    return own.child  # type: ignore[no-any-return]


def judged(job: Job, suspect: Task, limit: float, child: Child) -> Result:
    """The result of a suspect, each method by itself on data of its own; only those that fail again are blamed.

    Parameters
    ----------
    job : Job
    suspect : Task
    limit : float
        Seconds for the data and for each method.
    child : Child
        Where they are run.
    """
    records = [record_of(job, suspect, name, limit, child) for name in suspect.methods]
    return Result(suspect, records, float("nan"))


def record_of(job: Job, task: Task, method: str, limit: float, child: Child) -> Record:
    """The record of one method of a suspect: its own, or the blame."""
    one = Task(task.cell, task.replicate, (method,))
    how = ""
    for _ in range(TRIALS):
        try:
            (result,) = child.run(job, [one], limit)
        except Overdue:
            return failure(method, TIMEOUT, f"it did not end within {limit:g} s", float("nan"), limit)
        except Died as death:
            how = str(death)
        else:
            return result.records[0]
    return failure(method, CRASHED, f"its process was killed ({how})", float("nan"))
