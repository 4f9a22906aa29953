"""Columns of a table as arrays: numbers as floats, everything else as coded levels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.codes import counted
from saem.errors import DataError, listing, nearest

if TYPE_CHECKING:
    import pandas as pd

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
    """

    codes: NDArray[np.integer[Any]]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: NDArray[np.bool_]) -> Factor:
        """The same levels at some of the rows."""
        return Factor(self.codes[rows], self.levels)


Values = NDArray[Any] | Factor


def level_text(value: object) -> str:
    """How a level is written in a model file: ``1`` and ``1.0`` are both ``"1"``.

    Parameters
    ----------
    value : object
        A cell of a table, or a key of a model.

    Returns
    -------
    str
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
        Numbers are floats with nan where missing; text, categories and dates are a `Factor`.
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
        return factorize(series)  # dates and durations
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        return factorize(series)
    if pd.api.types.is_bool_dtype(series.dtype) and not series.hasnans:
        return series.to_numpy(dtype=np.bool_)
    if pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return factorize(series)


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

    Returns
    -------
    Factor
    """
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        return _factor(series.cat.codes.to_numpy(), series.cat.categories)
    if len(series) <= _SMALL:
        if getattr(series.dtype, "kind", "O") == "O":
            return _factorize_small(series.to_numpy(dtype=object))
        if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iub":
            return _factorize_small(series.to_numpy())
    codes, values = pd.factorize(series)
    return _factor(codes, values.tolist() if series.dtype.kind in "iub" else values)


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
