"""The columns that a model reads: converted, checked for text and for missing values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from saem.data.table import Rows
from saem.errors import DataError, listing
from saem.expressions.columns import (
    ALL_LEVELS,
    TEXT_OF_NUMBERS,
    Factor,
    Values,
    as_column,
    column_of,
    factorize,
    factorize_clusters,
    holds_objects,
    missing_rows,
    read_column,
)
from saem.specification.formula import read, response_of
from saem.specification.formula.grammar import Name
from saem.specification.formula.naming import identifier, level_names

if TYPE_CHECKING:
    import pandas as pd

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")  # 1,010: one number with or without a comma


class Reading(Protocol):
    """What a model says of the columns that it reads; see `saem.families.model.Model`."""

    @property
    def response(self) -> str: ...
    @property
    def cluster(self) -> tuple[str, ...]: ...
    @property
    def formula(self) -> str | None: ...
    @property
    def is_transformed(self) -> bool: ...
    @property
    def response_columns(self) -> tuple[str, ...]: ...
    @property
    def text_columns(self) -> tuple[str, ...]: ...
    @property
    def number_columns(self) -> tuple[str, ...]: ...
    @property
    def design_columns(self) -> tuple[str, ...]: ...
    @property
    def all_columns(self) -> tuple[str, ...]: ...


def with_all_levels(model: Reading, table: pd.DataFrame) -> pd.DataFrame:
    """A table whose parts name the levels of a formula as the whole does, where words must tell them apart."""
    found: dict[str, list[str]] = {}
    names = () if model.formula is None else read(model.formula).columns
    for name in names:
        values = column_of(table, name) if name in table.columns else None
        if isinstance(values, Factor) and level_names(values.levels) != [identifier(level) for level in values.levels]:
            found[name] = list(values.levels)
    if not found:
        return table
    table = table.copy(deep=False)
    table.attrs = table.attrs | {ALL_LEVELS: found}
    return table


def table_of(series: dict[str, pd.Series[Any]], attributes: dict[Any, Any]) -> pd.DataFrame:
    """The table of some of its columns, without a copy; of its attributes it keeps which are text of numbers."""
    import pandas as pd

    table = pd.DataFrame(series, copy=False)
    kept = [name for name in attributes.get(TEXT_OF_NUMBERS, ()) if name in series]
    table.attrs = {TEXT_OF_NUMBERS: kept} if kept else {}
    return table


def shared(series: pd.Series[Any]) -> pd.Series[Any]:
    """A column that stays as it is when the table is changed; pandas before 3 would change it, too, so it is copied."""
    import pandas as pd

    return series if pd.__version__.partition(".")[0] >= "3" else series.copy()


def read_columns(
    model: Reading, table: pd.DataFrame, drop_missing: bool
) -> tuple[dict[str, pd.Series[Any]], dict[str, Values], dict[str, Factor], Rows, int]:
    """Convert the columns that the model reads, and see to missing values.

    Parameters
    ----------
    model : Model, as a `Reading`
    table : DataFrame
        (n,) rows.
    drop_missing : bool
        Leave out rows with missing or infinite values.

    Returns
    -------
    series : dict of str to Series
        (k,) rows that remain of all columns that the model reads, as they are.
    columns : dict of str to Values
        The response, the columns of the designs and the weights, converted.
    factors : dict of str to Factor
        The columns of clusters and groups.
    rows : Rows
        To name the remaining rows.
    n_dropped : int
    """
    rows = Rows(table)
    series = {name: shared(table[name]) for name in model.all_columns}
    columns: dict[str, Values] = {name: _read_response(series[name], rows) for name in model.response_columns}
    for name in (*model.design_columns, *model.number_columns):
        if name not in columns:
            columns[name] = as_column(series[name], table.attrs)
    factors: dict[str, Factor] = {}
    for name in model.text_columns:
        values = columns.get(name)
        if name in model.cluster and holds_objects(series[name]):
            factors[name] = factorize_clusters(series[name])
        else:
            factors[name] = values if isinstance(values, Factor) else factorize(series[name])
    n = len(table)
    bad: dict[str, NDArray[np.bool_]] = {}
    for name, values in (*columns.items(), *factors.items()):
        mask = missing_rows(values)
        if mask is not None:
            bad[name] = bad[name] | mask if name in bad else mask
    if not bad:
        return series, columns, factors, rows, 0
    if not drop_missing:
        found = "; ".join(
            f"column {name!r}: {int(mask.sum())} of {n} rows, the first is {rows.first(mask)}"
            for name, mask in bad.items()
        )
        raise DataError(
            f"missing or infinite values in {found}; to leave out these rows use --drop-missing (drop_missing=True)"
        )
    keep = ~np.logical_or.reduce(list(bad.values()))
    if not keep.any():
        raise DataError(f"no row is left: each has a missing or infinite value in one of {listing(bad)}")
    columns = {name: v.take(keep) if isinstance(v, Factor) else v[keep] for name, v in columns.items()}
    factors = {name: v.take(keep) for name, v in factors.items()}
    series = {name: values[keep] for name, values in series.items()}
    kept = np.flatnonzero(keep)
    for name, values in columns.items():  # truth values of which some are missing are numbers until here
        if not isinstance(values, Factor) and values.dtype.kind == "f" and series[name].dtype.kind in "Ob":
            again = read_column(series[name])
            columns[name] = again if not isinstance(again, Factor) and again.dtype == np.bool_ else values
    return series, columns, factors, Rows(table, kept), n - len(kept)


def _read_response(series: pd.Series[Any], rows: Rows) -> Values:
    values, name = read_column(series), series.name
    if not isinstance(values, Factor):
        return values.astype(np.float64, copy=False)
    if not len(values.levels):
        return np.full(len(series), np.nan)
    is_text = np.array([not is_number(level) for level in values.levels] + [False])  # the last: missing, code -1
    if not is_text.any():
        raise DataError(f"the response {name!r} holds numbers stored as text; convert the column to numbers")
    bad = is_text[values.codes]
    value = values.levels[int(values.codes[np.argmax(bad)])]
    raise DataError(
        f"the response {name!r} must be a number in each row; got the text {value!r} in {rows.first(bad)}; "
        f"{_advice_on(value)}"
    )


def _advice_on(value: str) -> str:
    """How a text may be made a number."""
    if THOUSANDS.fullmatch(value) and value.count(",") == 1:
        return f"it may be {value.replace(',', '.')} or {value.replace(',', '')}: write a decimal point, or no comma"
    if THOUSANDS.fullmatch(value):
        return "write no commas between thousands"
    return "write a decimal point, not a comma" if is_number(value.replace(",", ".")) else "leave a missing value empty"


def nearly_numbers(model: Reading, columns: dict[str, Values], rows: Rows) -> list[str]:
    """Columns of a formula that a few texts among numbers make factors, as one slip of the pen does, in words."""
    if model.formula is None:
        return []  # other designs refuse to calculate with text
    found = []
    for name in (node.text for node in read(model.formula).right.factors.values() if isinstance(node, Name)):
        values = columns[name]
        if not isinstance(values, Factor) or values.as_numbers:
            continue
        text = np.array([NUMBER.fullmatch(level.strip()) is None for level in values.levels])[values.codes]
        if 0 < text.sum() < len(text) / 2:
            level = values.levels[int(values.codes[np.argmax(text)])]
            found.append(
                f"column {name!r} is taken as a factor: {int(text.sum())} of {len(text)} rows are no number, the first "
                f"{level!r} in {rows.first(text)}"
            )
    return found


def response_values(model: Reading, columns: dict[str, Values], n: int) -> NDArray[np.float64]:
    """The response (n,) on the scale of the model.

    Raises
    ------
    DataError
        When it is not a finite number in each row.
    """
    if model.formula is None or not model.is_transformed:
        return np.ascontiguousarray(columns[model.response], dtype=np.float64)
    values = response_of(model.formula, columns, n)[0]
    bad = missing_rows(values)
    if bad is not None:
        raise DataError(
            f"the response {model.response} is not a finite number in {int(bad.sum())} of {n} rows; a logarithm needs "
            "positive numbers"
        )
    return np.ascontiguousarray(values)


def is_number(text: str) -> bool:
    """Whether a text can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
