"""The restricted log-likelihood (REML) of the linear family with its exact gradient and Hessian.

``l_R(beta, v) = l(beta, v) - 1/2 log|K(v)| + r/2 log 2 pi`` with ``K = X'V^-1 X``, maximised over ``beta`` too
(Patterson & Thompson 1971; Harville 1974). Here ``X`` holds ``r`` columns that span those of the free means: a fixed
mean costs no degree of freedom, and of columns that depend on each other some are left out, as lme4 does.

The derivatives of ``K`` use the notation of `observed`; with
``D_h = Z_h'X_h - Z_h'Z_h G F``:

    K_a      = -K'Omega_a K                        K_ab = K'(Omega_a P Omega_b + Omega_b P Omega_a - Omega_ab) K
    K_h      = X_h'X_h - (S + S') + F'G A_h G F    (S = F_h'G F)
    K_hk     = -(D_h'G D_k + D_k'G D_h)            K_ha = -(D_h'U Omega_a K + its transpose)

summed over clusters, where ``a, b`` are parameters of Omega and ``h, k`` residual precisions.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.linear.arrays import LinearArrays
from saem.families.linear.observed import conditional_matrices, observed_linear, read_precisions
from saem.families.normal_covariance import (
    fill_covariance,
    fill_derivatives,
    multiply,
    read_group,
    second_trace,
)
from saem.system.jit import kernel
from saem.system.linalg import cholesky, cholesky_solve

Array = np.ndarray
LOG_2PI = math.log(2.0 * math.pi)


@kernel
def small_product(a: Array, b: Array) -> Array:
    """The matrix product, for a few rows and columns (BLAS would need contiguous arrays)."""
    out = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):
                out[i, j] += a[i, k] * b[k, j]
    return out


@kernel
def crossed_product(a: Array, b: Array) -> Array:
    """``a' b``. (A transposed array is of another type, for which Numba would compile `small_product` once more.)"""
    out = np.zeros((a.shape[1], b.shape[1]))
    for i in range(a.shape[1]):
        for k in range(a.shape[0]):
            for j in range(b.shape[1]):
                out[i, j] += a[k, i] * b[k, j]
    return out


@kernel
def sandwiched(a: Array, b: Array) -> Array:
    """``a b a'``."""
    left = small_product(a, b)
    out = np.zeros((a.shape[0], a.shape[0]))
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(a.shape[0]):
                out[i, j] += left[i, k] * a[j, k]
    return out


@kernel
def add_scaled(scale: float, matrix: Array, out: Array) -> None:
    """Add a multiple of a matrix. (Of an expression of arrays Numba compiles the text of an error message, too.)"""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            out[i, j] += scale * matrix[i, j]


@kernel
def inner_product(a: Array, b: Array) -> float:
    """``tr(a' b)``."""
    total = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            total += a[i, j] * b[i, j]
    return total


@kernel
def choose_columns(matrix: Array, basis: Array, out: Array) -> None:
    """Write some of the columns of a matrix."""
    for i in range(matrix.shape[0]):
        for j in range(basis.shape[0]):
            out[i, j] = matrix[i, basis[j]]


@kernel
def restricted_linear(arrays: LinearArrays, x: Array, gradient: Array, hessian: Array) -> float:
    """Restricted log-likelihood; see `saem.families.contract.restricted`."""
    value = observed_linear(arrays, x, gradient, hessian)
    if value == -math.inf:
        return value
    q = arrays.sd_index.shape[1]
    residual_groups, p = arrays.xy.shape[0], arrays.basis.shape[0]
    slots = arrays.slot_terms.shape[0]
    n_parameters = x.shape[0]
    omega = np.empty((q, q))
    information = np.empty((q, q))
    u = np.empty((q, q))
    g = np.empty((q, q))
    work = np.empty((q, q))
    projection = np.empty((q, q))
    derivative = np.empty((slots, q, q))
    sds, rho = np.empty(q), np.empty((q, q))
    precision = np.empty(residual_groups)
    slope = np.empty(residual_groups)
    read_precisions(arrays.residual_index, x, precision)
    total = np.zeros((p, p))  # K
    first = np.zeros((n_parameters, p, p))  # derivatives of K by parameter
    by_precision = np.empty((residual_groups, p, p))  # derivatives of K by residual precision
    zx = np.empty((residual_groups, q, p))
    for h in range(residual_groups):
        slope[h] = -2.0 * precision[h] / x[arrays.residual_index[h]]
        for i in range(p):
            for j in range(p):
                by_precision[h, i, j] = arrays.xx[h, arrays.basis[i], arrays.basis[j]]
        add_scaled(precision[h], by_precision[h], total)

    inverse = np.empty((p, p))
    column = np.empty(p)
    for sweep in range(2):  # K and its first derivatives; then the second ones against the inverse of K
        for pattern in range(arrays.pattern_group.shape[0]):
            group = arrays.pattern_group[pattern]
            n = arrays.pattern_size[pattern]
            index = arrays.slot_index[group]
            read_group(arrays.sd_index[group], arrays.corr_index[group], x, sds, rho)
            fill_covariance(sds, rho, omega)
            fill_derivatives(arrays.slot_terms, sds, rho, derivative)
            conditional_matrices(arrays.zz[pattern], precision, omega, information, u, g, work)
            multiply(information, u, projection)
            f = np.zeros((q, p))
            for h in range(residual_groups):
                choose_columns(arrays.zx[pattern, h], arrays.basis, zx[h])
                add_scaled(precision[h], zx[h], f)
            gf = small_product(g, f)
            k_matrix = crossed_product(u, f)
            if sweep == 0:
                add_scaled(-n, crossed_product(f, gf), total)
                for s in range(slots):
                    add_scaled(-n, crossed_product(k_matrix, small_product(derivative[s], k_matrix)), first[index[s]])
                for h in range(residual_groups):
                    half = crossed_product(zx[h], gf)
                    block = crossed_product(gf, small_product(arrays.zz[pattern, h], gf))
                    for i in range(p):
                        for j in range(p):
                            by_precision[h, i, j] -= n * (half[i, j] + half[j, i] - block[i, j])
                continue
            kik = sandwiched(k_matrix, inverse)
            for a in range(slots):
                for b in range(slots):
                    trace = -second_trace(arrays.slot_terms, a, b, sds, rho, kik)
                    inner = small_product(small_product(derivative[a], projection), derivative[b])
                    trace += 2.0 * inner_product(kik, inner)
                    hessian[index[a], index[b]] -= 0.5 * n * trace
            d = np.empty((residual_groups, q, p))
            for h in range(residual_groups):
                within = small_product(arrays.zz[pattern, h], gf)
                for i in range(q):
                    for j in range(p):
                        d[h, i, j] = zx[h, i, j] - within[i, j]
            for h in range(residual_groups):
                sd_h = arrays.residual_index[h]
                for s in range(slots):
                    inner = small_product(small_product(u, derivative[s]), k_matrix)
                    trace = -2.0 * inner_product(small_product(d[h], inverse), inner) * slope[h]
                    hessian[sd_h, index[s]] -= 0.5 * n * trace
                    hessian[index[s], sd_h] -= 0.5 * n * trace
                for k in range(residual_groups):
                    trace = -2.0 * inner_product(small_product(d[h], inverse), small_product(g, d[k]))
                    hessian[sd_h, arrays.residual_index[k]] -= 0.5 * n * trace * slope[h] * slope[k]
        if sweep == 0:
            factor = np.zeros((p, p))
            add_scaled(1.0, total, factor)
            if not cholesky(factor, p, 0.0):
                return -math.inf
            for j in range(p):
                value -= math.log(factor[j, j])
                for i in range(p):
                    column[i] = 1.0 if i == j else 0.0
                cholesky_solve(factor, p, column)
                for i in range(p):
                    inverse[i, j] = column[i]
    value += 0.5 * p * LOG_2PI + arrays.constants[1]

    for h in range(residual_groups):
        sd_h = arrays.residual_index[h]
        add_scaled(slope[h], by_precision[h], first[sd_h])
        # the second derivative of the precision by sigma_h is 6 / sigma_h^4
        hessian[sd_h, sd_h] -= 3.0 * precision[h] * precision[h] * inner_product(inverse, by_precision[h])
    for a in range(n_parameters):
        gradient[a] -= 0.5 * inner_product(inverse, first[a])
        left = small_product(small_product(inverse, first[a]), inverse)
        for b in range(n_parameters):
            hessian[a, b] += 0.5 * inner_product(left, first[b])
    return float(value)


supply(contract.restricted, LinearArrays, restricted_linear)
