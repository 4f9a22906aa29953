"""The expected information of the linear family in a metric of unit variance, of which only the rank counts.

It is ``X'X`` for the means and ``1/2 tr(V_i V_j)`` for the variances.
"""

from __future__ import annotations

import numpy as np

from saem.models.linear.arrays import LinearArrays


def expected_information(arrays: LinearArrays, x: np.ndarray) -> np.ndarray:
    """Expected information (n, n) of all parameters at ``x`` (n,)."""
    groups, q = arrays.sd_index.shape
    residual_groups, p = arrays.xy.shape
    pairs = [(j, k) for j in range(q) for k in range(j + 1)]
    n_omega = len(pairs) * groups
    moment = np.zeros((p + n_omega + residual_groups,) * 2)  # of beta, Omega, sigma^2
    moment[:p, :p] = arrays.xx.sum(axis=0)
    units = np.zeros((len(pairs), q, q))
    for i, (j, k) in enumerate(pairs):
        units[i, j, k] = units[i, k, j] = 1.0
    total = arrays.zz.sum(axis=1)
    for g in range(groups):
        at = slice(p + g * len(pairs), p + (g + 1) * len(pairs))
        here = arrays.pattern_group == g
        weight, a, a_h = arrays.pattern_size[here], total[here], arrays.zz[here]
        left = np.einsum("rij,ajk->raik", a, units)
        moment[at, at] = 0.5 * np.einsum("r,raik,rbki->ab", weight, left, left)
        cross = 0.5 * np.einsum("r,rhij,aji->ah", weight, a_h, units)
        moment[at, p + n_omega :] = cross
        moment[p + n_omega :, at] = cross.T
    moment[p + n_omega :, p + n_omega :] = 0.5 * np.diag(arrays.n_rows)

    jacobian = np.zeros((len(moment), len(x)))
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
    return np.asarray(jacobian.T @ moment @ jacobian)
