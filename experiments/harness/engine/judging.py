"""Tasks in a child process, and what becomes of a method when that dies or hangs.

The child says what it begins. So what hangs is known, and recorded at once; what dies is tried a second time by itself,
since a process may be killed from outside, too. Records of the methods before are kept, and the others go on in a new
process.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from saem.errors import SaemError

from ..process.memory import allowed
from ..process.parent import Died, Overdue
from ..study.records import CRASHED, ERROR, Record, failure, overdue
from ..study.tasks import DATA_ONLY, GENERATE, Job, Result, Task
from .child import Child

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
    return results_of(job, tasks, limit, child_of_this_thread())


def child_of_this_thread() -> Child:
    """Started when it is first needed; it ends with this process, or when it is closed."""
    if not hasattr(own, "child"):
        own.child = Child()
    return own.child  # type: ignore[no-any-return]


def result_of(job: Job, task: Task, limit: float, child: Child) -> Result:
    """The result of one task; see `results_of`."""
    return results_of(job, [task], limit, child)[0]


def results_of(job: Job, tasks: Sequence[Task], limit: float, child: Child) -> list[Result]:
    """The results of tasks: of each method its record, or the blame.

    Raises
    ------
    SaemError
        When the study's functions cannot be loaded, or processes die before they do anything.
    """
    trials = [Trial(task) for task in tasks]
    while left := [trial for trial in trials if trial.left]:
        before = child.calls
        try:
            for k, records, seconds in child.run(job, [trial.rest for trial in left], limit):
                left[k].seconds = seconds if before and not left[k].deaths else float("nan")
                is_full = False
                for place, record in enumerate(records):  # several may come together
                    others = before + (0 if record["message"].startswith(GENERATE) else place)
                    is_full = is_full or bool(others and out_of_memory(record))  # they may have taken it
                    if not is_full:
                        left[k].found[record["method"]] = record
                before = child.calls
                if is_full or child.resident() > FULL * allowed(job.memory):
                    child.close()  # what is left goes on in a new process
                    break
        except Died as end:
            next(trial for trial in left if trial.left).learn(end, limit)
    return [trial.result for trial in trials]


@dataclass
class Trial:
    """A task and what is known of it.

    Attributes
    ----------
    task : Task
    found : dict of str to Record
        By method.
    deaths : Counter
        How often the process died, by what was under way.
    seconds : float
        That it took; nan if that tells nothing.
    """

    task: Task
    found: dict[str, Record] = field(default_factory=dict)
    deaths: Counter[str | None] = field(default_factory=Counter)
    seconds: float = float("nan")

    @property
    def wanted(self) -> tuple[str, ...]:
        """The methods, or what takes their place."""
        return self.task.methods or (DATA_ONLY,)

    @property
    def left(self) -> tuple[str, ...]:
        """Methods without a record."""
        return tuple(name for name in self.wanted if name not in self.found)

    @property
    def rest(self) -> Task:
        """What is to be run."""
        return replace(self.task, methods=self.left if self.task.methods else ())

    @property
    def result(self) -> Result:
        """What came of it."""
        return Result(self.task, [self.found[name] for name in self.wanted], self.seconds)

    def learn(self, end: Died, limit: float) -> None:
        """Take into account that the process ended."""
        self.found |= {record["method"]: record for record in end.records if record["method"] in self.left}
        self.deaths[end.at] += 1
        if isinstance(end, Overdue) or self.deaths[end.at] == TRIALS:
            self.found = blame(end, self.wanted, limit) | self.found


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
