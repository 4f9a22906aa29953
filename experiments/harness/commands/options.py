"""Arguments that several commands share, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..running import Executor
    from ..study import Cell, Study

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study (see list), or its TOML file.")]
Quick = Annotated[bool, typer.Option("--quick", help="The quick form.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FOLDER", help="Of the results; results/STUDY if omitted.", show_default=False
    ),
]
Into = Annotated[
    Path | None,
    typer.Option("--into", metavar="FOLDER", help="For the files; that of the results if omitted.", show_default=False),
]


class Kind(StrEnum):
    """Who runs the replicates."""

    LOCAL = "local"
    DASK = "dask"


By = Annotated[Kind, typer.Option("--executor", help="Processes on this machine, or a Dask cluster.")]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler; a cluster on this machine if omitted.")
]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes; as many as there are cores if omitted, 0 for this one alone.", metavar="N", min=0),
]


def executor_of(kind: Kind, workers: int | None, scheduler: str | None) -> Executor:
    """Who runs replicates, by the options of the command line.

    Raises
    ------
    ModelError
        When these do not go together.
    """
    from saem.errors import ModelError

    from ..running import Executor

    if scheduler is not None and kind is not Kind.DASK:
        raise ModelError("--scheduler is for '--executor dask'; add it, or leave the scheduler out")
    if scheduler is not None and workers is not None:
        raise ModelError("--workers is for this machine; the scheduler's cluster has workers of its own")
    if kind is Kind.DASK and workers == 0:
        raise ModelError("'--executor dask' needs one worker or more; got --workers 0")
    return Executor(kind.value, (os.cpu_count() or 1) if workers is None else workers, scheduler)


def path_of(name: str) -> Path:
    """The TOML file of a study by name or path.

    Raises
    ------
    ModelError
        When there is no study of this name.
    """
    from saem.errors import ModelError, listing, nearest

    from ..study import STUDIES

    if name.endswith(".toml") or "/" in name:
        return Path(name)
    known = sorted(path.stem for path in STUDIES.glob("*.toml"))
    if name not in known:
        raise ModelError(
            f"there is no study {name!r}{nearest(name, known)}; there are {listing(known)}, or give a TOML file"
        )
    return STUDIES / f"{name}.toml"


def folder_of(name: str, quick: bool, output: Path | None) -> Path:
    """Where a study's results are."""
    return output or Path("results") / (path_of(name).stem + ("-quick" if quick else ""))


def study_in(path: Path, quick: bool, folder: Path, changes: Mapping[str, Any] | None = None) -> Study:
    """A study, with the true values that the store of its results has kept, so that they are not asked for again.

    Raises
    ------
    ModelError
        As `load_study`.
    """
    from saem.errors import StorageError

    from ..store import Store
    from ..study import load_study
    from ..study.truths import Truths

    if path.is_file():
        truths = Truths(path)
        try:
            with Store(folder) as store:
                truths.recall(store.truths(truths.syntax))
        except StorageError:
            pass  # there is none yet, or it cannot be read: what needs it says so
    return load_study(path, quick, changes)


def warm_up(study: Study, path: Path) -> None:
    """Compile what fits of saem need, where the study makes any: else it would count against their limits."""
    from saem.fitting import warmup

    from ..running import identity_of, job_of

    if "the code of saem" in identity_of(job_of(study, path)):
        warmup.ensure(["saem", "ml"], "linear")


def seconds_of(text: str) -> float:
    """From `90`, `90s`, `30m`, `2h` or `1d`.

    Raises
    ------
    ModelError
        When it is no length of time.
    """
    from saem.errors import ModelError

    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        seconds = float(number) * UNITS[unit]
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds < float("inf"):
        raise ModelError(f"a length of time must be written as 90s, 30m, 2h or 1d; got {text!r}")
    return seconds


def cell_named(study: Study, name: str) -> Cell:
    """The cell of a name.

    Raises
    ------
    ModelError
        When there is none.
    """
    from saem.errors import ModelError, nearest

    cells = {cell.name: cell for cell in study.design.all()}
    if name not in cells:
        raise ModelError(f"there is no cell {name!r}{nearest(name, cells)}; 'check' and 'status' list them")
    return cells[name]
