"""One replicate of a cell: data, then every method; whatever happens becomes a record.

Every random stream belongs to what it is for: the data to the cell and the replicate, a method's draws to these and to
its name. So all methods see the same data, and no cell, method or replicate that is added changes another.
"""

from __future__ import annotations

import copy
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from saem.errors import SaemError
from saem.system.streams import derived_seed

from .blame import where_of
from .cells import Cell
from .functions import Functions, functions_in
from .hashing import hash_of
from .records import ERROR, Record, failure, in_words, record_of
from .surroundings import surroundings

GENERATE = "generate: "  # what is under way when no method is
DATA_ONLY = "the data"  # in place of a method in the one record of a task without methods
UNREPEATABLE = (
    "two calls with the same cell and seed gave different data, so that methods, and runs, could not be compared; draw "
    "all from numpy.random.default_rng(seed)"
)
FIRST = 60.0  # seconds: a first call in a process that takes no longer is made again, so that loading is not timed
FOREVER = 1e6  # seconds, for a limit that is none

loaded: set[tuple[str, str]] = set()  # functions and methods that were called in this process
repeatable: dict[tuple[str, str], bool] = {}  # by functions and cell, whether two calls of `generate` agree

Watch = Callable[[str], AbstractContextManager[None]]  # of what is under way: `GENERATE`, or a method


@dataclass(frozen=True)
class Job:
    """What is the same for all replicates of a study.

    Attributes
    ----------
    functions : Path
        The study's Python file, which every process loads for itself.
    digest : str
        Of its content.
    methods : tuple of (name, options)
    estimands : tuple of str
    seed : int
    analysis : tuple of str
        Factors that the data do not depend on.
    memory : float, optional
        MiB that a process may have; most of what the machine has if omitted.
    run : str
        What tells a run from others, since a process that outlives one must not use old code in the next.
    """

    functions: Path
    digest: str
    methods: tuple[tuple[str, dict[str, Any]], ...]
    estimands: tuple[str, ...]
    seed: int
    analysis: tuple[str, ...] = ()
    memory: float | None = None
    run: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True)
class Task:
    """One replicate of a cell, or some of its methods.

    Attributes
    ----------
    cell : Cell
    replicate : int
    methods : tuple of str
        Which to run; none to see only whether there are data.
    """

    cell: Cell
    replicate: int
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What came of a task.

    Attributes
    ----------
    task : Task
    records : list of dict
        One for each method of the task, in order.
    seconds : float
        That the whole took.
    """

    task: Task
    records: list[Record]
    seconds: float


def data_seed(job: Job, cell: Cell, replicate: int) -> int:
    """The seed of a data set."""
    return derived_seed(job.seed, "study", cell.without(job.analysis).key, str(replicate), "data")


def method_seed(job: Job, cell: Cell, replicate: int, method: str) -> int:
    """The seed of a method on a data set."""
    return derived_seed(job.seed, "study", cell.key, str(replicate), "method", method)


@lru_cache(maxsize=8)
def prepared(path: Path, digest: str) -> Functions:
    """The functions of a study, as they were when the run began."""
    return functions_in(path, digest)


def generated(job: Job, cell: Cell, replicate: int) -> Any:
    """A data set."""
    seed = data_seed(job, cell, replicate)
    with surroundings(seed):
        return prepared(job.functions, job.digest).data(cell.without(job.analysis), seed, replicate)


def run_task(job: Job, task: Task) -> Result:
    """Run the methods of a task on its data set."""
    start = time.perf_counter()
    records = list(records_of(job, task))
    return Result(task, records, time.perf_counter() - start)


def records_of(job: Job, task: Task, watch: Watch = lambda what: nullcontext()) -> Iterator[Record]:
    """The records of a task as they come: every method has a copy of the data of its own.

    Parameters
    ----------
    job : Job
    task : Task
    watch : callable
        ``watch(what)``: around `generate`, and around each method.
    """
    start = time.perf_counter()
    try:
        with watch(GENERATE), same_process(), heard_from(GENERATE) as said:
            data = generated(job, task.cell, task.replicate)
            known = hash_of(data)
        if (job.run, task.cell.key) not in repeatable:
            with watch(GENERATE), same_process(), heard_from():
                again = hash_of(generated(job, task.cell, task.replicate))
            repeatable[job.run, task.cell.key] = again == known
        if not repeatable[job.run, task.cell.key]:
            raise SaemError(UNREPEATABLE)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        message, seconds = GENERATE + in_words(error), time.perf_counter() - start
        where = {"where": where_of(error, job.functions)}
        yield from (failure(name, ERROR, message, seconds) | where for name in task.methods or (DATA_ONLY,))
        return
    if not task.methods:
        yield failure(DATA_ONLY, "ok", "", time.perf_counter() - start) | {"data": known}
    functions, options = prepared(job.functions, job.digest), dict(job.methods)
    for name in task.methods:

        def once(name: str = name) -> Record:
            seed, start = method_seed(job, task.cell, task.replicate, name), time.perf_counter()
            try:
                with watch(name), same_process():
                    own, chosen = copy.deepcopy((data, options[name]))  # what it does to them is nobody else's matter
                    with surroundings(seed), heard_from() as raised:
                        start = time.perf_counter()
                        outcome = functions.estimate(own, task.cell, chosen, seed)
                        seconds = time.perf_counter() - start
                    return record_of(name, outcome, job.estimands, [*said, *raised], seconds)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also what is no `Exception`, such as that of a cancelled coroutine
                seconds = time.perf_counter() - start
                return failure(name, ERROR, in_words(error), seconds) | {"where": where_of(error, job.functions)}

        record = once()
        if (job.digest, name) not in loaded and record["seconds"] < FIRST:
            record = once()  # the first call in a process loads compiled code, or compiles it
        loaded.add((job.digest, name))
        yield record | {"data": known}


@contextmanager
def heard_from(prefix: str = "") -> Iterator[list[str]]:
    """The warnings within the block, in words, after it."""
    heard: list[str] = []
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        yield heard
    heard += [prefix + in_words(warning.message) for warning in raised]


@contextmanager
def same_process() -> Iterator[None]:
    """End what the block forked, if that comes out of it, too: it must not run the rest of a study a second time."""
    own = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != own:
            os._exit(0)
