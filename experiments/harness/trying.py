"""A replicate of every method, and the data of every cell, before a study is run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from saem.errors import listing

from .engine.child import Child
from .engine.judging import result_of
from .running import job_of
from .study import Study
from .study.records import FAILED, Record
from .study.tasks import FOREVER, Task

ROUNDING = 1e-6
TRIALS = 3  # replicates in which a method fails before it is said to be broken


@dataclass
class Trial:
    """What came of it.

    Attributes
    ----------
    records : dict of str to dict
        By method, in the first cell: the first of its records that is no failure, or else the last.
    warnings, problems : list of str
        What may be meant, and what cannot be.
    """

    records: dict[str, Record] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def tried(study: Study, path: Path) -> Trial:
    """Run every method on a replicate of the first cell, and make the data of every cell twice, in two processes.

    Parameters
    ----------
    study : Study
    path : Path
        Of its TOML file.
    """
    job, cells, limit = job_of(study, path), study.design.all(), min(study.run.timeout, FOREVER)
    found, bad = Trial(), dict[str, list[str]]()
    with Child() as one, Child() as other:
        for cell in cells:
            first, second = (result_of(job, Task(cell, 0, ()), limit, child).records[0] for child in (one, other))
            if first["status"] in FAILED:
                bad.setdefault(reason(first), []).append(cell.name)
            elif second["status"] in FAILED or first["data"] != second["data"]:
                why = (
                    "generate: two processes got different data from the same cell and seed; draw all from "
                    "numpy.random.default_rng(seed), and do not depend on the order of sets"
                )
                bad.setdefault(why, []).append(cell.name)
        found.problems = [f"{why} (in {listing(names, 3)})" for why, names in bad.items()]
        if found.problems:
            return found
        left = tuple(study.methods)
        for replicate in range(TRIALS):
            task = Task(cells[0], replicate, left)
            for record in result_of(job, task, limit, one).records if left else ():
                found.records[record["method"]] = record
                if record["status"] in FAILED:
                    found.warnings.append(f"{record['method']}, replicate {replicate}: {reason(record)}")
            ended = tuple(name for name in left if found.records[name]["status"] not in FAILED)
            for record in result_of(job, replace(task, methods=ended), limit, other).records if ended else ():
                if names := differing(record, found.records[record["method"]], study):
                    found.warnings.append(
                        f"{record['method']}, replicate {replicate}: two processes got different numbers of "
                        f"{listing(names)} from the same data and seed, so that no fit can be made again; draw all "
                        "from numpy.random.default_rng(seed)"
                    )
            left = tuple(name for name in left if found.records[name]["status"] in FAILED)
    broken: dict[str, list[str]] = {}  # methods by why
    for name in left:
        broken.setdefault(reason(found.records[name]), []).append(name)
    found.problems += [
        f"{', '.join(names)}: failed in {TRIALS} replicates of {cells[0].name}; {why}" for why, names in broken.items()
    ]
    found.warnings = [text for text in found.warnings if text.partition(",")[0] not in left]
    return found


def reason(record: Record) -> str:
    """Why a record has no numbers, and where."""
    where = f" ({record['where']})" if record.get("where") else ""
    return f"{record['status']}: {record['message']}{where}"


def differing(one: Record, other: Record, study: Study) -> list[str]:
    """The estimands of which two records of a fit have different numbers, but for rounding; all where one failed."""
    if one["status"] in FAILED or other["status"] in FAILED:
        return list(study.estimands)
    pairs = zip(study.estimands, one["numbers"], other["numbers"], strict=True)
    return [name for name, a, b in pairs if not np.allclose(a, b, rtol=ROUNDING, atol=ROUNDING, equal_nan=True)]
