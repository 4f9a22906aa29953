"""A process of our own that runs tasks; see `experiments.process`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saem.errors import SaemError

from ..process.parent import STARTING, Process
from ..study.records import Record
from ..study.tasks import DATA_ONLY, FOREVER, Job, Task

SPARE = 30.0  # seconds beyond all limits of a task together, for what it does besides


class Child(Process):
    """A process that runs tasks, started when it is first needed.

    Attributes
    ----------
    calls : int
        Methods that it has run since it was started.
    """

    def __init__(self) -> None:
        super().__init__(__name__)
        self.run_of = ""
        self.calls = 0

    def start(self, job: Job) -> None:
        """Start the process, and have it load the functions of a study."""
        self.launch()
        self.calls = 0
        self.run_of = job.run
        self.send(job)
        self.agreed(self.answer(FOREVER, STARTING))

    def agreed(self, answer: object) -> object:
        """An answer that is no refusal."""
        if isinstance(answer, SaemError):
            self.close()
            raise answer
        return answer

    def run(self, job: Job, tasks: Sequence[Task], limit: float) -> Iterator[tuple[int, list[Record], float]]:
        """Run tasks, one after the other: the number of a task, some of its records, and its seconds with the last.

        Parameters
        ----------
        job : Job
        tasks : sequence of Task
        limit : float
            Seconds for the data and for each method of a task.

        Raises
        ------
        Died, Overdue
            When the process ended. Another one is started by the next call.
        SaemError
            When the study's functions cannot be loaded.
        """
        if self.process is not None and self.run_of != job.run:
            self.close()  # it may have code in memory that has changed since
        if self.abandoned:
            raise RuntimeError("nobody waits for this process any more")
        if self.process is None:
            self.start(job)
        self.send((tasks, limit))
        for k, task in enumerate(tasks):
            left = len(task.methods or (DATA_ONLY,))
            while left:
                records, seconds = self.answer(limit, SPARE + limit * (2 + 2 * len(task.methods)))
                left -= len(records)
                self.calls += len(records)
                yield k, records, seconds

    def close(self) -> None:
        """Kill the process, and wait for its end."""
        super().close()
        self.calls = 0

    def __enter__(self) -> Child:
        return self


if __name__ == "__main__":
    from .inside import main

    main()
