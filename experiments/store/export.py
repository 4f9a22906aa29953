"""Tables written as files that are whole or not there: written beside, synchronised, renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from saem.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd

PART = 20_000  # rows of a large table that are converted at a time


def write_parquet(
    table: pd.DataFrame, path: Path, completed: Callable[[pd.DataFrame], pd.DataFrame] = lambda part: part
) -> None:
    """Write a table, in parts to which columns may be added; see `replacing` for the errors."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    writer = None
    with replacing(path) as stream:
        for first in range(0, max(len(table), 1), PART):
            part = pa.Table.from_pandas(completed(table.iloc[first : first + PART]), preserve_index=False)
            if writer is None:
                writer = ParquetWriter(stream, part.schema, compression="zstd")
            writer.write_table(part)
        assert writer is not None
        writer.close()


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table; see `replacing` for the errors."""
    with replacing(path) as stream:
        table.to_csv(stream, index=False)


def can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made where it is not there."""
    try:
        check_writable(folder)
    except StorageError:
        return False
    return True


def check_writable(folder: Path) -> None:
    """Refuse a folder in which no files can be made, before there is work to lose.

    Raises
    ------
    StorageError
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".tmp"):
            pass
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}; name another folder by --into") from error


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose content takes the place of a file at the end of the block, if that ends well.

    Raises
    ------
    StorageError
        When the disk refuses; the file is as it was then.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as stream:
            temporary = Path(stream.name)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}; make room, or choose another folder") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
