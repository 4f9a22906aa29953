"""The levels of the factors as columns of their own in tables of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .performance import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

APART = "factor_"  # before the name of a factor that is that of another column in any of the tables
OTHERS = {*COLUMNS, "reference", "measure", "value", "n", "message", "warnings", "data", "stream"}


def with_levels(table: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """A table of cells with a column for each factor behind the cell, in the order of the design.

    Parameters
    ----------
    table : DataFrame
        With a column `cell`.
    levels : DataFrame
        A row a cell, indexed by its name.
    """
    found = table.copy(deep=False)
    at = levels.index.get_indexer(table["cell"].astype(str))
    for k, factor in enumerate(levels.columns):
        found.insert(k + 1, heading_of(factor), levels[factor].to_numpy()[at])
    return found


def heading_of(factor: str) -> str:
    """The name of a factor's column."""
    return APART + factor if factor in OTHERS else factor
