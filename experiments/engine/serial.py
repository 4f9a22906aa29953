"""In this process, one after the other: for a debugger, and as the referee of the other engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from experiments.study.tasks import Job, Record, Task, run_task


def run_serial(job: Job, tasks: Iterable[Task]) -> Iterator[list[tuple[Task, list[Record]]]]:
    """Run tasks; a replicate that kills or never ends takes this process with it."""
    for task in tasks:
        yield [(task, run_task(job, task))]
