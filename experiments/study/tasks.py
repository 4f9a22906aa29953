"""One replicate of a cell: data, then every method; whatever happens becomes a record.

Every random stream belongs to what it is for: the data to the cell and the replicate, a method's draws to these and to
its name. So all methods see the same data, and no cell, method or replicate that is added changes another.
"""

from __future__ import annotations

import copy
import faulthandler
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from experiments.study.cells import Cell
from experiments.study.functions import Functions, Outcome, functions_in
from saem.errors import SaemError, listing
from saem.streams import derived_seed

ERROR, TIMEOUT, CRASHED = "error", "timeout", "crashed"
FAILED = (ERROR, TIMEOUT, CRASHED)
ENDED = ("ok", "boundary", "several_solutions", "not_converged", "not_identified")
UNRULY = (Exception, SystemExit, GeneratorExit)  # all but Ctrl-C
LONGEST = 2000  # letters of a message that are kept

FIRST = 60.0  # seconds: a first call in a process that takes no longer is made again, so that loading is not timed
FOREVER = 1e6  # seconds, for a limit that is none
overdue_to: int | None = None  # the file in which a process that ends itself says why; nowhere if None
loaded: set[tuple[str, str]] = set()  # functions and methods that were called in this process

Record = dict[str, Any]


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
    run : str
        What tells a run from others, since a process that outlives one must not use old code in the next.
    """

    functions: Path
    digest: str
    methods: tuple[tuple[str, dict[str, Any]], ...]
    estimands: tuple[str, ...]
    seed: int
    analysis: tuple[str, ...] = ()
    run: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True)
class Task:
    """One replicate of a cell, or some of its methods.

    Attributes
    ----------
    cell : Cell
    replicate : int
    methods : tuple of str
        Which to run.
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
    return prepared(job.functions, job.digest).generate(cell.without(job.analysis), data_seed(job, cell, replicate))


def run_task(job: Job, task: Task, limit: float | None = None) -> Result:
    """Run the methods of a task on its data set, each on a copy of its own.

    Parameters
    ----------
    job : Job
    task : Task
    limit : float, optional
        Seconds after which this process ends itself, for the data and for each method.
    """
    functions, options = prepared(job.functions, job.digest), dict(job.methods)
    begun = start = time.perf_counter()
    try:
        with limited(limit), warnings.catch_warnings(record=True):
            data = generated(job, task.cell, task.replicate)
    except UNRULY as error:
        seconds = time.perf_counter() - start
        message = f"generate: {in_words(error)}"
        return Result(task, [failure(name, ERROR, message, seconds) for name in task.methods], seconds)
    records = []
    for name in task.methods:

        def once(name: str = name) -> Record:
            seed, start = method_seed(job, task.cell, task.replicate, name), time.perf_counter()
            try:
                own, chosen = copy.deepcopy((data, options[name]))  # what it does to them is nobody else's matter
                start = time.perf_counter()
                with limited(limit), warnings.catch_warnings(record=True) as raised:
                    warnings.simplefilter("always")
                    outcome = functions.estimate(own, task.cell, chosen, seed)
                heard = [in_words(w.message) for w in raised]
                return record_of(name, outcome, job.estimands, heard, time.perf_counter() - start)
            except UNRULY as error:
                return failure(name, ERROR, in_words(error), time.perf_counter() - start)

        record = once()
        if (job.digest, name) not in loaded and record["seconds"] < FIRST:
            record = once()  # the first call in a process loads compiled code, or compiles it
        loaded.add((job.digest, name))
        records.append(record)
    return Result(task, records, time.perf_counter() - begun)


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """End this process if the block takes longer: nothing less ends compiled code that loops."""
    if seconds is None:
        yield
        return
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(min(seconds, FOREVER), exit=True, file=overdue_to or nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def in_words(error: BaseException | str) -> str:
    """What went wrong, in one line; what saem itself refuses needs no name of a class."""
    try:
        text = " ".join(str(error).split())
    except Exception as broken:
        text = f"(its message cannot be read: {type(broken).__name__})"
    text = text.encode("utf-8", "replace").decode()
    text = text if len(text) <= LONGEST else text[:LONGEST] + " …"
    return text if isinstance(error, SaemError | str) else f"{type(error).__name__}: {text}"


def record_of(name: str, outcome: Outcome, estimands: Sequence[str], heard: Sequence[str], seconds: float) -> Record:
    """What is kept of a method's outcome.

    Raises
    ------
    SaemError
        When it is no outcome, or has not five numbers, in order, for every estimand.
    """
    if not isinstance(outcome, Outcome):
        raise SaemError(f"estimate must return an Outcome; got {type(outcome).__name__}")
    if outcome.status not in ENDED:
        hint = " (a fit that converged is 'ok')" if outcome.status == "converged" else ""
        raise SaemError(f"the status of an outcome must be one of {listing(ENDED)}; got {outcome.status!r}{hint}")
    missing = [estimand for estimand in estimands if estimand not in outcome.numbers]
    if missing:
        raise SaemError(f"the method gives no estimate of {missing[0]!r}")
    return {
        "method": name,
        "status": str(outcome.status),
        "message": in_words(str(outcome.message)),
        "warnings": list(dict.fromkeys(heard)),
        "loglik": float(outcome.loglik),
        "draws": float(outcome.draws),
        "iterations": float(outcome.iterations),
        "seconds": seconds,
        "numbers": [numbers_of(estimand, outcome.numbers[estimand]) for estimand in estimands],
    }


def numbers_of(estimand: str, given: Sequence[float]) -> list[float]:
    """Estimate, SE, ends of the interval and Monte Carlo error.

    Raises
    ------
    SaemError
        When there are not five of them, or they contradict each other.
    """
    try:
        numbers = [float(value) for value in given]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != 5:
        what = "estimate, SE, lower and upper end of the interval, Monte Carlo error (nan: it has none)"
        raise SaemError(f"the outcome must have five numbers for {estimand!r}: {what}; got {given!r:.80}")
    _, se, lower, upper, mcse = numbers
    if lower > upper:
        raise SaemError(f"the interval of {estimand!r} has its ends the wrong way round: {lower:g}, {upper:g}")
    if se < 0.0 or mcse < 0.0:
        raise SaemError(f"the errors of {estimand!r} must not be negative; got SE {se:g}, Monte Carlo error {mcse:g}")
    return numbers


def failure(name: str, status: str, message: str, seconds: float, limit: float | None = None) -> Record:
    """The record of a method that gave nothing, within a limit of seconds if that was why."""
    nan = float("nan")
    return {
        "method": name,
        "status": status,
        "message": message,
        "warnings": [],
        "loglik": nan,
        "draws": nan,
        "iterations": nan,
        "seconds": seconds,
        "numbers": [],
    } | ({} if limit is None else {"limit": limit})
