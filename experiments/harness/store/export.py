"""Tables written as files, and folders for them; see `saem.system.files`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from saem.errors import StorageError
from saem.system.files import make_folder, replacing

if TYPE_CHECKING:
    import pandas as pd

PART = 20_000  # rows of a large table that are converted at a time


def write_parquet(
    table: pd.DataFrame, path: Path, completed: Callable[[pd.DataFrame], pd.DataFrame] = lambda part: part
) -> None:
    """Write a table, in parts to which columns may be added; see `saem.system.files.replacing` for the errors."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    writer = None
    with replacing(path) as temporary:
        for first in range(0, max(len(table), 1), PART):
            part = pa.Table.from_pandas(completed(table.iloc[first : first + PART]), preserve_index=False)
            if writer is None:
                writer = ParquetWriter(temporary, part.schema, compression="zstd")
            writer.write_table(part)
        assert writer is not None
        writer.close()


def can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made where it is not there."""
    try:
        make_folder(folder)
    except StorageError:
        return False
    return True


def check_folder(folder: Path) -> None:
    """Refuse a folder in which no files can be made, before there is work to lose.

    Raises
    ------
    StorageError
    """
    try:
        make_folder(folder)
    except StorageError as error:
        raise StorageError(f"{error} by --into") from error
