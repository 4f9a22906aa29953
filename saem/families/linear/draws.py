"""The E-step of the linear family: exact draws of the random effects, and their conditional expectation.

Given the data, ``theta_c = t_c + L xi_c`` with ``t_c`` the conditional mean, ``L L' = G`` the conditional variance and
``xi_c`` standard normal. The statistics are quadratic in ``xi``, so the inner loop over clusters only adds up
``xi``, ``xi xi'`` and ``xi w_c'`` (``w_c``: the reduced responses); the rest is done once for each pattern. The same
formulas with the sums' expectations give ``E[S | y]``. Where a group is centred, the sums of ``theta`` become those of
``phi = theta + W (beta - reference)`` at the end.
"""

from __future__ import annotations

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.linear.arrays import LinearArrays
from saem.families.linear.observed import conditional_matrices, read_precisions
from saem.families.linear.variates import INDEPENDENT, fill_normals, lattice_steps
from saem.families.normal_covariance import fill_covariance, multiply, read_group
from saem.system.jit import kernel
from saem.system.linalg import cholesky_semidefinite

Array = np.ndarray


@kernel
def add_normals(
    reduced: Array, rng: np.random.Generator, m: int, variates: int, first: Array, second: Array, cross: Array
) -> None:
    """Draw ``xi`` for all clusters of a pattern ``m`` times and write the means over the draws of its sums.

    Parameters
    ----------
    variates : int
        How the draws of a cluster depend on each other (`variates`).
    reduced : (N, H * q) ndarray
        Reduced responses of the pattern's clusters.
    first : (q,) ndarray, written
        Sum over clusters of ``xi``.
    second : (q, q) ndarray, written
        Sum over clusters of ``xi xi'``.
    cross : (q, H * q) ndarray, written
        Sum over clusters of ``xi w'``.
    """
    q, width = cross.shape
    scale = 1.0 / m
    if width == 1 and variates == INDEPENDENT:  # the common case, in scalars
        sum_1, sum_2, sum_w = 0.0, 0.0, 0.0
        for c in range(reduced.shape[0]):
            total = 0.0
            for _ in range(m):
                xi = rng.standard_normal()
                total += xi
                sum_2 += xi * xi
            sum_1 += total
            sum_w += total * reduced[c, 0]
        first[0] = sum_1 * scale
        second[0, 0] = sum_2 * scale
        cross[0, 0] = sum_w * scale
        return
    first[:] = 0.0
    second[:] = 0.0
    cross[:] = 0.0
    normal = np.empty(q)
    totals, steps, point = np.empty(q), np.empty(q), np.empty(q)
    lattice_steps(q, steps)
    for c in range(reduced.shape[0]):
        totals[:] = 0.0
        for i in range(m):
            fill_normals(variates, i, m, rng, steps, point, normal)
            for j in range(q):
                totals[j] += normal[j]
                for k in range(j + 1):
                    second[j, k] += normal[j] * normal[k]
        for j in range(q):
            first[j] += totals[j]
            for k in range(width):
                cross[j, k] += totals[j] * reduced[c, k]
    for j in range(q):
        first[j] *= scale
        for k in range(width):
            cross[j, k] *= scale
        for k in range(j + 1):
            second[j, k] *= scale
            second[k, j] = second[j, k]


@kernel
def add_random_part(
    root: Array, g: Array, score: Array, second: Array, work: Array, product: Array, total: Array
) -> None:
    """Add to ``total`` what ``L xi`` contributes to ``sum theta theta'``.

    ``score`` (q, q) is ``sum xi b'``; with the conditional means ``t = G b`` the contribution is
    ``L (sum xi xi') L' + L (sum xi b') G + its transpose``.
    """
    q = root.shape[0]
    multiply(score, g, work)
    multiply(root, work, product)
    multiply(root, second, work)
    for j in range(q):
        for k in range(q):
            value = product[j, k] + product[k, j]
            for i in range(q):
                value += work[j, i] * root[k, i]
            total[j, k] += value


@kernel
def fill_statistics(arrays: LinearArrays, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """Write the statistics (layout in `complete`): their mean over ``m`` draws, or for ``m = 0`` their expectation."""
    groups, q = arrays.sd_index.shape
    residual_groups, p = arrays.xy.shape
    yy_start = residual_groups * p
    moment_start = yy_start + residual_groups
    location_start = moment_start + groups * q * q
    for h in range(residual_groups):
        statistics[yy_start + h] = arrays.yy[h]
        for c in range(p):
            statistics[h * p + c] = arrays.left_xy[h, c]
    for i in range(moment_start, statistics.shape[0]):
        statistics[i] = 0.0

    sd = np.empty(q)
    first = np.empty(q)
    t = np.empty(q)
    theta = np.empty(q)
    b = np.empty(q)
    rho = np.empty((q, q))
    omega = np.empty((q, q))
    information = np.empty((q, q))
    u = np.empty((q, q))
    g = np.empty((q, q))
    root = np.empty((q, q))
    second = np.empty((q, q))
    work = np.empty((q, q))
    product = np.empty((q, q))
    total = np.empty((q, q))
    cross = np.empty((q, residual_groups * q))
    shift = np.empty((residual_groups, q))  # Z_h'X_h (beta - reference)
    precision = np.empty(residual_groups)
    read_precisions(arrays.residual_index, x, precision)
    for pattern in range(arrays.pattern_group.shape[0]):
        group = arrays.pattern_group[pattern]
        n = arrays.pattern_size[pattern]
        zz, zx, left_zx = arrays.zz[pattern], arrays.zx[pattern], arrays.left_zx[pattern]
        read_group(arrays.sd_index[group], arrays.corr_index[group], x, sd, rho)
        fill_covariance(sd, rho, omega)
        conditional_matrices(zz, precision, omega, information, u, g, work)
        cholesky_semidefinite(g, root, q)
        for h in range(residual_groups):
            for j in range(q):
                shift[h, j] = 0.0
                for c in range(p):
                    shift[h, j] += zx[h, j, c] * (x[arrays.mean_index[c]] - arrays.beta_reference[c])
        if m > 0:
            clusters = arrays.reduced[arrays.pattern_start[pattern] : arrays.pattern_start[pattern + 1]]
            add_normals(clusters, rng, m, arrays.variates, first, second, cross)
        else:
            first[:] = 0.0
            cross[:] = 0.0
            for j in range(q):
                for k in range(q):
                    second[j, k] = n if j == k else 0.0

        # conditional means, column by column
        total[:] = 0.0
        start = arrays.column_start[pattern]
        for column in range(start, arrays.column_start[pattern + 1]):
            is_mean = column == start
            weight = n if is_mean else 1.0
            for j in range(q):
                b[j] = 0.0
                for h in range(residual_groups):
                    value = arrays.columns[column, h * q + j]
                    b[j] += precision[h] * (value - shift[h, j] if is_mean else value)
            for j in range(q):
                t[j] = 0.0
                for k in range(q):
                    t[j] += g[j, k] * b[k]
                if is_mean:
                    theta[j] = n * t[j]
                for h in range(residual_groups):
                    statistics[yy_start + h] -= 2.0 * weight * t[j] * arrays.columns[column, h * q + j]
            for j in range(q):
                for k in range(q):
                    total[j, k] += weight * t[j] * t[k]

        # the random part
        for j in range(q):
            for k in range(q):
                u[j, k] = 0.0  # now sum xi b'
                for h in range(residual_groups):
                    u[j, k] += precision[h] * (cross[j, h * q + k] - first[j] * shift[h, k])
            for k in range(j + 1):
                theta[j] += root[j, k] * first[k]
                for h in range(residual_groups):
                    statistics[yy_start + h] -= 2.0 * root[j, k] * cross[k, h * q + j]
        add_random_part(root, g, u, second, work, product, total)

        if arrays.is_centred[group]:
            location = arrays.location[pattern]
            for j in range(q):
                t[j] = 0.0
                for c in range(p):
                    t[j] += location[j, c] * (x[arrays.mean_index[c]] - arrays.beta_reference[c])
            for j in range(q):
                for k in range(q):
                    total[j, k] += theta[j] * t[k] + t[j] * theta[k] + n * t[j] * t[k]
                for h in range(residual_groups):
                    statistics[yy_start + h] -= 2.0 * n * t[j] * arrays.columns[start, h * q + j]
            for j in range(q):
                theta[j] += n * t[j]
                for k in range(q):
                    at = location_start + ((group * q + j) * q + k) * p
                    for c in range(p):
                        statistics[at + c] += theta[j] * location[k, c]

        for j in range(q):
            for k in range(q):
                statistics[moment_start + (group * q + j) * q + k] += total[j, k]
        for h in range(residual_groups):
            for j in range(q):
                for k in range(q):
                    statistics[yy_start + h] += zz[h, j, k] * total[j, k]
                for c in range(p):
                    statistics[h * p + c] -= left_zx[h, j, c] * theta[j]


supply(contract.draw, LinearArrays, fill_statistics)
