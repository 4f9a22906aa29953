"""The data of the family of generalised linear mixed models as arrays.

Model: the outcome of row ``r`` of cluster ``c`` has the linear predictor ``eta_r = o_r + x_r' beta + z_r' theta_c``,
with ``theta_c ~ N(0, Omega_g)`` for the variance group ``g`` of the cluster and known offsets ``o_r``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BINOMIAL, POISSON = 0, 1  # Bernoulli outcomes are binomial, of one trial

Array = np.ndarray


class GlmmArrays(NamedTuple):
    """Arrays of the family (N rows, C clusters, p mean columns, q terms, G variance groups, L covariance slots).

    The type by which Numba chooses this family's functions of the contract.
    """

    outcome: int  # BINOMIAL (logit link) or POISSON (log link)
    y: Array  # (N,) successes or counts
    trials: Array  # (N,) of a binomial outcome; one elsewhere
    constant: Array  # (N,) the part of the log-density that depends on no parameter
    offset: Array  # (N,) known part of the linear predictor
    design: Array  # (N, p) X
    random: Array  # (N, q) Z
    first: Array  # (C + 1,) int64, rows of cluster c: first[c] to first[c + 1]
    group: Array  # (C,) int64, variance group of each cluster
    n_clusters: Array  # (G,) float64, clusters of each variance group
    mean_index: Array  # (p,) int64, parameter of each column of the mean design
    sd_index: Array  # (G, q) int64, parameter of each standard deviation of a random effect
    corr_index: Array  # (G, q, q) int64, parameter of each correlation, -1 where there is none
    slot_index: Array  # (G, L) int64, parameter of each covariance slot: the q SDs, then the correlations
    slot_terms: Array  # (L, 2) int64, the two terms of a slot (equal for a standard deviation)


def build_arrays(
    outcome: int,
    y: Array,
    trials: Array,
    offset: Array,
    design: Array,
    random: Array,
    cluster: Array,
    group: Array,
    mean_index: Sequence[int] | Array,
    sd_index: Array,
    corr_index: Array,
) -> GlmmArrays:
    """The arrays for rows in any order.

    Parameters
    ----------
    outcome : int
        `BINOMIAL` or `POISSON`.
    y, trials, offset : (N,) ndarray
    design : (N, p) ndarray
    random : (N, q) ndarray
    cluster : (N,) int ndarray
        Cluster of each row, 0 to C - 1.
    group : (C,) int ndarray
        Variance group of each cluster, 0 to G - 1.
    mean_index : (p,) int
    sd_index : (G, q) int ndarray
    corr_index : (G, q, q) int ndarray
        -1 where there is no correlation.
    """
    from scipy.special import gammaln  # the class alone is imported with the cache of compiled code

    order = np.argsort(cluster, kind="stable")
    sizes = np.bincount(cluster, minlength=len(group))
    groups, q = np.shape(sd_index)
    terms = [(j, j) for j in range(q)]
    terms += [(j, k) for j in range(q) for k in range(j) if groups and corr_index[0, j, k] >= 0]
    slots = [[sd_index[g, j] if j == k else corr_index[g, j, k] for j, k in terms] for g in range(groups)]
    y, trials = np.asarray(y, dtype=float)[order], np.asarray(trials, dtype=float)[order]
    chosen = gammaln(trials + 1.0) - gammaln(y + 1.0) - gammaln(np.maximum(trials - y, 0.0) + 1.0)
    return GlmmArrays(
        outcome=outcome,
        y=y,
        trials=trials,
        constant=chosen if outcome == BINOMIAL else -gammaln(y + 1.0),
        offset=np.asarray(offset, dtype=float)[order],
        design=np.ascontiguousarray(np.asarray(design, dtype=float)[order]),
        random=np.ascontiguousarray(np.asarray(random, dtype=float)[order]),
        first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        group=np.asarray(group, dtype=np.int64),
        n_clusters=np.bincount(group, minlength=groups).astype(float),
        mean_index=np.asarray(mean_index, dtype=np.int64),
        sd_index=np.asarray(sd_index, dtype=np.int64),
        corr_index=np.ascontiguousarray(corr_index, dtype=np.int64),
        slot_index=np.array(slots, dtype=np.int64).reshape(groups, len(terms)),
        slot_terms=np.array(terms, dtype=np.int64).reshape(len(terms), 2),
    )


def n_statistics(arrays: GlmmArrays) -> int:
    """Length of the vector of complete-data statistics; see `complete`."""
    p, (groups, q) = arrays.design.shape[1], arrays.sd_index.shape
    return int(1 + p + p * (p + 1) // 2 + groups * q * q)
