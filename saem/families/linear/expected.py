"""The expected information of the linear family: Fisher's, and the same in a metric of unit variance.

With ``V = Z Omega Z' + R`` it is ``X'V^-1 X`` for the means and ``1/2 tr(V^-1 V_i V^-1 V_j)`` for the variances. Its
rank does not depend on the metric: with ``V = I`` it is defined at all parameters, and tells what the
design determines.
"""

from __future__ import annotations

import numpy as np

from saem.families.linear.arrays import LinearArrays

Array = np.ndarray

SPANNED = 1e-10  # of the information about a variance: less than this is left where the means span its random effects


def unit_information(arrays: LinearArrays, x: Array) -> Array:
    """Expected information (n, n) of all parameters at ``x`` (n,), with ``V = I``."""
    groups, q = arrays.sd_index.shape
    return information_in(arrays, x, np.zeros((groups, q, q)), np.ones(len(arrays.residual_index)))


def fisher_information(arrays: LinearArrays, x: Array) -> Array:
    """Fisher's information (n, n) of all parameters at ``x`` (n,)."""
    sd = x[arrays.sd_index]
    correlation = np.where(arrays.corr_index >= 0, x[arrays.corr_index], 0.0) + np.eye(sd.shape[1])
    return information_in(arrays, x, sd[:, :, None] * sd[:, None, :] * correlation, x[arrays.residual_index] ** -2.0)


def restricted_unit_information(arrays: LinearArrays, x: Array) -> Array:
    """What the restricted likelihood determines at ``x`` (n,): `unit_information` after the free means are taken out.

    Of the variances it is ``1/2 tr(M V_i M V_j)`` with the projection ``M = I - X (X'X)^-1 X'`` (Harville 1977). Random
    effects that the means span, one for every treatment say, leave nothing of their variance.
    """
    groups, q = arrays.sd_index.shape
    p = len(arrays.mean_index)
    pairs = [(j, k) for j in range(q) for k in range(j + 1)]
    units = np.zeros((len(pairs), q, q))
    for i, (j, k) in enumerate(pairs):
        units[i, j, k] = units[i, k, j] = 1.0
    inverse = np.linalg.pinv(arrays.xx.sum(axis=0)[np.ix_(arrays.basis, arrays.basis)], hermitian=True)
    a, zx = arrays.zz.sum(axis=1), arrays.zx[:, :, :, arrays.basis]
    f, size = zx.sum(axis=1), arrays.pattern_size
    xx = arrays.xx[:, arrays.basis[:, None], arrays.basis]
    spans = []  # X'V_i X
    between = np.zeros((len(pairs) * groups + len(xx),) * 2)  # tr (X'X)^-1 X'V_i V_j X
    errors = len(pairs) * groups + np.arange(len(xx))
    for g in range(groups):
        here = arrays.pattern_group == g
        at = g * len(pairs) + np.arange(len(pairs))
        left = np.einsum("ric,aij->racj", f[here], units)  # X'Z U_a
        spans += list(np.einsum("r,racj,rjd->acd", size[here], left, f[here], optimize=True))
        inner = np.einsum("r,racj,rjk,rbdk->abcd", size[here], left, a[here], left, optimize=True)
        between[np.ix_(at, at)] = np.einsum("abcd,cd->ab", inner, inverse)
        cross = np.einsum("r,racj,rhjd,cd->ah", size[here], left, zx[here], inverse, optimize=True)
        between[np.ix_(at, errors)], between[np.ix_(errors, at)] = cross, cross.T
    spans += list(xx)
    between[errors, errors] = np.einsum("hcd,cd->h", xx, inverse)
    projected = np.array([span @ inverse for span in spans])
    within = np.einsum("acd,bdc->ab", projected, projected)
    whole = unit_information(arrays, x)
    variances = moments_by_parameter(arrays, x, pairs)[p:]
    left_over = whole - variances.T @ (between - 0.5 * within) @ variances
    # rounding of what the means span is nothing that the data determine
    before, after = np.diag(whole), np.diag(left_over)
    gone = ~np.isin(np.arange(len(x)), arrays.mean_index) & (after <= SPANNED * before)
    left_over[gone] = left_over[:, gone] = 0.0
    return np.asarray(left_over)


def information_in(arrays: LinearArrays, x: Array, omega: Array, precision: Array) -> Array:
    """Expected information (n, n) at ``x`` in the metric of a covariance.

    Parameters
    ----------
    omega : (G, q, q) ndarray
        Of the random effects.
    precision : (H,) ndarray
        Of the residuals.
    """
    groups, q = arrays.sd_index.shape
    residual_groups, p = arrays.xy.shape
    pairs = [(j, k) for j in range(q) for k in range(j + 1)]
    n_omega = len(pairs) * groups
    moment = np.zeros((p + n_omega + residual_groups,) * 2)  # of beta, Omega, sigma^2
    errors = slice(p + n_omega, None)
    units = np.zeros((len(pairs), q, q))
    for i, (j, k) in enumerate(pairs):
        units[i, j, k] = units[i, k, j] = 1.0
    moment[:p, :p] = np.einsum("h,hij->ij", precision, arrays.xx)
    moment[errors, errors] = 0.5 * np.diag(precision**2 * arrays.n_rows)
    for g in range(groups):
        at = slice(p + g * len(pairs), p + (g + 1) * len(pairs))
        here = arrays.pattern_group == g
        weights, a_h = arrays.pattern_size[here], arrays.zz[here]
        size = weights[:, None, None]
        a = np.einsum("h,rhij->rij", precision, a_h)
        within = a_h  # Z'V^-1 E_h V^-1 Z = d_h^2 U'A_h U, where A U = Z'V^-1 Z
        if omega[g].any():  # without it, U = 1
            f = np.einsum("h,rhic->ric", precision, arrays.zx[here])
            u = np.linalg.inv(np.eye(q) + omega[g] @ a)
            conditional = u @ omega[g]
            moment[:p, :p] -= summed_products(size * f, conditional @ f)
            shrunken = conditional[:, None] @ a_h
            once = np.einsum("r,rhii->h", weights, shrunken)
            twice = summed_traces(size[:, None] * shrunken, shrunken)
            moment[errors, errors] += 0.5 * np.outer(precision**2, precision**2) * twice - np.diag(precision**3 * once)
            within = np.swapaxes(u, 1, 2)[:, None] @ a_h @ u[:, None]
            a = a @ u
        left = a[:, None] @ units
        moment[at, at] = 0.5 * summed_traces(size[:, None] * left, left)
        over_clusters = (size[:, None] * within).sum(axis=0)
        cross = 0.5 * np.einsum("hij,aji->ah", over_clusters, units) * precision**2
        moment[at, errors] = cross
        moment[errors, at] = cross.T
    jacobian = moments_by_parameter(arrays, x, pairs)
    return np.asarray(jacobian.T @ moment @ jacobian)


def summed_products(left: Array, right: Array) -> Array:
    """``sum_r left_r' right_r`` (c, d) of matrices (R, q, c) and (R, q, d)."""
    return np.asarray(left.reshape(-1, left.shape[2]).T @ right.reshape(-1, right.shape[2]))


def summed_traces(left: Array, right: Array) -> Array:
    """``sum_r tr(left_ra right_rb)`` (A, B) of matrices (R, A, q, q) and (R, B, q, q)."""
    entries = left.transpose(1, 0, 2, 3).reshape(left.shape[1], -1)
    mirrored = right.transpose(1, 0, 3, 2).reshape(right.shape[1], -1)
    return np.asarray(entries @ mirrored.T)


def moments_by_parameter(arrays: LinearArrays, x: Array, pairs: list[tuple[int, int]]) -> Array:
    """Derivatives of the means, the entries of all Omega and the residual variances by the parameters (n,)."""
    groups, _ = arrays.sd_index.shape
    residual_groups, p = arrays.xy.shape
    n_omega = len(pairs) * groups
    jacobian = np.zeros((p + n_omega + residual_groups, len(x)))
    jacobian[np.arange(p), arrays.mean_index] = 1.0
    for g in range(groups):
        sd = x[arrays.sd_index[g]]
        for i, (j, k) in enumerate(pairs):
            row = jacobian[p + g * len(pairs) + i]
            corr = arrays.corr_index[g, j, k]
            rho = 1.0 if j == k else x[corr] if corr >= 0 else 0.0
            row[arrays.sd_index[g, j]] += rho * sd[k]
            row[arrays.sd_index[g, k]] += rho * sd[j]
            if j != k and corr >= 0:
                row[corr] += sd[j] * sd[k]
    for h, index in enumerate(arrays.residual_index):
        jacobian[p + n_omega + h, index] += 2.0 * x[index]
    return jacobian
