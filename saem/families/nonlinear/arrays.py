"""The data of the nonlinear family as arrays, with its compiled functions of the rows of a cluster.

Model: with the coordinates ``z_c = m_c(x) + theta_c`` of the individual parameters of cluster ``c``, on the scales on
which they are normal, ``theta_c ~ N(0, Omega_g)`` for the variance group ``g`` of the cluster, each row has a density
``p(y_r | z_c; x)``, an expression of the model. The centres are sums ``m_cj = sum_k a_k(x) b_kc`` of *terms*: functions
of the population parameters times columns that are constant in a cluster.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.expressions.program import Program

Array = np.ndarray

REAL, POSITIVE, BETWEEN = 0, 1, 2  # how a parameter enters an expansion: as it is, its logarithm, its logit


class RowFunctions(NamedTuple):
    """Sums over the rows of a cluster, as C functions by their addresses; for `saem.system.jit.call_row_sums`.

    Variables of derivatives are population parameters of the rows and then, where it says so, the d coordinates.
    """

    value: int  # the log-density
    curvature: int  # the log-density, its gradient and the lower triangle of its Hessian, by both
    score: int  # log-density, gradient, lower triangle of the information, and squares of the scales
    curved: Array  # (v,) int64, the parameters of `curvature`
    scored: Array  # (w,) int64, those of `score`, as positions in `NonlinearArrays.expanded`
    by_coordinates: int  # 1 where `score` has derivatives by the coordinates, too
    n_squares: int  # of the scales
    is_observed: int  # 1 where the information of `score` is minus the Hessian, and not its expectation


class NonlinearArrays(NamedTuple):
    """Arrays of the family (N rows, C clusters, d effects, K terms, G variance groups, L covariance slots).

    The type by which Numba chooses this family's functions of the contract: one for all models.
    """

    rows: RowFunctions
    slopes: Program  # log-density of a row and its gradient by the coordinates
    bends: Program  # the same, and the lower triangle of its Hessian
    terms: Program  # the K functions of the parameters in the centres
    term_values: int  # the same as a C function
    columns: Array  # (N, k) of the rows, one cluster after the other
    first: Array  # (C + 1,) int64, rows of cluster c: first[c] to first[c + 1]
    term_effect: Array  # (K,) int64, the effect in whose centre a term is
    basis: Array  # (C, K) the columns' part of the terms
    gram: Array  # (G, K, K) sums of products of these, by variance group
    centred: Array  # (d,) int64, 1 for coordinates that are the latent data, 0 where the random effects are
    expanded: Array  # (p,) int64, parameters that are expanded, and those of the terms
    kind: Array  # (p,) int64, how
    low: Array  # (p,) their bounds
    high: Array  # (p,)
    scale_index: Array  # (s,) int64, the parameters of residual scales that are no part of an expansion
    scale_rows: Array  # (C, s) rows with each of them
    group: Array  # (C,) int64, variance group of each cluster
    n_clusters: Array  # (G,) float64, clusters of each variance group
    sd_index: Array  # (G, d) int64, parameter of each standard deviation of a random effect; -1 where it is absent
    corr_index: Array  # (G, d, d) int64, parameter of each correlation, -1 where there is none
    n_effects: Array  # (G,) int64, effects of a cluster: all d, or where rows read few, those that are there
    read: Array  # (N, m) int64, the few effects that each row reads; (N, 0) where it may read all
    slot_index: Array  # (G, L) int64, parameter of each covariance slot: the d SDs, then the correlations
    slot_terms: Array  # (L, 2) int64, the two effects of a slot (equal for a standard deviation)


def n_statistics(p: int, s: int, groups: int, terms: int, d: int) -> int:
    """Length of the vector of complete-data statistics; see `saem.families.nonlinear.complete`."""
    return 1 + p + p * (p + 1) // 2 + s + groups * (terms * d + d * d)
