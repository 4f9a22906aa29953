"""Which suspect is it? Tasks that were under way when a process died or hung are run again, method by method."""

from __future__ import annotations

from experiments.engine.child import Child, Died, Overdue
from experiments.study.tasks import CRASHED, TIMEOUT, Job, Record, Result, Task, failure

TRIALS = 2  # a process may be killed from outside, too: a method is to blame if it dies twice


def judged(job: Job, suspect: Task, limit: float, child: Child) -> Result:
    """The result of a suspect, each method by itself on data of its own; only those that fail again are blamed.

    Parameters
    ----------
    job : Job
    suspect : Task
    limit : float
        Seconds for each method.
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
            (result,) = child.run(job, [one], limit, watched=True)
        except Overdue:
            return failure(method, TIMEOUT, f"it did not end within {limit:g} s", float("nan"))
        except Died as death:
            how = str(death)
        else:
            return result.records[0]
    return failure(method, CRASHED, f"its process was killed ({how})", float("nan"))
