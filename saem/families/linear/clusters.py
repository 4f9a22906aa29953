"""The data of the linear family cluster by cluster.

For algorithms that visit a few clusters in an iteration (mini-batch SAEM of Kuhn, Matias & Rebafka 2020) or need the
score of each (stochastic gradient with Fisher preconditioning of Baey, Delattre, Kuhn, Leger & Lemler 2023). The arrays
of `arrays` hold sums over the clusters of a pattern; these hold every cluster, with the same layout of the statistics
and the same centring of the responses, so that sums over clusters are what `draws` and `complete` work with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.families.linear.arrays import LinearArrays
from saem.families.linear.data import LinearData
from saem.families.linear.patterns import pattern_of_clusters, sum_by
from saem.families.linear.weights import log_jacobian, with_unit_weights

Array = np.ndarray


class ClusterArrays(NamedTuple):
    """Arrays of the cluster-wise functions; those above the line are shared with `LinearArrays`.

    ``own`` is one stretch of memory for each cluster, since a mini-batch visits them in any order.
    """

    mean_index: np.ndarray  # (p,) int64
    sd_index: np.ndarray  # (G, q) int64
    corr_index: np.ndarray  # (G, q, q) int64
    slot_index: np.ndarray  # (G, L) int64
    slot_terms: np.ndarray  # (L, 2) int64
    residual_index: np.ndarray  # (H,) int64
    beta_reference: np.ndarray  # (p,)
    pattern_group: np.ndarray  # (P,) int64
    zz: np.ndarray  # (P, H, q, q) Z'Z
    zx: np.ndarray  # (P, H, q, p) Z'X
    # ---
    pattern: np.ndarray  # (C,) int64, pattern of each cluster, in the order of the data
    log_weight: np.ndarray  # (C,) 1/2 sum log w of the prior weights, by whose roots the rows are scaled
    own: np.ndarray  # (C, H * (p + 1 + q)) X_h'y of all residual groups, then |y_h|^2, then Z_h'y
    row_start: np.ndarray  # (P + 1,) int64, first row of each pattern in the two arrays below
    row_mean: np.ndarray  # (R, p) mean design of the patterns' rows, one cluster for each pattern
    row_residual: np.ndarray  # (R,) int64, their residual groups


def build_clusters(data: LinearData, arrays: LinearArrays) -> ClusterArrays:
    """Arrays of the cluster-wise functions for a validated table; clusters are numbered as in ``data``."""
    log_weight, data = log_jacobian(data), with_unit_weights(data)
    p, q, h_count = data.mean_design.shape[1], data.random_design.shape[1], len(data.residual_index)
    pattern = pattern_of_clusters(
        data.mean_design, data.random_design, data.residual_group, data.cluster, data.cluster_group
    )
    n_clusters = len(pattern)
    slot = data.cluster * h_count + data.residual_group
    centred = data.response - data.mean_design @ arrays.beta_reference
    own = np.empty((n_clusters, h_count * (p + 1 + q)))

    def write(at: slice, weights: Array) -> None:
        own[:, at] = sum_by(slot, weights, n_clusters * h_count).reshape(n_clusters, h_count)

    for j in range(p):
        write(slice(j, h_count * p, p), data.mean_design[:, j] * centred)
    write(slice(h_count * p, h_count * (p + 1)), centred * centred)
    for j in range(q):
        write(slice(h_count * (p + 1) + j, None, q), data.random_design[:, j] * centred)

    representative = np.zeros(n_clusters, dtype=bool)
    representative[np.unique(pattern, return_index=True)[1]] = True
    rows = np.flatnonzero(representative[data.cluster])
    rows = rows[np.argsort(pattern[data.cluster[rows]], kind="stable")]
    counts = np.bincount(pattern[data.cluster[rows]], minlength=len(arrays.pattern_group))
    return ClusterArrays(
        mean_index=arrays.mean_index,
        sd_index=arrays.sd_index,
        corr_index=arrays.corr_index,
        slot_index=arrays.slot_index,
        slot_terms=arrays.slot_terms,
        residual_index=arrays.residual_index,
        beta_reference=arrays.beta_reference,
        pattern_group=arrays.pattern_group,
        zz=arrays.zz,
        zx=arrays.zx,
        pattern=pattern.astype(np.int64),
        log_weight=log_weight,
        own=own,
        row_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        row_mean=np.ascontiguousarray(data.mean_design[rows]),
        row_residual=np.ascontiguousarray(data.residual_group[rows], dtype=np.int64),
    )
