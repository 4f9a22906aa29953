"""Reading tables, filtering their rows, and naming rows in messages."""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Collection
from lzma import LZMAError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.reading import check_file, header_of, opened, parquet_table
from saem.errors import DataError
from saem.expressions.columns import NOTES, TEXT_OF_NUMBERS, Values, check_columns, column_of, level_text
from saem.expressions.rows import row_expression

if TYPE_CHECKING:
    import pandas as pd

_FROM_FILE = "saem_rows_of_file"
# As pandas, but without "None", which is a good name for "no treatment".
_MISSING = ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "<NA>", "#NA"]
_COMMA = re.compile(r"\s*[+-]?\d+(,\d+)?([eE][+-]?\d+)?\s*")  # a number, perhaps with a decimal comma
_UNCLEAR = re.compile(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*")  # 1,010 may be 1.010 or 1010
_PARQUET = (".parquet", ".pq")
_EXCEL = (".xls", ".xlsx", ".ods")


def read_table(path: str | Path, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table from a CSV, tab-separated or Parquet file.

    Parameters
    ----------
    path : str or Path
        Fields of a CSV file may be separated by commas, semicolons or tabs; it may be compressed by gzip. Where
        semicolons or tabs separate them, numbers may have decimal commas.
    text : collection of str
        Columns whose fields are levels, as those of clusters are: where their text says more than their numbers (1.1
        and 1.10, 007 and 7) they are read as text.

    Returns
    -------
    DataFrame
        Its index counts the rows of the file, so that messages name them even after rows were selected.

    Raises
    ------
    DataError
        If the file does not exist, is no such table, or is empty.
    """
    path = Path(path)
    try:
        check_file(path)
        if path.suffix.lower() in _EXCEL:
            raise DataError(f"{str(path)!r} is a spreadsheet; save it as CSV first")
        table = parquet_table(path, str(path)) if path.suffix.lower() in _PARQUET else _read_csv(path, text)
    except OSError as error:
        raise DataError(f"the data file {str(path)!r} cannot be read: {error.strerror or error}") from None
    if len(table) == 0:
        raise DataError(f"the data file {str(path)!r} has no rows")
    table.columns = [name.strip() if isinstance(name, str) else str(name) for name in table.columns]
    table = table.reset_index(drop=True)
    table.attrs = {}  # a Parquet file may hold any
    if path.suffix.lower() not in _PARQUET:
        _restore_numbers(table, text)
        if separator_of(path) != ",":
            _read_decimal_commas(table, text)
    table.attrs[_FROM_FILE] = True
    return table


def _read_csv(path: Path, text: Collection[str] = ()) -> pd.DataFrame:
    import pandas as pd

    separator = separator_of(path)
    try:
        names: list[Any] = []
        if text:
            with opened(path, separator) as stream:
                names = list(pd.read_csv(stream, sep=separator, encoding="utf-8-sig", nrows=0).columns)
        with warnings.catch_warnings(), opened(path, separator) as stream:
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                stream,
                sep=separator,
                keep_default_na=False,
                na_values=_MISSING,
                encoding="utf-8-sig",
                index_col=False,
                low_memory=False,
                dtype={name: "str" for name in names if str(name).strip() in text},
            )
    except DataError:
        raise
    except pd.errors.EmptyDataError:
        raise DataError(f"the data file {str(path)!r} is empty") from None
    except UnicodeDecodeError:
        raise DataError(f"{str(path)!r} is not a CSV file in UTF-8; save the table as 'CSV UTF-8'") from None
    except pd.errors.ParserWarning:
        raise DataError(f"{str(path)!r} is not a table: its rows have more fields than its header") from None
    except (pd.errors.ParserError, ValueError, EOFError, OverflowError, MemoryError, zlib.error, LZMAError) as error:
        raise DataError(f"{str(path)!r} cannot be read as a CSV file: {str(error).strip()}") from None
    if any("\x00" in str(name) for name in table.columns):
        raise DataError(f"{str(path)!r} is not a CSV file: it holds binary data")
    for name in table.columns:  # pandas calls the second column of a name 'name.1'
        if f"{name}.1" in table.columns and _occurs_twice(path, str(name)):
            raise DataError(f"{str(path)!r} has two columns of the name {str(name)!r}; rename one")
    return table


def _restore_numbers(table: pd.DataFrame, text: Collection[str]) -> None:
    """Make the columns that were read as text numbers again where their text says no more; note the others."""
    import pandas as pd

    kept = []
    for name in text:
        if name not in table.columns or not pd.api.types.is_string_dtype(table[name].dtype):
            continue
        fields = table[name].str.strip()
        distinct = [str(field) for field in fields.dropna().unique()]
        try:
            numbers = pd.to_numeric(pd.Series(distinct, dtype="object"))
        except (ValueError, TypeError):
            if distinct and all(field.lower() in ("true", "false") for field in distinct) and not fields.isna().any():
                table[name] = fields.str.lower() == "true"
            continue
        pairs = zip(numbers.tolist(), distinct, strict=True)
        if not distinct or (numbers.dtype != "object" and all(level_text(n) == field for n, field in pairs)):
            table[name] = pd.to_numeric(fields).astype("float64" if fields.isna().any() else numbers.dtype)
        else:
            table[name] = fields
            kept.append(name)
    if kept:
        table.attrs[TEXT_OF_NUMBERS] = kept


def _read_decimal_commas(table: pd.DataFrame, text: Collection[str]) -> None:
    """Convert columns of numbers with decimal commas, where at least one of them can be nothing else; and note it."""
    import pandas as pd

    found: dict[str, pd.Series[Any]] = {}
    is_clear = False
    for name in table.columns:
        if name in text or not pd.api.types.is_string_dtype(table[name].dtype):
            continue
        fields = table[name].dropna().astype(str)
        with_comma = fields[fields.str.contains(",", regex=False)]
        if len(with_comma) and fields.map(lambda field: _COMMA.fullmatch(field) is not None).all():
            found[name] = fields
            is_clear |= not with_comma.map(lambda field: _UNCLEAR.fullmatch(field) is not None).all()
    if not is_clear:
        return
    for name, fields in found.items():
        table[name] = pd.to_numeric(fields.str.replace(",", ".", regex=False)).reindex(table.index)
        first = next(field for field in fields if "," in field)
        note = f"column {name!r} was read with decimal commas, {first.strip()!r} as {first.strip().replace(',', '.')}"
        table.attrs[NOTES] = table.attrs.get(NOTES, {}) | {name: note}


def _occurs_twice(path: Path, name: str) -> bool:
    """Whether the header names a column more than once."""
    import pandas as pd

    with opened(path) as stream:
        options: dict[str, Any] = {"sep": separator_of(path), "header": None, "nrows": 1, "dtype": str}
        header = pd.read_csv(stream, encoding="utf-8-sig", **options)
    return int((header.iloc[0] == name).sum()) > 1


def separator_of(path: Path) -> str:
    """The separator that the header uses; a comma unless there is none."""
    header = header_of(path)
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    counts = {separator: header.count(separator.encode()) for separator in (",", ";", "\t")}
    return "," if counts[","] else max(counts, key=lambda separator: counts[separator])


def where(table: pd.DataFrame, text: str) -> pd.DataFrame:
    """Rows of a table at which a condition holds.

    Parameters
    ----------
    table : DataFrame
        (n,) rows.
    text : str
        A condition such as ``"treatment in ['Ctrl', 'CCCP']"``.

    Returns
    -------
    DataFrame
        The rows, with their index.

    Raises
    ------
    DataError
        If a column or level does not exist, no row satisfies the condition, or it is a number.
    """
    expression = row_expression(text)
    names = sorted(expression.columns)
    check_columns(table, names, f"the condition {text!r}")
    columns: dict[str, Values] = {name: column_of(table, name) for name in names}
    keep = expression.evaluate(columns, len(table))
    if keep.dtype != np.bool_:
        raise DataError(f"the condition {text!r} must be true or false on each row, such as dose > 1; it is a number")
    if not keep.any():
        raise DataError(f"no row of the table satisfies {text!r}")
    return table[keep]


class Rows:
    """Names rows in messages, after rows were selected or dropped.

    Parameters
    ----------
    table : DataFrame
        (n,) rows.
    kept : (k,) ndarray of int, optional
        Positions in the table of the rows that remain; by default all.
    """

    def __init__(self, table: pd.DataFrame, kept: NDArray[np.int64] | None = None) -> None:
        self._table = table
        self._kept = kept

    def take(self, positions: NDArray[np.int64]) -> pd.DataFrame:
        """Some of the rows, with all columns."""
        return self._table.iloc[positions if self._kept is None else self._kept[positions]]

    def number(self, position: int) -> int:
        """Number of a row as a user counts: from 1, without the header; in the file if it was read from one."""
        position = int(position if self._kept is None else self._kept[position])
        label: Any = self._table.index[position]
        if self._table.attrs.get(_FROM_FILE) and isinstance(label, int | np.integer):
            return int(label) + 1
        return position + 1

    def first(self, bad: NDArray[np.bool_]) -> str:
        """Where the first of some bad rows is, for messages."""
        return f"data row {self.number(int(np.argmax(bad)))} (counted from 1 without the header)"
