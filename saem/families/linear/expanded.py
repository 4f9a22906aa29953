"""The linear family with working parameters, for EM and SAEM by parameter expansion.

    y_r = x_r' beta + z_r' A_g theta_c + e_r,   theta_c ~ N(0, Omega_g)

with a working matrix ``A_g`` for each variance group, which the data do not determine (PX-EM: Liu, Rubin & Wu 1998,
section 4.2; PX-SAEM: Lavielle & Meza 2007). The E-step is that of the model, at ``A = I``. The M-step maximises over
``A`` too, which makes up for what the imputed random effects have wrong in size; the reduction
``Omega <- A Omega A', A <- I`` leaves the law of the responses as it was.

Given the random effects, ``z_r' A_g theta_c`` is linear in ``A``: the M-step is that of a linear model with more
columns in its mean design, ``z_rj theta_ck`` for each working parameter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.linear.arrays import LinearArrays
from saem.families.linear.complete import add_row_terms
from saem.families.linear.moments import effect_moments, fill_shift
from saem.families.linear.observed import read_precisions
from saem.families.normal_covariance import fill_covariance, read_group
from saem.families.normal_effects import add_effect_terms
from saem.system.jit import entry, kernel

Array = np.ndarray


class ExpandedArrays(NamedTuple):
    """Arrays of the expanded model, which has W working parameters.

    The statistics are in this order: for each residual group ``X'y`` (p + W) and ``X'X`` (p + W, p + W), of the mean
    design with the columns of the working parameters; then ``sum theta theta'`` for each variance group (q, q).
    """

    linear: LinearArrays
    column_index: np.ndarray  # (p + W,) int64, parameter of each column, the working ones last
    column_reference: np.ndarray  # (p + W,) the reference of the means, then zeros
    work_column: np.ndarray  # (G, q, q) int64, column of each entry of A_g; -1 where it is zero


@kernel
def draw_expanded(arrays: ExpandedArrays, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """Write the statistics: their mean over ``m`` draws, or for ``m = 0`` their expectation; at ``A = I``."""
    data = arrays.linear
    q = data.sd_index.shape[1]
    residual_groups, p = data.xy.shape
    size = arrays.column_index.shape[0]
    stretch = size * (size + 1)
    moment_start = residual_groups * stretch
    for i in range(statistics.shape[0]):
        statistics[i] = 0.0
    for h in range(residual_groups):
        for c in range(p):
            statistics[h * stretch + c] = data.xy[h, c]
            for d in range(p):
                statistics[h * stretch + (c + 1) * size + d] = data.xx[h, c, d]

    sd, theta, normals, t = np.empty(q), np.empty(q), np.empty(q), np.empty(q)
    rho, omega, total, information = np.empty((q, q)), np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    u, g, root = np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    second, work, product = np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    noise, cross = np.empty((q, residual_groups * q)), np.empty((q, residual_groups * q))
    shift = np.empty((residual_groups, q))
    precision = np.empty(residual_groups)
    read_precisions(data.residual_index, x, precision)
    for pattern in range(data.pattern_group.shape[0]):
        group = data.pattern_group[pattern]
        zz, zx = data.zz[pattern], data.zx[pattern]
        read_group(data.sd_index[group], data.corr_index[group], x, sd, rho)
        fill_covariance(sd, rho, omega)
        fill_shift(data.mean_index, data.beta_reference, zx, x, shift)
        effect_moments(
            zz,
            shift,
            data.columns,
            data.column_start[pattern],
            data.column_start[pattern + 1],
            data.reduced[data.pattern_start[pattern] : data.pattern_start[pattern + 1]],
            data.pattern_size[pattern],
            precision,
            omega,
            rng,
            m,
            information,
            u,
            g,
            root,
            second,
            work,
            product,
            noise,
            normals,
            t,
            theta,
            total,
            cross,
        )
        for j in range(q):
            for k in range(q):
                statistics[moment_start + (group * q + j) * q + k] += total[j, k]
                a = arrays.work_column[group, j, k]  # of z_j theta_k
                if a < 0:
                    continue
                for h in range(residual_groups):
                    start = h * stretch
                    statistics[start + a] += cross[k, h * q + j]
                    for c in range(p):
                        value = zx[h, j, c] * theta[k]
                        statistics[start + (c + 1) * size + a] += value
                        statistics[start + (a + 1) * size + c] += value
                    for other_j in range(q):
                        for other_k in range(q):
                            b = arrays.work_column[group, other_j, other_k]
                            if b >= 0:
                                statistics[start + (a + 1) * size + b] += zz[h, j, other_j] * total[k, other_k]


@kernel
def complete_expanded(arrays: ExpandedArrays, statistics: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """Complete-data log-likelihood of the expanded model; see `saem.families.contract.complete`."""
    data = arrays.linear
    size = arrays.column_index.shape[0]
    stretch = size * (size + 1)
    gradient[:] = 0.0
    hessian[:] = 0.0
    value = data.log_weight
    for h in range(data.residual_index.shape[0]):
        start = h * stretch
        value += add_row_terms(
            arrays.column_index,
            data.residual_index[h],
            arrays.column_reference,
            data.n_rows[h],
            statistics[start + size : start + stretch].reshape((size, size)),
            statistics[start : start + size],
            data.yy[h],
            x,
            gradient,
            hessian,
        )
    return value + add_effect_terms(
        data.sd_index,
        data.corr_index,
        data.slot_index,
        data.slot_terms,
        data.n_clusters,
        statistics[data.residual_index.shape[0] * stretch :],
        x,
        gradient,
        hessian,
    )


@entry
def reduce_expanded(arrays: ExpandedArrays, x: Array) -> None:
    """``Omega <- A Omega A'`` and ``A <- I``, in place."""
    data = arrays.linear
    groups, q = data.sd_index.shape
    before = x.copy()  # groups may share a standard deviation
    sd = np.empty(q)
    rho, omega, a, product = np.empty((q, q)), np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    for group in range(groups):
        read_group(data.sd_index[group], data.corr_index[group], before, sd, rho)
        fill_covariance(sd, rho, omega)
        for j in range(q):
            for k in range(q):
                column = arrays.work_column[group, j, k]
                a[j, k] = 0.0
                if column >= 0:
                    a[j, k] = before[arrays.column_index[column]]
                    x[arrays.column_index[column]] = 1.0 if j == k else 0.0
        for j in range(q):
            for k in range(q):
                product[j, k] = 0.0
                for i in range(q):
                    product[j, k] += a[j, i] * omega[i, k]
        for j in range(q):
            for k in range(j + 1):
                total = 0.0
                for i in range(q):
                    total += product[j, i] * a[k, i]
                omega[j, k] = total
        for j in range(q):
            sd[j] = math.sqrt(max(omega[j, j], 0.0))
            x[data.sd_index[group, j]] = sd[j]
            for k in range(j):
                index = data.corr_index[group, j, k]
                if index >= 0 and sd[j] > 0.0 and sd[k] > 0.0:  # that of an absent effect means nothing
                    x[index] = min(max(omega[j, k] / (sd[j] * sd[k]), -1.0), 1.0)


supply(contract.draw, ExpandedArrays, draw_expanded)
supply(contract.complete, ExpandedArrays, complete_expanded)
