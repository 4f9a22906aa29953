"""Columns of a table as arrays: numbers as floats, everything else as coded levels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, listing, nearest
from saem.system.codes import counted

if TYPE_CHECKING:
    import pandas as pd

TEXT_OF_NUMBERS = "saem_text_of_numbers"  # an attribute of a table: columns of numbers that were read as text
ALL_LEVELS = "saem_all_levels"  # another: column -> its levels in a larger table, by which names tell them apart
NOTES = "saem_notes"  # another: what was done to a column when it was read
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?")
_EPOCH = date(1970, 1, 1)
_SMALL = 4096  # below this many rows a Python loop beats the fixed cost of pandas


@dataclass(frozen=True, eq=False)
class Factor:
    """A column of levels.

    Parameters
    ----------
    codes : (n,) ndarray of int
        Position in `levels` of the level of each row; -1 where it is missing.
    levels : tuple of str
        The distinct levels as text, in order of first appearance (or in the order of a pandas Categorical).
    is_ordered : bool
        Whether the order of the levels is that of a pandas Categorical.
    is_numeric : bool
        Whether the levels are numbers that are kept as text, since 1.1 and 1.10 are different clusters.
    since : float, optional
        What dates count from, in days since 1970-01-01; the first day of the rows by default.
    """

    codes: NDArray[np.integer[Any]]
    levels: tuple[str, ...]
    is_ordered: bool = False
    is_numeric: bool = False
    since: float | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: NDArray[np.bool_]) -> Factor:
        """The same levels at some of the rows."""
        return replace(self, codes=self.codes[rows])

    @property
    def as_numbers(self) -> bool:
        """Whether the levels are numbers or dates, so that one can calculate with them."""
        return self._values is not None

    @property
    def is_date(self) -> bool:
        """Whether all levels are dates in ISO 8601, such as 2026-03-01 or 2026-03-01 12:30."""
        return self.as_numbers and not self.is_numeric

    @cached_property
    def _values(self) -> NDArray[np.float64] | None:
        """Numbers (L,) of the levels; dates in days since 1970-01-01."""
        if self.is_numeric:
            return np.array([float(level) for level in self.levels])
        if not self.levels or not all(_DATE.fullmatch(level) for level in self.levels):
            return None
        try:
            return np.array([_days(level) for level in self.levels])
        except ValueError:  # the 31st of February
            return None

    def level_values(self) -> NDArray[np.float64]:
        """The levels (L,) as numbers; dates in days since 1970-01-01."""
        assert self._values is not None
        return self._values

    def origin(self) -> float:
        """What dates count from, in days since 1970-01-01; 0 for numbers."""
        if self.since is not None or not self.is_date or self._values is None:
            return self.since or 0.0
        used = self.codes[self.codes >= 0]
        return float(np.floor(self._values[used].min())) if len(used) else 0.0

    def numbers(self, origin: float | None = None) -> NDArray[np.float64]:
        """The rows as numbers (n,), dates in days since an origin; nan where missing."""
        assert self._values is not None
        start = self.origin() if origin is None else origin
        return np.asarray(np.append(self._values - start, np.nan)[self.codes])

    @staticmethod
    def day(origin: float) -> str:
        """The date of an origin."""
        return (_EPOCH + timedelta(days=origin)).isoformat()


def since_words(name: str, day: str) -> str:
    """What is said of a column of dates."""
    return f"column {name!r} counts days since {day}, its first one in the rows of the fit"


def _days(text: str) -> float:
    """Days since 1970-01-01, of a time with a zone in UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - datetime(1970, 1, 1)) / timedelta(days=1)


Values = NDArray[Any] | Factor


def level_text(value: object) -> str:
    """How a level is written in a model file: ``1`` and ``1.0`` are both ``"1"``.

    Parameters
    ----------
    value : object
        A cell of a table, or a key of a model.
    """
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def check_columns(table: pd.DataFrame, names: list[str], needed_by: str = "the model") -> None:
    """Refuse a table that lacks a column.

    Parameters
    ----------
    table : DataFrame
    names : list of str
        Columns that must be there.
    needed_by : str
        Who needs them, for the message.

    Raises
    ------
    DataError
        Naming all missing columns, and the nearest name for each.
    """
    have = list(table.columns)
    present = set(have)
    missing = [name for name in names if name not in present]
    if missing:
        texts = [str(name) for name in have]
        hints = ", ".join(f"{name!r}{nearest(name, texts)}" for name in missing)
        noun = "column" if len(missing) == 1 else "columns"
        quotes = "".join(_unquoted_level(table, name) for name in missing)
        raise DataError(f"{needed_by} needs {noun} {hints}; the table has the columns {listing(texts, 20)}{quotes}")
    if len(present) != len(have):
        twice = [name for name in names if have.count(name) > 1]
        if twice:
            raise DataError(f"the table has more than one column named {twice[0]!r}; rename one of them")


def _unquoted_level(table: pd.DataFrame, name: str) -> str:
    """A hint for a name that is no column but the level of one."""
    for column in table.columns:
        if table[column].dtype.kind == "O" and (table[column] == name).any():
            return f". {name} is a level of {str(column)!r}: write it in quotes, {column!s} == '{name}'"
    return ""


def read_column(series: pd.Series[Any]) -> Values:
    """Convert a column once, to what all checks and designs work on.

    Parameters
    ----------
    series : Series
        (n,) of any dtype.

    Returns
    -------
    (n,) ndarray of float or bool, or Factor
        Numbers are floats with nan where missing, and durations are in days; text, categories and dates are a `Factor`.
    """
    kind = getattr(series.dtype, "kind", "O")
    if isinstance(series.dtype, np.dtype):
        if kind == "b":
            return series.to_numpy()
        if kind in "iuf":
            return series.to_numpy(dtype=np.float64)
        if kind == "c":
            raise DataError(f"column {series.name!r} holds complex numbers; use real numbers")
        if kind == "O":
            return _read_objects(series)
        if kind == "m":
            return np.asarray(series.to_numpy() / np.timedelta64(1, "D"), dtype=np.float64)  # nan where missing
        return factorize(series)  # dates
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype | pd.StringDtype):
        return factorize(series)
    if pd.api.types.is_bool_dtype(series.dtype) and not series.hasnans:
        return series.to_numpy(dtype=np.bool_)
    if pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return factorize(series)


def column_of(table: pd.DataFrame, name: str) -> Values:
    """A column of a table as `read_column` has it; numbers that were kept as text can be calculated with.

    Parameters
    ----------
    table : DataFrame
    name : str

    Returns
    -------
    (n,) ndarray of float or bool, or Factor
    """
    return as_column(table[name], table.attrs)


def as_column(series: pd.Series[Any], attributes: Mapping[Any, Any]) -> Values:
    """The same of a column itself, with the attributes of its table."""
    values = read_column(series)
    if not isinstance(values, Factor):
        return values
    more = [level for level in attributes.get(ALL_LEVELS, {}).get(series.name, ()) if level not in values.levels]
    if more:
        values = replace(values, levels=(*values.levels, *more))
    return replace(values, is_numeric=True) if series.name in attributes.get(TEXT_OF_NUMBERS, ()) else values


def _read_objects(series: pd.Series[Any]) -> Values:
    """A column of Python objects: numbers if all are numbers, else levels."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal", "boolean"):
        values = pd.to_numeric(series.astype(float), errors="raise").to_numpy(dtype=np.float64)
        return values.astype(bool) if kind == "boolean" and not np.isnan(values).any() else values
    return factorize(series)


def factorize(series: pd.Series[Any]) -> Factor:
    """Code the levels of a column of any type, in order of first appearance.

    Parameters
    ----------
    series : Series
        (n,).
    """
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        return replace(_factor(series.cat.codes.to_numpy(), series.cat.categories), is_ordered=True)
    if len(series) <= _SMALL:
        if getattr(series.dtype, "kind", "O") == "O":
            return _factorize_small(series.to_numpy(dtype=object))
        if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iub":
            return _factorize_small(series.to_numpy())
    codes, values = pd.factorize(series)
    return _factor(codes, values.tolist() if series.dtype.kind in "iub" else values)


def factorize_clusters(series: pd.Series[Any]) -> Factor:
    """Code the levels of a cluster column: as `factorize`, but the number 1, the text "1" and True are three clusters.

    Parameters
    ----------
    series : Series
        (n,).

    Returns
    -------
    Factor
        Levels that look the same have the kind of value behind them.
    """
    if not holds_objects(series):
        return factorize(series)
    tagged = series.map(_kind_and_value, na_action="ignore")
    kinds = {tag[0] for tag in tagged.dropna()}
    if len(kinds) < 2:
        return factorize(series)
    found = _factorize_small(tagged.to_numpy(dtype=object))
    known = list(dict.fromkeys(tagged.dropna()))
    texts = [level_text(value) for _, value in known]
    levels = [text if texts.count(text) == 1 else f"{text} ({tag[0]})" for text, tag in zip(texts, known, strict=True)]
    return Factor(found.codes, tuple(levels))


def holds_objects(series: pd.Series[Any]) -> bool:
    """Whether a column holds Python objects, which may be of several types."""
    return isinstance(series.dtype, np.dtype) and series.dtype.kind == "O"


def _kind_and_value(value: object) -> tuple[str, object]:
    kind = "text" if isinstance(value, str) else "truth value" if isinstance(value, bool | np.bool_) else "number"
    return kind, value


def _factorize_small(values: NDArray[Any]) -> Factor:
    """Code a short array of Python objects or whole numbers by a dictionary."""
    import pandas as pd

    try:
        codes, known = counted(values.tolist(), len(values))
    except TypeError:
        raise DataError("a column holds lists or other containers; use text or numbers") from None
    there = [isinstance(value, (str, int)) or not pd.isna(value) for value in known]
    if not all(there):
        renumber = np.where(there, np.cumsum(there) - 1, -1)
        return _factor(renumber[codes], [value for value, is_there in zip(known, there, strict=True) if is_there])
    return _factor(codes, known)


def _factor(codes: NDArray[Any], values: Iterable[Any]) -> Factor:
    """A factor with levels as text; values that look the same, such as 1 and "1", are one level."""
    texts = [level_text(value) for value in values]
    levels = tuple(dict.fromkeys(texts))
    if len(levels) < len(texts):
        position = {level: index for index, level in enumerate(levels)}
        codes = np.array([*(position[text] for text in texts), -1], dtype=np.int64)[codes]  # the last for missing, -1
    return Factor(codes, levels)


def missing_rows(values: Values) -> NDArray[np.bool_] | None:
    """Rows that hold no finite number, or no level.

    Parameters
    ----------
    values : (n,) ndarray or Factor

    Returns
    -------
    (n,) ndarray of bool, or None when there is none
    """
    if isinstance(values, Factor):
        bad = values.codes < 0
    elif values.dtype.kind == "f":
        # A finite sum proves that all are finite, without an array of answers; overflow only costs the second look.
        if len(values) == 0 or np.isfinite(values.sum()):
            return None
        bad = ~np.isfinite(values)
    else:
        return None
    return bad if bad.any() else None
