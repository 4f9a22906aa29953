"""Tables of other libraries, as pandas has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, Union, runtime_checkable

from saem.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


@runtime_checkable
class ArrowTable(Protocol):
    """A table that hands its columns on as Arrow does: of polars, pyarrow, DuckDB, narwhals and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object:
        """A capsule of the Arrow C stream interface."""


Table: TypeAlias = Union["pd.DataFrame", ArrowTable]  # what functions take as a table


def as_frame(table: object, what: str = "table") -> pd.DataFrame:
    """A table as a pandas DataFrame: itself, or a copy of one of another library.

    Parameters
    ----------
    table : DataFrame or ArrowTable
    what : str
        The name of the argument, for messages.

    Raises
    ------
    DataError
        For anything else, such as a path, and for lazy frames.
    """
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table
    advice = f"{what} must be a pandas DataFrame, such as pandas.read_csv('data.csv'), or a table of polars or pyarrow"
    if hasattr(table, "collect"):
        raise DataError(f"{advice}; got a lazy {type(table).__name__}: hand over its collect()")
    if isinstance(table, ArrowTable) and not isinstance(table, pd.Series):
        import pyarrow as pa

        try:
            return pa.table(table).to_pandas()  # type: ignore[no-any-return]
        except (pa.ArrowException, TypeError) as error:
            raise DataError(f"{advice}; got a {type(table).__name__}: {' '.join(str(error).split())[:200]}") from None
    raise DataError(f"{advice}; got {table!r:.80}")
