"""From rows to patterns: the arrays of the linear family (see `arrays` for what a pattern is)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from saem.families.linear.arrays import LinearArrays
from saem.families.linear.data import LinearData
from saem.families.linear.stacks import eigen
from saem.families.linear.variates import INDEPENDENT
from saem.families.linear.weights import log_jacobian, with_unit_weights
from saem.system.codes import codes_of
from saem.system.remembered import remembered

Array = np.ndarray

FEW = 1024  # kinds of rows: to begin a random stream takes longer than so many words, which are kept
DEPENDENT = 1e-10  # of a column's sum of squares: what is left of a column that others explain


class Layout(NamedTuple):
    """What of the arrays does not depend on the response (see `LinearArrays`), and what it takes to add it."""

    inverse: Array  # (p, p) of X'X
    basis: Array
    slot: Array  # (n,) cluster and residual group of each row
    by_pattern: Array  # (C,) clusters in the order of their patterns
    start: Array  # (P + 1,)
    size: Array  # (P,)
    pattern_group: Array
    zz: Array
    zx: Array
    xx: Array


def pattern_of_clusters(
    x_design: Array, z_design: Array, residual: Array, cluster: Array, cluster_group: Array
) -> Array:
    """Pattern (C,) of each cluster: equal for clusters with the same variance group and the same multiset of rows.

    Rows with equal covariates get a common pair of random 64-bit words; the sums of the words over a cluster's rows
    identify the multiset (a collision among a million clusters has a probability below 1e-26).
    """
    order = np.argsort(cluster, kind="stable")
    first_row = np.flatnonzero(np.diff(cluster[order], prepend=-1))
    kinds = codes_of(residual, *x_design.T, *z_design.T)
    n_kinds = int(kinds.max()) + 1
    words = few_words(n_kinds) if n_kinds <= FEW else random_words(n_kinds)
    sums = np.add.reduceat(words[kinds[order]], first_row)
    return codes_of(cluster_group, *sums.T)


def random_words(n: int) -> Array:
    """A pair of random 64-bit words for each of some kinds of rows, (n, 2) uint64."""
    return np.random.default_rng(20260101).integers(0, 2**63, size=(n, 2), dtype=np.uint64)


few_words = lru_cache(maxsize=8)(random_words)


def sum_by(code: Array, weights: Array, n: int) -> Array:
    """Sums of ``weights`` over equal codes, as float64."""
    return np.bincount(code, weights=weights, minlength=n)


def spanning_columns(gram: Array, free: Array) -> Array:
    """Free columns (r,) of the mean design, from the first on, that are linearly independent and span all free ones."""
    norm = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    rest = (gram / np.outer(norm, norm)).copy()
    chosen = []
    for j in np.flatnonzero(free):  # Cholesky, leaving out what the columns before explain
        if rest[j, j] > DEPENDENT:
            chosen.append(j)
            rest -= np.outer(rest[j], rest[j]) / rest[j, j]
    return np.array(chosen, dtype=np.int64)


@remembered
def layout_of(
    x_design: Array,
    z_design: Array,
    residual: Array,
    cluster: Array,
    cluster_group: Array,
    free: Array,
    h_count: int,
) -> Layout:
    """The layout of a design; ``free`` (p,) are the columns of means that are not fixed."""
    p, q = x_design.shape[1], z_design.shape[1]
    gram = x_design.T @ x_design
    pattern = pattern_of_clusters(x_design, z_design, residual, cluster, cluster_group)
    n_clusters = len(pattern)
    n_patterns = int(pattern.max()) + 1
    size = np.bincount(pattern, minlength=n_patterns)
    by_pattern = np.argsort(pattern, kind="stable")
    start = np.concatenate([[0], np.cumsum(size)])
    representative = by_pattern[start[:-1]]

    # designs of the patterns, from one cluster each
    is_representative = np.zeros(n_clusters, dtype=bool)
    is_representative[representative] = True
    rows = is_representative[cluster]
    pattern_slot = pattern[cluster[rows]] * h_count + residual[rows]
    z_rows, x_rows = z_design[rows], x_design[rows]
    n_slots = n_patterns * h_count
    zz = np.empty((n_slots, q, q))
    zx = np.empty((n_slots, q, p))
    for j in range(q):
        for k in range(q):
            zz[:, j, k] = sum_by(pattern_slot, z_rows[:, j] * z_rows[:, k], n_slots)
        for k in range(p):
            zx[:, j, k] = sum_by(pattern_slot, z_rows[:, j] * x_rows[:, k], n_slots)
    return Layout(
        inverse=np.linalg.pinv(gram, hermitian=True),
        basis=spanning_columns(gram, free),
        slot=cluster * h_count + residual,
        by_pattern=by_pattern,
        start=start,
        size=size,
        pattern_group=np.ascontiguousarray(cluster_group[representative], dtype=np.int64),
        zz=zz.reshape(n_patterns, h_count, q, q),
        zx=zx.reshape(n_patterns, h_count, q, p),
        xx=np.array([x_h.T @ x_h for x_h in by_group(x_design, residual, h_count)]),
    )


def by_group(values: Array, residual: Array, h_count: int) -> list[Array]:
    """The rows of each residual group."""
    return [values] if h_count == 1 else [values[residual == h] for h in range(h_count)]


def build_arrays(data: LinearData) -> LinearArrays:
    """Arrays of the linear family for a validated table."""
    log_weight, data = float(log_jacobian(data).sum()), with_unit_weights(data)
    x_design, z_design, residual = data.mean_design, data.random_design, data.residual_group
    p, q = x_design.shape[1], z_design.shape[1]
    h_count, n_groups, n_clusters = len(data.residual_index), len(data.group_levels), len(data.cluster_group)
    free = ~data.parameters.fixed[data.mean_index]
    layout = layout_of(x_design, z_design, residual, data.cluster, data.cluster_group, free, h_count)

    reference = layout.inverse @ (x_design.T @ data.response)
    centred = data.response - x_design @ reference
    # reduced responses w_c = (Z_h'y), clusters in the order of their patterns
    reduced = np.empty((n_clusters, h_count, q))
    for j in range(q):
        sums = sum_by(layout.slot, z_design[:, j] * centred, n_clusters * h_count)
        reduced[:, :, j] = sums.reshape(n_clusters, h_count)
    reduced = reduced.reshape(n_clusters, h_count * q)[layout.by_pattern]
    column_start, columns = pattern_columns(reduced, layout.start, layout.size)
    parts = [by_group(values, residual, h_count) for values in (x_design, centred)]
    xy = np.array([x_h.T @ y_h for x_h, y_h in zip(*parts, strict=True)])
    slot_index, slot_terms = covariance_slots(data)
    return LinearArrays(
        mean_index=np.ascontiguousarray(data.mean_index, dtype=np.int64),
        basis=layout.basis,
        sd_index=np.ascontiguousarray(data.sd_index, dtype=np.int64),
        corr_index=np.ascontiguousarray(data.corr_index, dtype=np.int64),
        slot_index=slot_index,
        slot_terms=slot_terms,
        residual_index=np.ascontiguousarray(data.residual_index, dtype=np.int64),
        beta_reference=reference,
        log_weight=log_weight,
        n_rows=np.bincount(residual, minlength=h_count).astype(float),
        xx=layout.xx,
        xy=xy,
        yy=np.array([y_h @ y_h for y_h in parts[1]]),
        n_clusters=np.bincount(data.cluster_group, minlength=n_groups).astype(float),
        pattern_group=layout.pattern_group,
        pattern_size=layout.size.astype(float),
        pattern_start=layout.start.astype(np.int64),
        zz=layout.zz,
        zx=layout.zx,
        column_start=column_start,
        columns=columns,
        reduced=reduced,
        constants=np.zeros(2),
        variates=INDEPENDENT,
        is_centred=np.zeros(n_groups, dtype=bool),
        location=np.zeros((len(layout.size), q, p)),
        left_xx=layout.xx,
        left_xy=xy,
        left_zx=layout.zx,
        location_moment=np.zeros((n_groups, q, q, p, p)),
    )


def pattern_columns(reduced: Array, start: Array, size: Array) -> tuple[Array, Array]:
    """Mean and factors of the scatter of the reduced responses of each pattern.

    Parameters
    ----------
    reduced : (C, w) ndarray
        Clusters in the order of their patterns.
    start : (P + 1,) ndarray
    size : (P,) ndarray

    Returns
    -------
    column_start : (P + 1,) int64 ndarray
    columns : (K, w) ndarray
        For each pattern its mean, then vectors ``s`` with ``sum s s'`` the scatter about the mean.
    """
    width = reduced.shape[1]
    mean = np.add.reduceat(reduced, start[:-1], axis=0) / size[:, None]
    several = np.flatnonzero(size > 1)
    scatter = np.empty((len(several), width, width))
    for i, pattern in enumerate(several):
        deviations = reduced[start[pattern] : start[pattern + 1]] - mean[pattern]
        scatter[i] = deviations.T @ deviations
    values, vectors = eigen(scatter)
    factors = np.sqrt(np.maximum(values, 0.0))[:, None, :] * vectors  # the columns are the factors
    counts = np.ones(len(size), dtype=np.int64)
    counts[several] += width
    column_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns = np.empty((int(column_start[-1]), width))
    columns[column_start[:-1]] = mean
    for i, pattern in enumerate(several):
        columns[column_start[pattern] + 1 : column_start[pattern + 1]] = factors[i].T
    return column_start, columns


def covariance_slots(data: LinearData) -> tuple[Array, Array]:
    """Parameters (G, L) and terms (L, 2) of the covariance slots: standard deviations, then correlations."""
    q = len(data.term_names)
    terms = [(j, j) for j in range(q)]
    terms += [(j, k) for j in range(q) for k in range(j) if data.corr_index[0, j, k] >= 0]
    index = [
        [int(sd[j]) if j == k else int(corr[j, k]) for j, k in terms]
        for sd, corr in zip(data.sd_index, data.corr_index, strict=True)
    ]
    return np.array(index, dtype=np.int64), np.array(terms, dtype=np.int64)
