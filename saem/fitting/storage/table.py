"""The file `table.parquet`: the rows of a fit."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.data.reading import parquet_table
from saem.errors import SaemError, StorageError
from saem.expressions.columns import TEXT_OF_NUMBERS
from saem.families import Model, arrange
from saem.families.arranged import Arranged
from saem.fitting.storage.content import FitContent
from saem.specification.parameters import Parameters

if TYPE_CHECKING:
    import pandas as pd

TABLE_FILE = "table.parquet"


def table_bytes(table: pd.DataFrame | None) -> bytes | None:
    """A table as the content of a Parquet file; None where its columns mix what Parquet keeps apart."""
    from pyarrow import ArrowException

    if table is None:
        return None
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except (ArrowException, TypeError, ValueError):
        return None
    return buffer.getvalue()


def read_rows(data: bytes, content: FitContent) -> pd.DataFrame:
    """The table of a fit.

    Raises
    ------
    StorageError
        When it was changed, or has another number of rows than the fit.
    """
    if hashlib.sha256(data).hexdigest() != content.table_digest:
        raise StorageError(f"it is not whole: {TABLE_FILE} was changed; save the fit again")
    try:
        table = parquet_table(io.BytesIO(data), TABLE_FILE)
    except SaemError as error:
        raise StorageError(str(error)) from error
    if len(table) != content.n_rows:
        raise StorageError(f"{TABLE_FILE} has {len(table):,} rows, and the fit {content.n_rows:,}")
    kept = table.attrs.get(TEXT_OF_NUMBERS)
    names = [name for name in kept if name in table.columns] if isinstance(kept, list) else []
    table.attrs = {TEXT_OF_NUMBERS: names} if names else {}  # a file may hold any attributes
    return table


def check_rows(model: Model, table: pd.DataFrame, parameters: Parameters, content: FitContent) -> None:
    """Refuse a table of which the model has other parameters or clusters than the fit.

    All that is done with a fit later trusts that they are the same, compiled code included.

    Raises
    ------
    StorageError
        Saying what differs.
    """
    try:
        state = dict(content.formula_state)
        if state and form_of(state) != form_of(arrange(model, table).formula_state):
            raise StorageError("formula_state does not hold the constants of the model's formula")
        data = arrange(model, table, formula_state=state or None)
    except SaemError as error:
        raise StorageError(f"the table does not fit the model: {error}") from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise StorageError(f"the table or formula_state does not fit the model ({type(error).__name__})") from error
    different = [name for name, is_same in _compared(data, parameters, content).items() if not is_same]
    if different:
        raise StorageError(f"the {different[0]} of the fit are not those that its model has with its table")


def _compared(data: Arranged, parameters: Parameters, content: FitContent) -> dict[str, bool]:
    own = data.parameters
    return {
        "parameters": own.names == parameters.names and own.domains == parameters.domains,
        "fixed parameters": np.array_equal(own.fixed, parameters.fixed)
        and np.array_equal(own.fixed_values, parameters.fixed_values, equal_nan=True),
        "rows": len(data.response) == content.n_rows,
        "clusters": len(data.cluster_group) == content.n_clusters,
        "variance groups": tuple(data.group_levels) == content.group_levels,
    }


def form_of(value: Any) -> Any:
    """The form of plain values: keys, kinds and lengths, without the values."""
    if isinstance(value, Mapping):
        return {str(key): form_of(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [form_of(part) for part in value]
    if isinstance(value, bool | str) or value is None:
        return type(value).__name__
    return "number"
