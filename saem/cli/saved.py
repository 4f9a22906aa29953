"""Saved fits, and which of them a command is for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saem.errors import StorageError, listing

if TYPE_CHECKING:
    from saem.fitting.result import Fit

SavedFit = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help="What `saem fit --output FOLDER` wrote (of several fits that by ml), or the folder of one, FOLDER/saem.",
    ),
]


def fits_in(folder: Path) -> dict[str, Fit]:
    """All fits in the folders of a folder, by method; or the one in the folder itself.

    Raises
    ------
    StorageError
        When there is no folder, or a fit cannot be read.
    """
    from saem.fitting.result import load
    from saem.fitting.storage.content import FIT_FILE

    if (folder / FIT_FILE).is_file() or not folder.is_dir():
        alone = load(folder)
        return {alone.method: alone}
    return {path.parent.name: load(path.parent) for path in _fit_files(folder)}


def fit_to_examine(folder: Path) -> Fit:
    """The fit in a folder; of several the one by direct maximum likelihood.

    Raises
    ------
    StorageError
        When there is none, or there are several and none by ML.
    """
    from saem.cli.console import note

    found = fits_in(folder)
    chosen = next(iter(found.values())) if len(found) == 1 else found.get("ml")
    if chosen is not None:
        note(f"{folder}: the fit by {chosen.method}, {str(chosen.status).replace('_', ' ')}")
        return chosen
    if not found:
        raise StorageError(f"there is no saved fit in {folder}; `saem fit --output FOLDER` without --by saves one")
    raise StorageError(f"{folder} holds several fits; give one of {listing([str(folder / name) for name in found])}")


def posterior_to_examine(folder: Path) -> Fit:
    """The fit by "bayes" in a folder.

    Raises
    ------
    StorageError
        When there is none.
    """
    found = [fit for fit in fits_in(folder).values() if fit.posterior is not None]
    if not found:
        raise StorageError(
            f"there is no saved posterior in {folder}; `saem fit MODEL DATA --method bayes --output FOLDER` saves one"
        )
    return found[0]


def fit_to_resume(folder: Path) -> Fit:
    """The fit in a folder, or the only one in its folders that can go on.

    Raises
    ------
    StorageError
        When there is none, or several.
    """
    from saem.fitting.storage.content import FIT_FILE

    found = fits_in(folder)
    if (folder / FIT_FILE).is_file():  # it says itself where it cannot
        return next(iter(found.values()))
    able = {name: fit for name, fit in found.items() if fit.continuation is not None}
    if len(able) == 1:
        return next(iter(able.values()))
    if not able:
        what = f"those of {listing(found)} are exact, or of an earlier saem" if found else "there is no saved fit"
        raise StorageError(f"no fit in {folder} can go on: {what}; `saem fit --output FOLDER` without --by saves one")
    folders = listing([str(folder / name) for name in able])
    raise StorageError(f"{folder} holds several fits that can go on; give one of {folders}")


def others(output: Path, method: str) -> dict[str, Fit]:
    """The fits in the other folders of a folder, by the names of these, which its tables go on to list."""
    from saem.fitting.result import load

    return {path.parent.name: load(path.parent) for path in _fit_files(output) if path.parent.name != method}


def _fit_files(folder: Path) -> list[Path]:
    """The saved fits in the folders of a folder, in order."""
    from saem.fitting.storage.content import FIT_FILE

    return sorted(folder.glob(f"*/{FIT_FILE}"))
