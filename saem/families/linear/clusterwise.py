"""The linear family cluster by cluster: draws, statistics and complete-data likelihood of single ones.

Sums over clusters are what `draws` and `complete` work with, where the formulas are explained.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.linear.clusters import ClusterArrays
from saem.families.linear.complete import add_row_terms
from saem.families.linear.moments import fill_shift
from saem.families.linear.observed import conditional_matrices, read_precisions
from saem.families.normal_covariance import fill_covariance, read_group
from saem.families.normal_effects import effect_terms, scalar_effect_terms
from saem.system.jit import kernel
from saem.system.linalg import cholesky_semidefinite

Array = np.ndarray


@kernel
def draw_scalar(
    arrays: ClusterArrays, x: Array, rng: np.random.Generator, m: int, clusters: Array, statistics: Array
) -> None:
    """`draw_several` for a single random effect, in scalars."""
    p = arrays.mean_index.shape[0]
    residual_groups = arrays.residual_index.shape[0]
    start = residual_groups * (p + 1)
    own, zx, zz, pattern_of = arrays.own, arrays.zx, arrays.zz, arrays.pattern
    shift = np.empty((residual_groups, 1))
    precision = np.empty(residual_groups)
    read_precisions(arrays.residual_index, x, precision)
    last, group, variance, root = -1, -1, 0.0, 0.0
    for i in range(clusters.shape[0]):
        cluster = clusters[i]
        pattern = pattern_of[cluster]
        if pattern != last:
            last = pattern
            group = arrays.pattern_group[pattern]
            information = 0.0
            for h in range(residual_groups):
                information += precision[h] * zz[pattern, h, 0, 0]
            omega = x[arrays.sd_index[group, 0]] ** 2
            variance = omega / (1.0 + omega * information)
            root = math.sqrt(variance)
            fill_shift(arrays.mean_index, arrays.beta_reference, zx[pattern], x, shift)
        score = 0.0
        for h in range(residual_groups):
            score += precision[h] * (own[cluster, start + h] - shift[h, 0])
        mean = variance * score
        theta = mean
        square = mean * mean + variance
        if m > 0:
            theta = 0.0
            square = 0.0
            for _ in range(m):
                effect = mean + root * rng.standard_normal()
                theta += effect
                square += effect * effect
            theta /= m
            square /= m
        for h in range(residual_groups):
            for c in range(p):
                statistics[i, h * p + c] = own[cluster, h * p + c] - zx[pattern, h, 0, c] * theta
            at = residual_groups * p + h
            product = zz[pattern, h, 0, 0] * square - 2.0 * theta * own[cluster, start + h]
            statistics[i, at] = own[cluster, at] + product
        for at in range(start, statistics.shape[1]):
            statistics[i, at] = square if at == start + group else 0.0


@kernel
def draw_several(
    arrays: ClusterArrays, x: Array, rng: np.random.Generator, m: int, clusters: Array, statistics: Array
) -> None:
    """Statistics of some clusters; see `saem.families.contract.draw_clusters`.

    ``theta = t + L xi`` as in `draws`; what depends on the pattern alone is made when the pattern changes.
    """
    q = arrays.sd_index.shape[1]
    p = arrays.mean_index.shape[0]
    residual_groups = arrays.residual_index.shape[0]
    start = residual_groups * (p + 1)
    own, zx, zz, pattern_of = arrays.own, arrays.zx, arrays.zz, arrays.pattern
    sd, mean, theta = np.empty(q), np.empty(q), np.empty(q)
    score, normal, draw = np.empty(q), np.empty(q), np.empty(q)
    rho, omega, total = np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    information, u, work = np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    variance, root = np.empty((q, q)), np.empty((q, q))
    shift = np.empty((residual_groups, q))
    precision = np.empty(residual_groups)
    read_precisions(arrays.residual_index, x, precision)
    last, last_group = -1, -1
    for i in range(clusters.shape[0]):
        cluster = clusters[i]
        pattern = pattern_of[cluster]
        if pattern != last:
            last = pattern
            group = arrays.pattern_group[pattern]
            if group != last_group:
                last_group = group
                read_group(arrays.sd_index[group], arrays.corr_index[group], x, sd, rho)
                fill_covariance(sd, rho, omega)
            conditional_matrices(zz[pattern], precision, omega, information, u, variance, work)
            cholesky_semidefinite(variance, root, q)
            fill_shift(arrays.mean_index, arrays.beta_reference, zx[pattern], x, shift)
        for j in range(q):
            score[j] = 0.0
            for h in range(residual_groups):
                score[j] += precision[h] * (own[cluster, start + h * q + j] - shift[h, j])
        for j in range(q):
            mean[j] = 0.0
            for k in range(q):
                mean[j] += variance[j, k] * score[k]
        if m > 0:
            for j in range(q):
                theta[j] = 0.0
                for k in range(q):
                    total[j, k] = 0.0
            for _ in range(m):
                for j in range(q):
                    normal[j] = rng.standard_normal()
                    draw[j] = mean[j]
                    for k in range(j + 1):
                        draw[j] += root[j, k] * normal[k]
                    theta[j] += draw[j] / m
                    for k in range(j + 1):
                        total[j, k] += draw[j] * draw[k] / m
            for j in range(q):
                for k in range(j):
                    total[k, j] = total[j, k]
        else:
            for j in range(q):
                theta[j] = mean[j]
                for k in range(q):
                    total[j, k] = variance[j, k] + mean[j] * mean[k]
        for h in range(residual_groups):
            for c in range(p):
                value = own[cluster, h * p + c]
                for j in range(q):
                    value -= zx[pattern, h, j, c] * theta[j]
                statistics[i, h * p + c] = value
            at = residual_groups * p + h
            value = own[cluster, at]
            for j in range(q):
                value -= 2.0 * theta[j] * own[cluster, start + h * q + j]
                for k in range(q):
                    value += zz[pattern, h, j, k] * total[j, k]
            statistics[i, at] = value
        for at in range(start, statistics.shape[1]):
            statistics[i, at] = 0.0
        for j in range(q):
            for k in range(q):
                statistics[i, start + (last_group * q + j) * q + k] = total[j, k]


@kernel
def draw_some(
    arrays: ClusterArrays, x: Array, rng: np.random.Generator, m: int, clusters: Array, statistics: Array
) -> None:
    """Statistics of some clusters; see `saem.families.contract.draw_clusters`."""
    if arrays.sd_index.shape[1] == 1:
        draw_scalar(arrays, x, rng, m, clusters, statistics)
    else:
        draw_several(arrays, x, rng, m, clusters, statistics)


@kernel
def fill_row_moments(arrays: ClusterArrays, pattern: int, n: Array, xx: Array) -> None:
    """Write the number of rows (H,) and ``X_h'X_h`` (H, p, p) of a cluster of the pattern."""
    p = arrays.mean_index.shape[0]
    n[:] = 0.0
    xx[:] = 0.0
    for row in range(arrays.row_start[pattern], arrays.row_start[pattern + 1]):
        h = arrays.row_residual[row]
        n[h] += 1.0
        for c in range(p):
            for d in range(p):
                xx[h, c, d] += arrays.row_mean[row, c] * arrays.row_mean[row, d]


@kernel
def complete_some(
    arrays: ClusterArrays,
    clusters: Array,
    statistics: Array,
    x: Array,
    values: Array,
    gradients: Array,
    hessian: Array,
) -> None:
    """Complete-data log-likelihoods of some clusters; see `saem.families.contract.complete_clusters`."""
    q = arrays.sd_index.shape[1]
    p = arrays.mean_index.shape[0]
    residual_groups = arrays.residual_index.shape[0]
    mean_index, reference, slot_terms = arrays.mean_index, arrays.beta_reference, arrays.slot_terms
    gradients[:] = 0.0
    hessian[:] = 0.0
    n, xx = np.empty(residual_groups), np.empty((residual_groups, p, p))
    sd, rho, precision = np.empty(q), np.empty((q, q)), np.empty((q, q))
    derivative = np.empty((slot_terms.shape[0], q, q))
    last = -1
    for i in range(clusters.shape[0]):
        pattern = arrays.pattern[clusters[i]]
        group = arrays.pattern_group[pattern]
        own, gradient = statistics[i], gradients[i]
        if pattern != last:
            last = pattern
            fill_row_moments(arrays, pattern, n, xx)
        value = arrays.log_weight[clusters[i]]
        for h in range(residual_groups):
            if n[h] > 0.0:
                index = arrays.residual_index[h]
                xy, yy = own[h * p : h * p + p], own[residual_groups * p + h]
                value += add_row_terms(mean_index, index, reference, n[h], xx[h], xy, yy, x, gradient, hessian)
        start = residual_groups * (p + 1) + group * q * q
        if q == 1:
            value += scalar_effect_terms(arrays.sd_index[group, 0], 1.0, own[start], x, gradient, hessian)
        else:
            read_group(arrays.sd_index[group], arrays.corr_index[group], x, sd, rho)
            moments = own[start : start + q * q].reshape((q, q))
            if sd.min() < 0.0:
                value = -math.inf
            else:
                index_of = arrays.slot_index[group]
                value += effect_terms(
                    index_of, slot_terms, sd, rho, 1.0, moments, precision, derivative, gradient, hessian
                )
        values[i] = value


supply(contract.draw_clusters, ClusterArrays, draw_some)
supply(contract.complete_clusters, ClusterArrays, complete_some)
