"""Joint density of the responses and the random effects of single clusters of the linear family.

The random effects are ``theta = L u`` with independent standard normals ``u`` and ``L L' = Omega`` (Cholesky factor
without its columns of zeros), so that a standard deviation of zero and a singular covariance only lower the dimension.
With ``d_h = 1 / sigma_h^2``, ``A = sum d_h Z_h'Z_h``, ``b = sum d_h Z_h'r_h``, ``r = y - X beta``, for d columns

    log p(y_c, u) = -1/2 sum n_h log(2 pi sigma_h^2) - 1/2 sum d_h r_h'r_h - d/2 log 2 pi
                    + (L'b)'u - 1/2 u'(I + L'A L) u.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.linear.clusters import ClusterArrays
from saem.families.linear.clusterwise import fill_row_moments
from saem.families.linear.complete import LOG_2PI
from saem.families.linear.data import LinearData
from saem.families.linear.moments import fill_shift
from saem.families.linear.observed import is_covariance, read_precisions
from saem.families.normal_covariance import fill_covariance, read_group
from saem.system.jit import kernel
from saem.system.linalg import cholesky_semidefinite

Array = np.ndarray


@kernel
def fill_root(arrays: ClusterArrays, x: Array, cluster: int, root: Array) -> int:
    """Write ``L`` in the first columns of ``root`` (q, q); return their number, or -1 outside the domain."""
    q = root.shape[0]
    sd, rho, omega = np.empty(q), np.empty((q, q)), np.empty((q, q))
    group = arrays.pattern_group[arrays.pattern[cluster]]
    read_group(arrays.sd_index[group], arrays.corr_index[group], x, sd, rho)
    if not is_covariance(sd, rho, omega):
        return -1
    fill_covariance(sd, rho, omega)
    cholesky_semidefinite(omega, root, q)
    d = 0
    for k in range(q):
        if root[k, k] > 0.0:
            for j in range(q):
                root[j, d] = root[j, k]
            d += 1
    return d


@kernel
def count_effects(arrays: ClusterArrays, x: Array, cluster: int) -> int:
    """Rank of the covariance of a cluster's random effects; see `saem.families.contract.n_effects`."""
    q = arrays.sd_index.shape[1]
    return max(0, fill_root(arrays, x, cluster, np.empty((q, q))))


@kernel
def log_joint_linear(arrays: ClusterArrays, x: Array, cluster: int, effects: Array, values: Array) -> None:
    """See `saem.families.contract.log_joint`."""
    q = arrays.sd_index.shape[1]
    p = arrays.mean_index.shape[0]
    residual_groups = arrays.residual_index.shape[0]
    start = residual_groups * (p + 1)
    own = arrays.own[cluster]
    pattern = arrays.pattern[cluster]
    values[:] = -math.inf
    root = np.empty((q, q))
    d = fill_root(arrays, x, cluster, root)
    if d < 0:
        return
    n, xx = np.empty(residual_groups), np.empty((residual_groups, p, p))
    fill_row_moments(arrays, pattern, n, xx)
    precision, shift = np.empty(residual_groups), np.empty((residual_groups, q))
    read_precisions(arrays.residual_index, x, precision)
    fill_shift(arrays.mean_index, arrays.beta_reference, arrays.zx[pattern], x, shift)
    constant = arrays.log_weight[cluster] - 0.5 * d * LOG_2PI
    for h in range(residual_groups):
        sd = x[arrays.residual_index[h]]
        if not sd > 0.0:
            return
        rss = own[residual_groups * p + h]
        for j in range(p):
            away = x[arrays.mean_index[j]] - arrays.beta_reference[j]
            rss -= 2.0 * away * own[h * p + j]
            for k in range(p):
                rss += away * xx[h, j, k] * (x[arrays.mean_index[k]] - arrays.beta_reference[k])
        constant -= 0.5 * (n[h] * (LOG_2PI + 2.0 * math.log(sd)) + precision[h] * rss)
    linear, quadratic = np.zeros(d), np.zeros((d, d))  # L'b and I + L'AL
    for i in range(d):
        quadratic[i, i] = 1.0
        for j in range(q):
            for h in range(residual_groups):
                linear[i] += root[j, i] * precision[h] * (own[start + h * q + j] - shift[h, j])
                for k in range(q):
                    for m in range(d):
                        quadratic[i, m] += root[j, i] * precision[h] * arrays.zz[pattern, h, j, k] * root[k, m]
    for at in range(values.shape[0]):
        value = constant
        for i in range(d):
            slope = linear[i] - 0.5 * quadratic[i, i] * effects[at, i]
            for j in range(i):
                slope -= quadratic[i, j] * effects[at, j]
            value += slope * effects[at, i]
        values[at] = value


supply(contract.n_effects, ClusterArrays, count_effects)
supply(contract.log_joint, ClusterArrays, log_joint_linear)


def observed_clusters(data: LinearData, x: Array) -> Array:
    """Parts (C,) of the marginal log-likelihood that belong to the clusters, by the formula of `observed`.

    Parameters
    ----------
    data : LinearData
    x : (n,) ndarray
        Parameters.
    """
    n_clusters, q = len(data.cluster_group), data.random_design.shape[1]
    sds, sd = data.residual_sds(x), x[data.sd_index]
    correlation = np.where(data.corr_index >= 0, x[data.corr_index], 0.0) + np.eye(q)
    possible = np.all(sd >= 0.0) and np.linalg.eigvalsh(correlation).min() > -1e-12
    if not (np.all(x[data.residual_index] > 0.0) and possible):
        return np.full(n_clusters, -np.inf)

    def summed(values: Array) -> Array:
        return np.bincount(data.cluster, weights=values, minlength=n_clusters)

    scaled = (data.response - data.mean_design @ x[data.mean_index]) / sds
    z = data.random_design / sds[:, None]
    score = np.stack([summed(z[:, j] * scaled) for j in range(q)], axis=1)
    information = np.array([[summed(z[:, j] * z[:, k]) for k in range(q)] for j in range(q)]).transpose(2, 0, 1)
    omega = (sd[:, :, None] * sd[:, None, :] * correlation)[data.cluster_group]
    product = np.eye(q) + omega @ information
    modes = np.linalg.solve(product, omega @ score[:, :, None])[:, :, 0]
    rows = summed(LOG_2PI + 2.0 * np.log(sds) + scaled**2)
    determinant = np.linalg.slogdet(product)[1]
    return np.asarray(-0.5 * (rows + determinant - np.einsum("cj,cj->c", score, modes)))
