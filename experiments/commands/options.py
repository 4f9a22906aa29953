"""Arguments that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from experiments.study import Cell, Study

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


def path_of(name: str) -> Path:
    """The TOML file of a study by name or path.

    Raises
    ------
    ModelError
        When there is no study of this name.
    """
    from experiments.study import STUDIES
    from saem.errors import ModelError, listing, nearest

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
    from experiments.store import Store
    from experiments.study import load_study
    from experiments.study.truths import Truths
    from saem.errors import StorageError

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
    from experiments.running import identity_of, job_of
    from saem.cli import warmup

    if "the code of saem" in identity_of(job_of(study, path)):
        warmup.ensure(["saem", "ml"])


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
