"""A table split once into the levels of one or several columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, listing
from saem.expressions.columns import check_columns, factorize, level_text
from saem.system.streams import escaped

if TYPE_CHECKING:
    import pandas as pd

RESERVED = frozenset(
    "method parameter estimate se mcse lower upper status loglik n_rows n_clusters seconds message".split()
)


@dataclass(frozen=True, eq=False)
class Levels:
    """The levels of the by-columns, in order of first appearance, with their rows.

    Attributes
    ----------
    rows : DataFrame
        The whole table.
    keys : (n_levels, n_columns) DataFrame
        The by-columns of the first row of every level.
    order : (n_kept,) ndarray of int
        Positions of rows, level after level, in their original order within a level.
    starts : (n_levels + 1,) ndarray of int
        Where each level starts in `order`.
    """

    rows: pd.DataFrame
    keys: pd.DataFrame
    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def n_dropped(self) -> int:
        """Rows that belong to no level, because a by-column is empty there."""
        return len(self.rows) - len(self.order)

    def table(self, level: int) -> pd.DataFrame:
        """The rows of one level (a copy, so that nothing else travels to a worker)."""
        return self.rows.take(self.order[self.starts[level] : self.starts[level + 1]])

    def meaning(self, level: int) -> str:
        """The text `column=level|column=level`, from which the level's random stream is derived."""
        return "|".join(
            f"{escaped(name)}={escaped(level_text(self.keys[name].iat[level]))}" for name in self.keys.columns
        )


def split(table: pd.DataFrame, by: Sequence[str]) -> Levels:
    """Split a table into the levels of the columns `by`; rows where one of these is empty belong to no level."""
    by = list(by)
    if not by:
        raise DataError("--by needs at least one column; got none")
    if len(set(by)) < len(by):
        raise DataError(f"--by names a column twice: {listing(by)}")
    clash = [name for name in by if name in RESERVED]
    if clash:
        raise DataError(
            f"--by column {clash[0]!r} has the name of a column of the results; rename it in the table, "
            f"for instance to {clash[0] + '_'!r}"
        )
    check_columns(table, by, needed_by="--by")
    combined = np.zeros(len(table), np.int64)
    missing = np.zeros(len(table), bool)
    for name in by:
        factor = factorize(table[name])
        missing |= np.asarray(factor.codes) < 0
        combined = combined * (len(factor.levels) + 1) + factor.codes + 1
        combined = np.unique(combined, return_inverse=True)[1].astype(np.int64)
    kept = np.flatnonzero(~missing)
    if not len(kept):
        raise DataError(f"no row has a value in the --by columns {listing(by)}")
    _, first, codes = np.unique(combined[kept], return_index=True, return_inverse=True)
    appearance = np.argsort(first)
    rank = np.empty(len(first), np.int64)
    rank[appearance] = np.arange(len(first))
    codes = rank[codes]
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes))]).astype(np.int64)
    keys = table[by].take(kept[first[appearance]]).reset_index(drop=True)
    return Levels(table, keys, kept[np.argsort(codes, kind="stable")], starts)
