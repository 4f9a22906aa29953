"""The columns that a model reads: converted, checked for text and for missing values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.columns import Factor, Values, factorize, missing_rows, read_column
from saem.data.table import Rows
from saem.errors import DataError, listing
from saem.expressions.rows import row_expression
from saem.specification import Model
from saem.specification.formula import columns_of

if TYPE_CHECKING:
    import pandas as pd

SMALL = 10_000  # rows: a larger table is not kept whole for the columns that are used


def needed_columns(model: Model) -> tuple[str, ...]:
    """All columns that a model reads, the response first.

    Parameters
    ----------
    model : Model

    Returns
    -------
    tuple of str
    """
    names = [model.response, *model.cluster]
    names += [name for name in (model.random.by, model.residual.by, model.residual.weights) if name is not None]
    return tuple(dict.fromkeys([*names, *design_columns(model)]))


def rows_used(model: Model, table: pd.DataFrame, drop_missing: bool) -> pd.DataFrame:
    """The columns that a model reads, in the rows that it uses; without a copy where these are all."""
    import pandas as pd

    if drop_missing:
        table = read_columns(model, table, drop_missing)[0]
    return pd.DataFrame({name: table[name] for name in needed_columns(model)}, copy=False)


def rows_later(model: Model, table: pd.DataFrame, drop_missing: bool) -> pd.DataFrame | Callable[[], pd.DataFrame]:
    """`rows_used`, or what makes it when it is asked for: of a small table, where that takes as long as a fit."""
    if len(table) > SMALL:
        return rows_used(model, table, drop_missing)
    return partial(rows_used, model, table.copy(deep=False), drop_missing)  # pandas copies on write


def design_columns(model: Model) -> list[str]:
    """Columns of the mean and of the random terms."""
    texts = list(model.random.terms.values())
    names: list[str] = []
    if isinstance(model.mean, str):
        names.extend(columns_of(model.mean))
    else:
        texts = [*model.mean.values(), *texts]
    for text in texts:
        names.extend(sorted(row_expression(text).columns))
    return list(dict.fromkeys(names))


def read_columns(
    model: Model, table: pd.DataFrame, drop_missing: bool
) -> tuple[pd.DataFrame, dict[str, Values], dict[str, Factor], Rows, int]:
    """Convert the columns that the model reads, and see to missing values.

    Parameters
    ----------
    model : Model
    table : DataFrame
        (n,) rows.
    drop_missing : bool
        Leave out rows with missing or infinite values.

    Returns
    -------
    table : DataFrame
        (k,) rows that remain.
    columns : dict of str to Values
        The response, the columns of the designs and the weights.
    factors : dict of str to Factor
        The columns of clusters and groups.
    rows : Rows
        To name the remaining rows.
    n_dropped : int
    """
    rows = Rows(table)
    columns: dict[str, Values] = {model.response: _read_response(table, model.response, rows)}
    weights = [] if model.residual.weights is None else [model.residual.weights]
    for name in dict.fromkeys([*design_columns(model), *weights]):
        columns[name] = read_column(table[name])
    grouping = [*model.cluster, *(by for by in (model.random.by, model.residual.by) if by is not None)]
    factors: dict[str, Factor] = {}
    for name in dict.fromkeys(grouping):
        values = columns.get(name)
        factors[name] = values if isinstance(values, Factor) else factorize(table[name])
    n = len(table)
    bad: dict[str, NDArray[np.bool_]] = {}
    for name, values in (*columns.items(), *factors.items()):
        mask = missing_rows(values)
        if mask is not None:
            bad[name] = bad[name] | mask if name in bad else mask
    if not bad:
        return table, columns, factors, rows, 0
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
    kept = np.flatnonzero(keep)
    return table[keep], columns, factors, Rows(table, kept), n - len(kept)


def _read_response(table: pd.DataFrame, name: str, rows: Rows) -> Values:
    values = read_column(table[name])
    if not isinstance(values, Factor):
        return values.astype(np.float64, copy=False)
    if not len(values.levels):
        return np.full(len(table), np.nan)
    is_text = np.array([not is_number(level) for level in values.levels] + [False])  # the last: missing, code -1
    if not is_text.any():
        raise DataError(f"the response {name!r} holds numbers stored as text; convert the column to numbers")
    bad = is_text[values.codes]
    value = values.levels[int(values.codes[np.argmax(bad)])]
    advice = (
        "write a decimal point, not a comma" if is_number(value.replace(",", ".")) else "leave a missing value empty"
    )
    raise DataError(
        f"the response {name!r} must be a number in each row; got the text {value!r} in {rows.first(bad)}; {advice}"
    )


def is_number(text: str) -> bool:
    """Whether a text can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
