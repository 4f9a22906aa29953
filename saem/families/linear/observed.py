"""Marginal log-likelihood of the linear family with its exact gradient and Hessian.

With ``d_h = 1 / sigma_h^2``, ``A = sum d_h Z_h'Z_h``, ``b = sum d_h Z_h'r_h`` (``r = y - X beta``) and
``U = (I + Omega A)^-1``, the conditional moments of a cluster's random effects are ``G = U Omega`` (variance) and
``t = G b`` (mean), and

    log f(y_c) = 1/2 sum n_h log d_h - 1/2 log|I + Omega A| - 1/2 sum d_h r_h'r_h + 1/2 b'G b - n/2 log 2 pi.

No covariance matrix is inverted, so the formulas hold for a singular Omega (a boundary estimate). The derivatives
use ``P = Z'V^-1 Z = A U``, ``e = Z'V^-1 r = U'b``, ``K = Z'V^-1 X = U'F`` (``F = Z'R^-1 X``) and
``a_h = Z_h'r_h - Z_h'Z_h t``; they follow from ``dG = U dOmega U'`` and ``dG = -G dA G``.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.linear.arrays import LinearArrays
from saem.families.linear.complete import add_row_terms
from saem.families.normal_covariance import (
    add_covariance_terms,
    fill_covariance,
    fill_derivatives,
    multiply,
    product_trace,
    read_group,
)
from saem.system.jit import kernel
from saem.system.linalg import cholesky, invert

Array = np.ndarray


@kernel
def is_covariance(sd: Array, rho: Array, scratch: Array) -> bool:
    """Whether all standard deviations are nonnegative and the correlation matrix is positive semidefinite."""
    q = sd.shape[0]
    for j in range(q):
        if sd[j] < 0.0:
            return False
        for k in range(q):
            scratch[j, k] = rho[j, k]
            if abs(rho[j, k]) > 1.0:
                return False
    return q < 3 or cholesky(scratch, q, 1e-12)


@kernel
def conditional_matrices(
    zz: Array, precision: Array, omega: Array, information: Array, u: Array, g: Array, work: Array
) -> float:
    """Write ``A``, ``U`` and ``G`` of a pattern (see the module's docstring); return ``|I + Omega A|``.

    Parameters
    ----------
    zz : (H, q, q) ndarray
    precision : (H,) ndarray
    omega : (q, q) ndarray
    information, u, g, work : (q, q) ndarray, written
    """
    q = omega.shape[0]
    for j in range(q):
        for k in range(q):
            total = 0.0
            for h in range(precision.shape[0]):
                total += precision[h] * zz[h, j, k]
            information[j, k] = total
    if q == 1:
        determinant = 1.0 + omega[0, 0] * information[0, 0]
        u[0, 0] = 1.0 / determinant
        g[0, 0] = omega[0, 0] / determinant
        return float(determinant)
    multiply(omega, information, work)
    for j in range(q):
        work[j, j] += 1.0
    determinant = invert(work, u, q)
    multiply(u, omega, g)
    for j in range(q):
        for k in range(j):
            mean = 0.5 * (g[j, k] + g[k, j])
            g[j, k] = mean
            g[k, j] = mean
    return float(determinant)


@kernel
def read_precisions(residual_index: Array, x: Array, precision: Array) -> None:
    """Write ``1 / sigma_h^2``."""
    for h in range(residual_index.shape[0]):
        sd = x[residual_index[h]]
        precision[h] = 1.0 / (sd * sd)


@kernel
def add_mean_terms(
    mean_index: Array,
    zx: Array,
    precision: Array,
    n: float,
    u: Array,
    g: Array,
    f: Array,
    k_matrix: Array,
    hessian: Array,
) -> None:
    """Write ``F`` and ``K`` (q, p) of a pattern and add its share of the Hessian of the means."""
    q, p = f.shape
    for j in range(q):
        for c in range(p):
            total = 0.0
            for h in range(precision.shape[0]):
                total += precision[h] * zx[h, j, c]
            f[j, c] = total
    for j in range(q):
        for c in range(p):
            total = 0.0
            for i in range(q):
                total += u[i, j] * f[i, c]
            k_matrix[j, c] = total
    for j in range(q):
        for c in range(p):
            total = 0.0
            for i in range(q):
                total += g[j, i] * f[i, c]
            for d in range(p):
                hessian[mean_index[d], mean_index[c]] += n * f[j, d] * total


@kernel
def add_determinant_terms(
    residual_index: Array,
    index: Array,
    zz: Array,
    precision: Array,
    slope: Array,
    n: float,
    u: Array,
    g: Array,
    derivative: Array,
    gradient: Array,
    hessian: Array,
) -> None:
    """Add the derivatives of ``-n/2 log|I + Omega A|`` that involve a residual precision."""
    residual_groups, q = zz.shape[0], zz.shape[1]
    ga = np.empty((residual_groups, q, q))
    for h in range(residual_groups):
        multiply(g, zz[h], ga[h])
    for h in range(residual_groups):
        sd_h = residual_index[h]
        trace = 0.0
        for i in range(q):
            trace += ga[h, i, i]
        gradient[sd_h] -= 0.5 * n * trace * slope[h]
        # the second derivative of the precision by sigma_h is 6 / sigma_h^4
        hessian[sd_h, sd_h] -= 3.0 * n * trace * precision[h] * precision[h]
        for k in range(residual_groups):
            hessian[sd_h, residual_index[k]] += 0.5 * n * product_trace(ga[h], ga[k]) * slope[h] * slope[k]
        for s in range(index.shape[0]):
            total = 0.0  # tr(U Omega_a U' A_h)
            for i in range(q):
                for j in range(q):
                    inner = 0.0
                    for k in range(q):
                        for m in range(q):
                            inner += u[k, i] * zz[h, k, m] * u[m, j]
                    total += derivative[s, i, j] * inner
            total *= -0.5 * n * slope[h]
            hessian[sd_h, index[s]] += total
            hessian[index[s], sd_h] += total


@kernel
def add_column(
    mean_index: Array,
    residual_index: Array,
    index: Array,
    zz: Array,
    zx: Array,
    precision: Array,
    slope: Array,
    weight: float,
    is_mean: bool,
    a: Array,
    u: Array,
    g: Array,
    f: Array,
    k_matrix: Array,
    derivative: Array,
    moments: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Add ``weight / 2 b'G b`` of one column with its derivatives, and ``weight e e'`` to ``moments``.

    ``a`` (H, q) holds ``Z_h'r_h`` and is overwritten by ``a_h = Z_h'r_h - Z_h'Z_h t``. Only the mean column moves with
    the means. What enters through Omega alone is left to `add_covariance_terms` by way of ``moments``.
    """
    residual_groups, q = a.shape
    b = np.empty(q)
    t = np.empty(q)
    e = np.empty(q)
    direction = np.empty(q)
    image = np.empty(q)
    value = 0.0
    for j in range(q):
        total = 0.0
        for h in range(residual_groups):
            total += precision[h] * a[h, j]
        b[j] = total
    for j in range(q):
        mean, score = 0.0, 0.0
        for i in range(q):
            mean += g[j, i] * b[i]
            score += u[i, j] * b[i]
        t[j] = mean
        e[j] = score
    for j in range(q):
        value += 0.5 * weight * b[j] * t[j]
        for i in range(q):
            moments[i, j] += weight * e[i] * e[j]
    for h in range(residual_groups):
        total = 0.0  # b_h't - t'A_h t / 2
        for j in range(q):
            fitted = 0.0
            for i in range(q):
                fitted += zz[h, j, i] * t[i]
            total += t[j] * (a[h, j] - 0.5 * fitted)
            a[h, j] -= fitted
        sd_h = residual_index[h]
        gradient[sd_h] += weight * total * slope[h]
        hessian[sd_h, sd_h] += 6.0 * weight * total * precision[h] * precision[h]
    for h in range(residual_groups):
        sd_h = residual_index[h]
        for j in range(q):
            total, other = 0.0, 0.0
            for i in range(q):
                total += g[j, i] * a[h, i]
                other += u[i, j] * a[h, i]
            direction[j] = total  # G a_h
            image[j] = other  # U'a_h
        for k in range(residual_groups):
            total = 0.0
            for j in range(q):
                total += direction[j] * a[k, j]
            hessian[sd_h, residual_index[k]] += weight * total * slope[h] * slope[k]
        for s in range(index.shape[0]):
            total = 0.0
            for i in range(q):
                for j in range(q):
                    total += image[i] * derivative[s, i, j] * e[j]
            total *= weight * slope[h]
            hessian[sd_h, index[s]] += total
            hessian[index[s], sd_h] += total
        if is_mean:
            for c in range(mean_index.shape[0]):
                total = 0.0
                for j in range(q):
                    total += zx[h, j, c] * t[j] + f[j, c] * direction[j]
                total *= -weight * slope[h]
                hessian[sd_h, mean_index[c]] += total
                hessian[mean_index[c], sd_h] += total
    if is_mean:
        for c in range(mean_index.shape[0]):
            total = 0.0
            for j in range(q):
                total += f[j, c] * t[j]
            gradient[mean_index[c]] -= weight * total
            for s in range(index.shape[0]):
                total = 0.0
                for i in range(q):
                    for j in range(q):
                        total += k_matrix[i, c] * derivative[s, i, j] * e[j]
                hessian[mean_index[c], index[s]] -= weight * total
                hessian[index[s], mean_index[c]] -= weight * total
    return value


@kernel
def observed_linear(arrays: LinearArrays, x: Array, gradient: Array, hessian: Array) -> float:
    """Marginal log-likelihood; see `saem.families.contract.observed`."""
    q = arrays.sd_index.shape[1]
    residual_groups, p = arrays.xy.shape
    mean_index, residual_index = arrays.mean_index, arrays.residual_index
    gradient[:] = 0.0
    hessian[:] = 0.0
    value: float = arrays.log_weight + arrays.constants[0]
    for h in range(residual_groups):
        value += add_row_terms(
            mean_index,
            residual_index[h],
            arrays.beta_reference,
            arrays.n_rows[h],
            arrays.xx[h],
            arrays.xy[h],
            arrays.yy[h],
            x,
            gradient,
            hessian,
        )
    if value == -math.inf:
        return value
    sd, rho = np.empty(q), np.empty((q, q))
    omega = np.empty((q, q))
    information = np.empty((q, q))
    u = np.empty((q, q))
    g = np.empty((q, q))
    work = np.empty((q, q))
    projection = np.empty((q, q))
    moments = np.empty((q, q))
    derivative = np.empty((arrays.slot_terms.shape[0], q, q))
    f = np.empty((q, p))
    k_matrix = np.empty((q, p))
    a = np.empty((residual_groups, q))
    precision = np.empty(residual_groups)
    slope = np.empty(residual_groups)
    read_precisions(residual_index, x, precision)
    for h in range(residual_groups):
        slope[h] = -2.0 * precision[h] / x[residual_index[h]]  # derivative of the precision by sigma_h

    previous = -1
    for pattern in range(arrays.pattern_group.shape[0]):
        group = arrays.pattern_group[pattern]
        n = arrays.pattern_size[pattern]
        index = arrays.slot_index[group]
        zz, zx = arrays.zz[pattern], arrays.zx[pattern]
        if group != previous:
            read_group(arrays.sd_index[group], arrays.corr_index[group], x, sd, rho)
            if not is_covariance(sd, rho, work):
                return -math.inf
            fill_covariance(sd, rho, omega)
            fill_derivatives(arrays.slot_terms, sd, rho, derivative)
            previous = group
        determinant = conditional_matrices(zz, precision, omega, information, u, g, work)
        if not determinant > 0.0:
            return -math.inf
        value -= 0.5 * n * math.log(determinant)
        multiply(information, u, projection)
        add_mean_terms(mean_index, zx, precision, n, u, g, f, k_matrix, hessian)
        add_determinant_terms(residual_index, index, zz, precision, slope, n, u, g, derivative, gradient, hessian)
        for j in range(q):
            for k in range(q):
                moments[j, k] = 0.0
        start = arrays.column_start[pattern]
        for column in range(start, arrays.column_start[pattern + 1]):
            is_mean = column == start
            for h in range(residual_groups):
                for j in range(q):
                    a[h, j] = arrays.columns[column, h * q + j]
                    if is_mean:
                        for c in range(p):
                            a[h, j] -= zx[h, j, c] * (x[mean_index[c]] - arrays.beta_reference[c])
            value += add_column(
                mean_index,
                residual_index,
                index,
                zz,
                zx,
                precision,
                slope,
                n if is_mean else 1.0,
                is_mean,
                a,
                u,
                g,
                f,
                k_matrix,
                derivative,
                moments,
                gradient,
                hessian,
            )
        add_covariance_terms(index, arrays.slot_terms, sd, rho, n, projection, moments, derivative, gradient, hessian)
    return value


supply(contract.observed, LinearArrays, observed_linear)
