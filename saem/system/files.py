"""Writing files and folders: each file in one step, each folder tried before it is needed."""

from __future__ import annotations

import csv
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd


def make_folder(folder: Path) -> None:
    """Make a folder for output, with its parents, and try whether files can be written there.

    Raises
    ------
    StorageError
        When they cannot: before time is spent on what is to be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be made: {error.strerror}; choose another name") from error
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Try whether files can be written to a folder.

    Raises
    ------
    StorageError
        When there is no such folder, it may not be written to, or the disk is full.
    """
    if not folder.is_dir():
        raise StorageError(f"there is no folder {folder} to write to; make it, or choose another")
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(bytes(4096))  # of a full disk, too
    except OSError as error:
        raise StorageError(f"nothing can be written to folder {folder}: {error.strerror}; choose another") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes otherwise.

    Raises
    ------
    StorageError
        When the disk refuses; the file at `path` is as it was then.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())  # or a crash of the machine may leave the name without the content
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}; choose another folder") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_csv(table: pd.DataFrame, path: Path, **options: Any) -> None:
    """Write a table as CSV, in one step.

    Parameters
    ----------
    table : DataFrame
    path : Path
    **options
        Of `DataFrame.to_csv`, such as ``index=False``.
    """
    with replacing(path) as temporary:
        table.to_csv(temporary, **as_csv(table), **options)


def as_csv(table: pd.DataFrame) -> dict[str, Any]:
    """How the texts of a table are quoted in a CSV file: those that need it, or all where one has a carriage return.

    Python's `csv` leaves a lone carriage return without quotes, and readers take it for the end of a row.
    """
    levels = [table.index.get_level_values(k) for k in range(table.index.nlevels)]
    parts: list[Any] = [*(column for _, column in table.items()), *levels]
    texts = [part for part in parts if part.dtype.kind not in "biufmM"]
    names = [*table.columns, *table.index.names]
    is_broken = any("\r" in str(text) for text in names) or any("\r" in str(v) for t in texts for v in t.unique())
    return {"quoting": csv.QUOTE_NONNUMERIC if is_broken else csv.QUOTE_MINIMAL}


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, in one step."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)
