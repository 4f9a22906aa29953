"""One replicate of a cell: data, then every method; whatever happens becomes a record.

Every random stream belongs to what it is for: the data to the cell and the replicate, a method's draws to these and to
its name. So all methods see the same data, and no cell, method or replicate that is added changes another.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.study.cells import Cell
from experiments.study.functions import Outcome, functions_in
from saem.errors import SaemError
from saem.streams import derived_seed

ERROR, TIMEOUT, CRASHED = "error", "timeout", "crashed"
FAILED = (ERROR, TIMEOUT, CRASHED)

Record = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What is the same for all replicates of a study.

    Attributes
    ----------
    functions : Path
        The study's Python file, which every process loads for itself.
    methods : tuple of (name, options)
    estimands : tuple of str
    seed : int
    analysis : tuple of str
        Factors that the data do not depend on.
    """

    functions: Path
    methods: tuple[tuple[str, dict[str, Any]], ...]
    estimands: tuple[str, ...]
    seed: int
    analysis: tuple[str, ...] = ()


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


def data_seed(job: Job, cell: Cell, replicate: int) -> int:
    """The seed of a data set."""
    return derived_seed(job.seed, "study", cell.without(job.analysis).key, str(replicate), "data")


def method_seed(job: Job, cell: Cell, replicate: int, method: str) -> int:
    """The seed of a method on a data set."""
    return derived_seed(job.seed, "study", cell.key, str(replicate), "method", method)


def generated(job: Job, cell: Cell, replicate: int) -> Any:
    """A data set."""
    return functions_in(job.functions).generate(cell.without(job.analysis), data_seed(job, cell, replicate))


def run_tasks(job: Job, tasks: Sequence[Task]) -> list[list[Record]]:
    """The records of some tasks, in their order."""
    return [run_task(job, task) for task in tasks]


def run_task(job: Job, task: Task) -> list[Record]:
    """A record for each method of a task, in order."""
    functions = functions_in(job.functions)
    options = dict(job.methods)
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True):
            data = generated(job, task.cell, task.replicate)
    except Exception as error:
        seconds = time.perf_counter() - start
        return [failure(name, ERROR, f"generate: {in_words(error)}", seconds) for name in task.methods]
    records = []
    for name in task.methods:
        start = time.perf_counter()
        seed = method_seed(job, task.cell, task.replicate, name)
        try:
            with warnings.catch_warnings(record=True) as raised:
                warnings.simplefilter("always")
                outcome = functions.estimate(data, task.cell, options[name], seed)
            heard = [f"{type(w.message).__name__}: {w.message}" for w in raised]
            records.append(record_of(name, outcome, job.estimands, heard, time.perf_counter() - start))
        except Exception as error:
            records.append(failure(name, ERROR, in_words(error), time.perf_counter() - start))
    return records


def in_words(error: Exception) -> str:
    """What went wrong, in one line; what saem itself refuses needs no name of a class."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SaemError) else f"{type(error).__name__}: {text}"


def record_of(name: str, outcome: Outcome, estimands: Sequence[str], heard: Sequence[str], seconds: float) -> Record:
    """What is kept of a method's outcome.

    Raises
    ------
    SaemError
        When it has no numbers for an estimand.
    """
    missing = [estimand for estimand in estimands if estimand not in outcome.numbers]
    if missing:
        raise SaemError(f"the method gives no estimate of {missing[0]!r}")
    return {
        "method": name,
        "status": outcome.status,
        "message": outcome.message,
        "warnings": list(dict.fromkeys(heard)),
        "loglik": float(outcome.loglik),
        "draws": float(outcome.draws),
        "iterations": float(outcome.iterations),
        "seconds": seconds,
        "numbers": [[float(value) for value in outcome.numbers[estimand]] for estimand in estimands],
    }


def failure(name: str, status: str, message: str, seconds: float) -> Record:
    """The record of a method that gave nothing."""
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
    }
