"""Opening data files within bounds: a file of a few kilobytes can unpack to more than the memory holds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 2**30  # of text, unpacked
MAX_FIELDS = 100_000_000
MAX_HEADER = 2**20
CHUNK = 2**20
UNPACK: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar", ".zst")
ADVICE = "keep the columns that the model reads, or read it yourself and hand saem the DataFrame"


def check_file(path: Path) -> None:
    """Refuse what is no file.

    Raises
    ------
    DataError
        For a folder, a device, a pipe, an archive, or nothing at all.
    """
    if path.is_dir():
        raise DataError(f"the data file {str(path)!r} is a folder, not a file")
    if not path.exists():
        raise DataError(f"there is no data file {str(path)!r}")
    if not path.is_file():
        raise DataError(f"the data file {str(path)!r} is a device or a pipe; write the table to a file first")
    if path.suffix.lower() in ARCHIVES:
        raise DataError(f"the data file {str(path)!r} is an archive; unpack it first (.gz, .bz2 and .xz are read)")


class Bounded(io.RawIOBase):
    """The bytes of a text file, unpacked, that refuses to go on beyond what a table may have.

    Parameters
    ----------
    path : Path
    separator : bytes
        Between fields, which are counted.
    """

    def __init__(self, path: Path, separator: bytes) -> None:
        self._name, self._separator = str(path), separator
        self._stream: Any = UNPACK.get(path.suffix.lower(), open)(path, "rb")
        self._bytes = self._fields = 0

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and count."""
        chunk: bytes = self._stream.read(min(len(buffer), CHUNK))
        self._bytes += len(chunk)
        self._fields += chunk.count(self._separator) + chunk.count(b"\n")
        if self._bytes > MAX_BYTES:
            raise DataError(f"the data file {self._name!r} holds more than {MAX_BYTES // 2**20:,} MB of text; {ADVICE}")
        if self._fields > MAX_FIELDS:
            raise DataError(f"the data file {self._name!r} has more than {MAX_FIELDS:,} fields; {ADVICE}")
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        """Close the file, too."""
        self._stream.close()
        super().close()


def opened(path: Path, separator: str = ",") -> io.BufferedReader:
    """A text file, unpacked, within bounds."""
    return io.BufferedReader(Bounded(path, separator.encode()), CHUNK)


def header_of(path: Path) -> bytes:
    """The first line of a text file.

    Raises
    ------
    DataError
        When it is far too long for the header of a table, or the file cannot be unpacked.
    """
    try:
        with opened(path) as stream:
            start = stream.read(MAX_HEADER)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DataError(f"the data file {str(path)!r} cannot be read: unpacking it fails ({error})") from None
    header, newline, _ = start.partition(b"\n")
    if not newline and len(start) == MAX_HEADER:
        raise DataError(f"the first line of {str(path)!r} is longer than {MAX_HEADER // 2**20} MB; is it a table?")
    return header


def parquet_table(source: Path | io.BytesIO, name: str) -> pd.DataFrame:
    """Read a Parquet file.

    Parameters
    ----------
    source : Path or BytesIO
    name : str
        For messages.

    Raises
    ------
    DataError
        When it is none, or would take more memory than a table may.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check_parquet(lambda **options: pq.ParquetFile(source, **options), name)
        return pd.read_parquet(source)
    except DataError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise DataError(f"the data file {name!r} cannot be read: {error.strerror or error}") from None
        raise DataError(f"{name!r} cannot be read as a Parquet file: {_line(error)}") from None
    except (pa.ArrowException, ArithmeticError, LookupError, MemoryError, NotImplementedError, TypeError) as error:
        raise DataError(f"{name!r} cannot be read as a Parquet file: {_line(error)}") from None
    except (AttributeError, ValueError) as error:  # of metadata that are none
        raise DataError(f"{name!r} cannot be read as a Parquet file: {_line(error)}") from None


def _check_parquet(read: Callable[..., Any], name: str) -> None:
    """Refuse a file that unpacks to more than a table may have; a text that is stored once may stand in every row."""
    import pyarrow.compute as pc
    from pyarrow import types

    file = read()
    meta = file.metadata
    if meta.num_rows * meta.num_columns > MAX_FIELDS:
        raise DataError(f"the data file {name!r} has more than {MAX_FIELDS:,} fields; {ADVICE}")
    stored = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    texts = [field.name for field in file.schema_arrow if types.is_string(field.type) or types.is_binary(field.type)]
    total = 0
    if texts and stored <= MAX_BYTES < meta.num_rows * stored:
        for batch in read(read_dictionary=texts).iter_batches(batch_size=65536, columns=texts):
            for column in batch.columns:
                total += pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0
            if total > MAX_BYTES:
                break
    if max(stored, total) > MAX_BYTES:
        raise DataError(f"the data file {name!r} unpacks to more than {MAX_BYTES // 2**20:,} MB; {ADVICE}")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
