"""How many replicates a study needs, and how long they take, from a few that are run and thrown away."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .engine.child import Child
from .engine.judging import result_of
from .performance import performance
from .precision import Shortfall, worst
from .rows import DATA, TEXTS, nulls_of, reference_in, table_of_records
from .running import job_of
from .study.records import FAILED, TIMEOUT
from .study.tasks import FOREVER, Result, Task
from .study.truths import Truths

if TYPE_CHECKING:
    from .study import Cell, Study


@dataclass(frozen=True)
class Plan:
    """What a cell needs.

    Attributes
    ----------
    cell : Cell
    seconds : float
        For a replicate: its data and all methods, on one core.
    replicates : int
    why : str
        What asks for so many.
    failures : mapping of str to str
        Methods that gave nothing in some replicate, and the first reason.
    """

    cell: Cell
    seconds: float
    replicates: int
    why: str
    failures: Mapping[str, str] = field(default_factory=dict)


def planned(study: Study, path: Path, pilot: int, progress: Callable[[int, int], None] | None = None) -> list[Plan]:
    """Time some replicates of each cell, and foretell how many its precision takes.

    They are run as by `run`, within the same limits; a method that does not end in time is not tried again in its cell.
    The errors of the pilot fall as the root of the number of replicates. With a few of them that is a guess: good to a
    third or so for means, and from the worst case for shares that are 0 or 1 so far.

    Parameters
    ----------
    study : Study
    path : Path
        Of its TOML file.
    pilot : int
        Replicates of each cell.
    progress : callable, optional
        ``progress(done, total)``.
    """
    job, cells, limit = job_of(study, path), study.design.all(), min(study.run.timeout, FOREVER)
    plans: list[Plan] = []
    with Child() as child:
        for cell in cells:
            results: list[Result] = []
            overdue: set[str] = set()
            seconds = 0.0
            for replicate in range(pilot):
                methods = tuple(name for name in study.methods if name not in overdue)
                if not plans and not replicate:
                    result_of(job, Task(cell, 0, methods), limit, child)  # compiled code is loaded before it is timed
                start = time.perf_counter()
                if methods:
                    results.append(result_of(job, Task(cell, replicate, methods), limit, child))
                seconds += time.perf_counter() - start + limit * len(overdue)
                overdue |= {r["method"] for r in results[-1].records if r["status"] == TIMEOUT}
            plans.append(plan_of(study, path, cell, results, seconds / pilot, pilot))
            if progress is not None:
                progress(len(plans), len(cells))
    return plans


def plan_of(study: Study, path: Path, cell: Cell, results: list[Result], seconds: float, pilot: int) -> Plan:
    """What a cell needs, by its pilot."""
    failures: dict[str, str] = {}
    for record in (record for result in results for record in result.records):
        if record["status"] in FAILED:
            failures.setdefault(record["method"], f"{record['status']}: {record['message']}")
    replicates, why = study.run.replicates, "run.replicates"
    if study.precision:
        records = ((cell.key, r.task.replicate, record) for r in results for record in r.records)
        rows = table_of_records(records, study, Truths(path, study.run)).drop(columns=[*TEXTS, DATA])
        found = worst(performance(rows, reference=reference_in(rows, study), null=nulls_of(study)), study.precision)
        replicates, why = needed(study, found, pilot)
    return Plan(cell, seconds, replicates, why, failures)


def needed(study: Study, found: Shortfall | None, pilot: int) -> tuple[int, str]:
    """Replicates for the precision of a cell, and what asks for them."""
    most, least = study.run.replicates, study.run.minimum
    if found is None:
        return least, "run.minimum: no target applies"
    wanted = math.ceil(pilot * found.ratio**2) if math.isfinite(found.ratio) else most
    whose = found.method + (f", {found.estimand}" if found.estimand else "")
    why = f"MCSE of {found.measure} ({whose}) at most {found.target:g}"
    if wanted <= least:
        return least, "run.minimum"
    return (most, f"run.replicates, too few: {why} takes some {wanted:,}") if wanted > most else (wanted, why)
