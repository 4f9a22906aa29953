"""How many replicates a study needs, and how long they take, from a few that are run and thrown away."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.performance import performance
from experiments.precision import Shortfall, worst
from experiments.rows import TEXTS, nulls_of, reference_in, table_of_records
from experiments.running import job_of
from experiments.study.functions import functions_in
from experiments.study.tasks import Task, run_task

if TYPE_CHECKING:
    from experiments.study import Cell, Study


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
    """

    cell: Cell
    seconds: float
    replicates: int
    why: str


def planned(study: Study, path: Path, pilot: int, progress: Callable[[int, int], None] | None = None) -> list[Plan]:
    """Time some replicates of each cell, and foretell how many its precision takes.

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
    job, cells = job_of(study, path), study.design.all()
    functions, methods = functions_in(job.functions, job.digest), tuple(study.methods)
    run_task(job, Task(cells[0], 0, methods))  # compiled code is loaded before anything is timed
    plans = []
    for k, cell in enumerate(cells):
        results = [run_task(job, Task(cell, replicate, methods)) for replicate in range(pilot)]
        seconds = sum(result.seconds for result in results) / pilot
        replicates, why = study.run.replicates, "run.replicates"
        if study.precision:
            records = ((cell.key, r.task.replicate, record) for r in results for record in r.records)
            rows = table_of_records(records, study, functions).drop(columns=list(TEXTS))
            found = worst(performance(rows, reference=reference_in(rows, study), null=nulls_of(study)), study.precision)
            replicates, why = needed(study, found, pilot)
        plans.append(Plan(cell, seconds, replicates, why))
        if progress is not None:
            progress(k + 1, len(cells))
    return plans


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
