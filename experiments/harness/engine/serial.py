"""In this process, one after the other: for a debugger, and as the referee of the other engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..study.surroundings import generators_kept, kept_alive
from ..study.tasks import Job, Result, Task, run_task


def run_serial(job: Job, take: Callable[[], Task | None]) -> Iterator[list[Result]]:
    """Run tasks; a replicate that kills or never ends takes this process with it, but none can end it in silence."""
    with generators_kept():
        while (task := take()) is not None:
            with kept_alive():
                result = run_task(job, task)
            yield [result]
