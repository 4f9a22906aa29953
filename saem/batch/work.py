"""What a worker does: fit one level by each method, and turn whatever happens into plain records."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saem.errors import SaemError, SaemWarning
from saem.stopping import Status
from saem.system.display import method_name
from saem.system.ending import ENDED_BY_OTHERS

if TYPE_CHECKING:
    import pandas as pd

    from saem.families import Model
    from saem.fitting.result import Fit

WATCH = 1.0  # seconds between two looks for the driver
LARGEST = 2**53  # of what is counted
ERROR = "error"
CRASHED = "crashed"

Record = dict[str, Any]
FitFunction = Callable[..., "Fit"]


@dataclass(frozen=True)
class Task:
    """What is the same for all levels.

    Attributes
    ----------
    model : Model
    methods : tuple
        Names of methods, or method objects.
    drop_missing : bool
    fit : callable, optional
        Used instead of `saem.fit`, with the same arguments.
    """

    model: Model
    methods: tuple[Any, ...]
    drop_missing: bool = False
    fit: FitFunction | None = None


@dataclass(frozen=True)
class Case:
    """One level: its number, its rows and a seed for each method."""

    level: int
    table: pd.DataFrame
    seeds: tuple[int, ...]


def serve(driver: int) -> None:
    """In a worker: what ends the run is for the driver, which then ends the workers; if it is killed, so are they.

    A batch system sends SIGTERM to all processes of a job, a closed terminal SIGHUP: a worker that they ended would be
    taken for one that crashed.

    Parameters
    ----------
    driver : int
        Its process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ENDED_BY_OTHERS:
        signal.signal(number, lambda *details: None)  # a function, which programs that it starts do not inherit
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDED_BY_OTHERS)
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()


def _end_with(driver: int) -> None:
    """Leave no orphan: workers of a killed driver would wait for ever, as each keeps the others' pipes open."""
    while os.getppid() == driver:
        time.sleep(WATCH)
    os._exit(1)


def fit_cases(task: Task, cases: list[Case]) -> list[tuple[int, list[Record]]]:
    """Fit some levels: the number of each with a record for each method, in order."""
    return [(case.level, fit_case(task, case)) for case in cases]


def fit_case(task: Task, case: Case) -> list[Record]:
    """Fit one level by every method."""
    return [_attempt(task, case.table, method, seed) for method, seed in zip(task.methods, case.seeds, strict=True)]


def _attempt(task: Task, table: pd.DataFrame, method: Any, seed: int) -> Record:
    fit = task.fit or _fit()  # outside of the block below: a package that cannot be imported is no failure of a level
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SaemWarning)  # they are in Fit.warnings, and go to the message
            result = fit(task.model, table, method=method, seed=seed, drop_missing=task.drop_missing)
        return record_of(result, method_name(method))
    except SaemError as error:
        return failure(method_name(method), ERROR, str(error), len(table), time.perf_counter() - start)
    except Exception as error:
        message = f"unexpected {type(error).__name__}: {error}"
        return failure(method_name(method), ERROR, message, len(table), time.perf_counter() - start) | {"again": True}


def _fit() -> FitFunction:
    """Import `saem.fit` when it is first used, in the process that uses it."""
    from saem.fitting import fit as fitting

    return fitting.fit


def record_of(fit: Fit, method: str) -> Record:
    """What is kept of a fit: one row of `fits` and its rows of `estimates`, as plain numbers and text."""
    return {
        "method": method,
        "status": str(fit.status),
        "loglik": float(fit.loglik),
        "n_rows": int(fit.n_rows),
        "n_clusters": int(fit.n_clusters),
        "seconds": float(fit.seconds),
        "message": " ".join([fit.message, *(f"Warning: {text}" for text in fit.warnings)]).strip(),
        "again": False,
        "parameters": list(fit.parameters.names),
        "numbers": fit.to_numpy().tolist(),
    }


def is_record(record: Record) -> bool:
    """Whether something has what a record has: the same keys, and five numbers for each parameter."""
    keys = failure("", "", "", 0, 0.0).keys()
    parameters, rows = record.get("parameters"), record.get("numbers")
    return (
        record.keys() == keys
        and all(_is_text(record[key]) for key in ("method", "status", "message"))
        and record["status"] in (*Status, ERROR, CRASHED)
        and all(_is_number(record[key]) for key in ("loglik", "seconds"))
        and _is_count(record["n_rows"])
        and (record["n_clusters"] is None or _is_count(record["n_clusters"]))
        and isinstance(record["again"], bool)
        and isinstance(parameters, list)
        and isinstance(rows, list)
        and len(parameters) == len(rows)
        and all(_is_text(name) for name in parameters)
        and all(isinstance(row, list) and len(row) == 5 for row in rows)
        and all(_is_number(value) for row in rows for value in row)
    )


def _is_text(value: object) -> bool:
    """Whether it is a text that a table takes: JSON knows halves of characters, which UTF-8 does not."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) <= LARGEST)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def failure(method: str, status: str, message: str, n_rows: int, seconds: float) -> Record:
    """The record of a level that could not be fitted, with the reason as its message.

    One that was killed is to be tried again when the run goes on: the next time there may be memory enough.
    """
    return {
        "method": method,
        "status": status,
        "loglik": float("nan"),
        "n_rows": n_rows,
        "n_clusters": None,
        "seconds": seconds,
        "message": " ".join(message.split()),
        "again": status == CRASHED,
        "parameters": [],
        "numbers": [],
    }
