"""Random effects of several levels within the clusters of an engine that knows one: translated, not compiled anew.

A *unit* is a level of a grouping factor within a cluster: an occasion of a subject, or a female of a group of animals
that were mated with each other. Units are counted in each cluster, in order of appearance, and the effects of the k-th
unit of all clusters share a coordinate; a row reads it by a column of ones and zeros. Clusters with fewer units lack
the coordinates of the others: these have no standard deviation (-1), and so are no data of one. Clusters with the same
numbers of units are a *pattern*, which is told apart as variance groups are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.expressions.columns import level_text
from saem.system.codes import codes_of

if TYPE_CHECKING:
    import pandas as pd

BETWEEN = " : "  # the columns of a level
Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


def connected(factors: Sequence[Codes]) -> Codes:
    """The clusters (n,) of rows: those that levels (n,) of any factor connect, numbered in order of appearance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(factors[0])
    begin = np.cumsum([n, *(int(codes.max()) + 1 for codes in factors)])
    rows = np.tile(np.arange(n), len(factors))
    nodes = np.concatenate([codes + at for codes, at in zip(factors, begin[:-1], strict=True)])
    edges = coo_array((np.ones(len(rows)), (rows, nodes)), shape=(int(begin[-1]), int(begin[-1])))
    return in_order(connected_components(edges, directed=False)[1][:n])


def in_order(codes: Codes) -> Codes:
    """The same partition of rows (n,), numbered from 0 in order of appearance."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.asarray(rank[inverse], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a factor.

    Attributes
    ----------
    of_row : (n,) ndarray of int64
        Units of the whole table, numbered in order of appearance.
    position : (n,) ndarray of int64
        Of the unit within its cluster, from 0.
    first : (U,) ndarray of int64
        The first row of each unit.
    counts : (C,) ndarray of int64
        Units of each cluster.
    """

    of_row: Codes
    position: Codes
    first: Codes
    counts: Codes

    @property
    def most(self) -> int:
        """The largest number of units of a cluster."""
        return int(self.counts.max())

    @property
    def columns(self) -> Floats:
        """Indicators (n, `most`) of the positions."""
        return np.asarray(self.position[:, None] == np.arange(self.most), dtype=np.float64)


def units_of(cluster: Codes, level: Codes) -> Units:
    """Count the combinations of clusters (n,) and levels (n,) within the clusters."""
    of_row = in_order(cluster * (int(level.max()) + 1) + level)
    first = np.unique(of_row, return_index=True)[1]
    owner = cluster[first]
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=int(cluster.max()) + 1)
    position = np.empty(len(first), dtype=np.int64)
    position[order] = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Units(of_row, position[of_row], first, counts)


def level_label(parts: Sequence[object]) -> str:
    """A level of a factor in words; of several columns, parts that could be misread stand in quotes."""
    texts = list(map(str, parts))
    if len(texts) == 1:
        return texts[0]
    is_odd = [BETWEEN in f" {text} " or '"' in text for text in texts]
    return BETWEEN.join(
        json.dumps(text, ensure_ascii=False) if odd else text for text, odd in zip(texts, is_odd, strict=True)
    )


def level_codes(names: Sequence[str], table: pd.DataFrame, others: pd.DataFrame) -> tuple[Codes, Codes]:
    """Numbers of the combinations of some columns, in the rows (n,) of a fit and in other rows (m,)."""
    found = []
    for name in names:
        levels: dict[str, int] = {}
        texts = [level_text(value) for value in (*table[name].tolist(), *others[name].tolist())]
        found.append(np.array([levels.setdefault(text, len(levels)) for text in texts], dtype=np.int64))
    codes = np.asarray(codes_of(*found), dtype=np.int64)
    return codes[: len(table)], codes[len(table) :]


def positions_of_others(units: Units, cluster: Codes, level: Codes, own: Codes, other: Codes) -> Codes:
    """Positions (m,) of the units of other rows.

    Parameters
    ----------
    units : Units
    cluster, level : (n,) ndarray
        Of the rows of the fit.
    own : (m,) ndarray
        Clusters of the other rows; -1 for new ones.
    other : (m,) ndarray
        Their levels, numbered as those of the fit are.

    Returns
    -------
    (m,) ndarray of int64
        -1 for units that are not in the fit.
    """
    known = dict(zip(zip(cluster.tolist(), level.tolist(), strict=True), units.position.tolist(), strict=True))
    return np.array([known.get(pair, -1) for pair in zip(own.tolist(), other.tolist(), strict=True)], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Listed:
    """The random effects of a fit one by one, by the names of their units.

    Attributes
    ----------
    index : MultiIndex
        (k,) the levels, and `term`.
    cluster, coordinate : (k,) ndarray of int64
        Where each is among the effects (C, d) of the clusters; what a cluster lacks is not listed.
    """

    index: pd.MultiIndex
    cluster: Codes
    coordinate: Codes


@dataclass(frozen=True, eq=False)
class Patterns:
    """Variance groups of clusters, told apart by their numbers of units.

    The first G patterns are the variance groups themselves with all coordinates, whether a cluster has them or not.

    Attributes
    ----------
    of_cluster : (C,) ndarray of int64
    group : (P,) ndarray of int64
        The variance group of each pattern.
    counts : (P, F) ndarray of int64
        Its units of each factor.
    """

    of_cluster: Codes
    group: Codes
    counts: Codes


def patterns_of(group: Codes, n_groups: int, units: Sequence[Units]) -> Patterns:
    """The patterns of clusters in variance groups (C,)."""
    counts = np.column_stack([each.counts for each in units])
    full = np.broadcast_to([each.most for each in units], (n_groups, len(units)))
    both = np.column_stack([group, counts])
    known = np.column_stack([np.arange(n_groups), full])
    others = [row for row in np.unique(both, axis=0).tolist() if row not in known.tolist()]
    table = np.array([*known.tolist(), *others], dtype=np.int64)
    place = {tuple(row): k for k, row in enumerate(table.tolist())}
    of_cluster = np.array([place[tuple(row)] for row in both.tolist()], dtype=np.int64)
    return Patterns(of_cluster, table[:, 0], table[:, 1:])


def patterns_of_all(units: Sequence[Units]) -> Patterns:
    """The patterns of clusters whose effects are all those of units, the one with the most units first."""
    counts = np.column_stack([each.counts for each in units])
    table, of_cluster = np.unique(counts, axis=0, return_inverse=True)
    order = np.argsort(-table.sum(axis=1), kind="stable")
    rank = np.argsort(order)
    return Patterns(rank[of_cluster.reshape(-1)], np.zeros(len(table), dtype=np.int64), table[order])


@dataclass(frozen=True, eq=False)
class Indices:
    """Parameters of standard deviations (G, q) and correlations (G, q, q; -1 where there is none) of random effects."""

    sd: Codes
    corr: Codes


def spread(patterns: Patterns, own: Indices, levels: Sequence[Indices]) -> Indices:
    """Those of all coordinates of a cluster: its own, and those of every unit of each factor.

    Parameters
    ----------
    patterns : Patterns
    own : Indices
        Of the effects of clusters, by variance group.
    levels : sequence of Indices
        (F,) of the effects of one unit.

    Returns
    -------
    Indices
        By pattern; -1 for the standard deviations of effects that a pattern lacks.
    """
    most = patterns.counts.max(axis=0)
    n = own.sd.shape[1] + int(sum(k * each.sd.shape[1] for k, each in zip(most, levels, strict=True)))
    sd = np.full((len(patterns.group), n), -1, dtype=np.int64)
    corr = np.full((len(patterns.group), n, n), -1, dtype=np.int64)
    for p, (group, counts) in enumerate(zip(patterns.group, patterns.counts, strict=True)):
        blocks = [(own, 1, 1)] + [(each, int(k), int(m)) for each, k, m in zip(levels, counts, most, strict=True)]
        at = 0
        for each, used, there in blocks:
            q = each.sd.shape[1]
            for k in range(there):
                if k < used:
                    sd[p, at : at + q] = each.sd[group]
                    corr[p, at : at + q, at : at + q] = each.corr[group]
                at += q
    return Indices(sd, corr)


def packed(patterns: Patterns, levels: Sequence[Indices]) -> Indices:
    """`spread`, with the units of a pattern one after the other: what it lacks is at the end."""
    sizes = np.array([each.sd.shape[1] for each in levels])
    n = int((patterns.counts @ sizes).max())
    sd = np.full((len(patterns.group), n), -1, dtype=np.int64)
    corr = np.full((len(patterns.group), n, n), -1, dtype=np.int64)
    for p, (group, counts) in enumerate(zip(patterns.group, patterns.counts, strict=True)):
        at = 0
        for each, count, q in zip(levels, counts, sizes, strict=True):
            for _ in range(count):
                sd[p, at : at + q] = each.sd[group]
                corr[p, at : at + q, at : at + q] = each.corr[group]
                at += q
    return Indices(sd, corr)
