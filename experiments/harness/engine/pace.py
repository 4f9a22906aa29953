"""How long tasks take, as far as is known, so that a batch is worth its handing out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..study.tasks import Result, Task

PER_BATCH = 0.3  # seconds
MOST = 256  # tasks in a batch


@dataclass
class Pace:
    """Mean seconds of a task by cell, in which late ones count most."""

    seconds: dict[str, float] = field(default_factory=dict)

    def learn(self, results: Iterable[Result]) -> None:
        """Take results into account; nan for one that tells nothing."""
        for result in results:
            if result.seconds == result.seconds:
                known = self.seconds.get(result.task.cell.key, result.seconds)
                self.seconds[result.task.cell.key] = 0.8 * known + 0.2 * result.seconds

    def expected(self, task: Task) -> float:
        """Seconds that a task will take; as many as a batch while nothing is known of its cell."""
        return self.seconds.get(task.cell.key, PER_BATCH)

    def batch(self, take: Callable[[], Task | None]) -> list[Task]:
        """Tasks for some `PER_BATCH` seconds."""
        tasks: list[Task] = []
        total = 0.0
        while len(tasks) < MOST and total < PER_BATCH and (task := take()) is not None:
            tasks.append(task)
            total += self.expected(task)
        return tasks
