"""Clusters, variance groups and residual groups of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saem.data.table import Rows
from saem.errors import DataError, listing, nearest
from saem.expressions.columns import Factor
from saem.system.codes import codes_of
from saem.system.remembered import remembered


def cluster_codes(factors: Sequence[Factor]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the combinations of the levels of some columns, in order of first appearance.

    Parameters
    ----------
    factors : sequence of Factor
        (n,) rows each, without missing levels.

    Returns
    -------
    codes : (n,) ndarray of int64
        0 to C - 1.
    first : (C,) ndarray of int64
        The first row of each cluster.
    """
    return numbered(*(factor.codes for factor in factors))


@remembered
def numbered(*columns: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`cluster_codes` of the codes of the levels."""
    codes = codes_of(*columns)
    first = np.empty(int(codes.max()) + 1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # of repeated targets the last one assigned stays
    return codes, first


def group_codes(factor: Factor, column: str, named: Iterable[str] | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Number the levels of a grouping column, in the order of the model.

    Parameters
    ----------
    factor : Factor
        (n,) rows, without missing levels.
    column : str
        Its name, for messages.
    named : iterable of str, optional
        The levels that the model names; by default the levels of the data in natural order.

    Returns
    -------
    codes : (n,) ndarray of int64
    levels : tuple of str
        (G,)

    Raises
    ------
    DataError
        If a level has no rows, or rows have a level that the model does not name.
    """
    counts = np.bincount(factor.codes, minlength=len(factor.levels))
    present = [level for level, count in zip(factor.levels, counts, strict=True) if count]
    levels = tuple(sorted(present, key=_natural) if named is None else named)
    unnamed = [level for level in present if level not in levels]
    if unnamed:
        count = int(counts[factor.levels.index(unnamed[0])])
        raise DataError(
            f"{count} rows have the level {unnamed[0]!r} of column {column!r}, but the model names SDs only for "
            f"{listing(levels)}; add the level to sd, or keep only the rows that the model is about"
        )
    empty = [level for level in levels if level not in present]
    if empty:
        raise DataError(
            f"no row has the level {empty[0]!r}{nearest(empty[0], present)} of column {column!r}, for which the model "
            f"names an SD; its levels with rows are {listing(present)}"
        )
    renumber = np.array([levels.index(level) if level in levels else -1 for level in factor.levels], dtype=np.int64)
    return renumber[factor.codes], levels


def _natural(level: str) -> tuple[int, float, str]:
    """Numbers by their value, before text."""
    try:
        return (0, float(level), level)
    except ValueError:
        return (1, 0.0, level)


def members_of(cluster: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """The rows of every cluster (n,)."""
    order = np.argsort(cluster, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)


def check_constant(
    group: NDArray[np.int64], cluster: NDArray[np.int64], first: NDArray[np.int64], names: tuple[str, Any], rows: Rows
) -> NDArray[np.int64]:
    """The variance group of each cluster; refuse clusters that belong to several.

    Parameters
    ----------
    group : (n,) ndarray
        Codes of the variance groups.
    cluster : (n,) ndarray
        Codes of the clusters.
    first : (C,) ndarray
        First row of each cluster.
    names : (str, tuple of str)
        The grouping column and the cluster columns.
    rows : Rows
        For the message.

    Returns
    -------
    (C,) ndarray of int64
    """
    of_cluster = group[first]
    differs = group != of_cluster[cluster]
    if differs.any():
        row = int(np.argmax(differs))
        column, clusters = names
        raise DataError(
            f"the column {column!r} of the variance groups must be constant within each cluster, but it differs "
            f"between data rows {rows.number(int(first[cluster[row]]))} and {rows.number(row)} (counted from 1 without "
            f"the header), which are in one cluster; add {column!r} to cluster = {list(clusters)}"
        )
    return of_cluster


def repeated_rows(response: NDArray[np.float64], cluster: NDArray[np.int64], rows: Rows) -> str | None:
    """A warning that names rows that repeat an earlier row in every column.

    Parameters
    ----------
    response : (n,) ndarray
    cluster : (n,) ndarray
    rows : Rows
        Of the table with all columns.

    Returns
    -------
    str or None
    """
    # Copies agree in a hash of response and cluster; comparing all columns is only needed for rows that do.
    key = response.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    key ^= (cluster.view(np.uint64) + np.uint64(1)) * np.uint64(0xC2B2AE3D27D4EB4F)
    ordered = np.sort(key)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return None
    candidates = np.flatnonzero(np.isin(key, twice))
    copies = candidates[rows.take(candidates).duplicated().to_numpy()]
    if not len(copies):
        return None
    pairs = []
    for copy in copies[:5]:
        same = candidates[key[candidates] == key[copy]]
        original = next(row for row in same if rows.take(np.array([row, copy])).duplicated().iloc[-1])
        pairs.append(f"{rows.number(int(copy))} (as row {rows.number(int(original))})")
    more = f" and {len(copies) - 5} more" if len(copies) > 5 else ""
    return (
        f"{len(copies)} data row(s) repeat an earlier row in every column: row {', '.join(pairs)}{more} (counted from "
        "1 without the header); they are fitted as they are: remove them if they are copies"
    )
