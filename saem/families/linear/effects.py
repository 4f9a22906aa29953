"""The random effects of the linear family given the data: their Gaussian law, and how its mean moves with parameters.

With ``A = Z'WZ`` and ``s = Z'W(y - X beta)`` of a cluster, ``W`` the precisions of its rows, the covariance is
``V = (I + Omega A)^-1 Omega`` and the mean ``b = V s`` (Laird & Ware 1982, eq. 3.1 and 3.2); ``Omega`` may be singular.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.families.linear.data import LinearData
from saem.families.linear.stacks import solve

Array = np.ndarray


class Sums(NamedTuple):
    """What the law of the random effects takes from the rows of each cluster, by residual group (C clusters)."""

    score: Array  # (H, C, q) Z_h'W_h(y_h - X_h beta)
    information: Array  # (H, C, q, q) Z_h'W_hZ_h


def cluster_sums(data: LinearData, x: Array) -> Sums:
    """Sums over the rows of each cluster and residual group at parameters (n,)."""
    n_clusters, q, groups = len(data.cluster_group), data.random_design.shape[1], len(data.residual_index)
    weight = data.residual_sds(x) ** -2.0
    residual = (data.response - data.mean_design @ x[data.mean_index]) * weight
    slot = data.residual_group * n_clusters + data.cluster
    score = np.empty((groups, n_clusters, q))
    information = np.empty((groups, n_clusters, q, q))

    def total(values: Array) -> Array:
        return np.bincount(slot, weights=values, minlength=groups * n_clusters).reshape(groups, n_clusters)

    for j in range(q):
        z = data.random_design[:, j]
        score[..., j] = total(z * residual)
        for k in range(j + 1):
            information[..., j, k] = information[..., k, j] = total(z * data.random_design[:, k] * weight)
    return Sums(score, information)


def conditional_moments(data: LinearData, x: Array) -> tuple[Array, Array]:
    """Means (C, q) and covariances (C, q, q) of the random effects given the data, at parameters (n,).

    The law is Gaussian, so that the means are the modes.
    """
    sums = cluster_sums(data, x)
    omega = data.effect_covariance(x)[data.cluster_group]
    variance = solve(np.eye(omega.shape[1]) + omega @ sums.information.sum(axis=0), omega)
    variance = 0.5 * (variance + np.swapaxes(variance, 1, 2))
    return np.einsum("cij,cj->ci", variance, sums.score.sum(axis=0)), variance


def conditional_effects(data: LinearData, x: Array) -> tuple[Array, Array]:
    """Modes (C, q) of the random effects given the data, and their standard deviations (C, q)."""
    modes, variance = conditional_moments(data, x)
    return modes, np.sqrt(np.maximum(np.einsum("cii->ci", variance), 0.0))


def conditional_slopes(data: LinearData, x: Array) -> Array:
    """Derivatives (C, q, n) of the conditional means by the parameters (n,).

    ``db = (I + Omega A)^-1 dOmega (s - A b) + V (ds - dA b)``, where a mean moves ``s`` alone, a standard deviation or
    correlation of random effects ``Omega``, a residual standard deviation ``s`` and ``A``.
    """
    sums = cluster_sums(data, x)
    n_clusters, q = sums.score.shape[1:]
    group = data.cluster_group
    omega = data.effect_covariance(x)[group]
    information = sums.information.sum(axis=0)
    shrink = np.linalg.inv(np.eye(q) + omega @ information)
    variance = shrink @ omega
    modes, _ = conditional_moments(data, x)
    left = sums.score.sum(axis=0) - np.einsum("cij,cj->ci", information, modes)
    slopes = np.zeros((n_clusters, q, len(x)))

    weight = data.residual_sds(x) ** -2.0
    for column, parameter in zip(data.mean_design.T, data.mean_index, strict=True):
        moved = np.empty((n_clusters, q))
        for j in range(q):
            values = data.random_design[:, j] * weight * column
            moved[:, j] = np.bincount(data.cluster, weights=values, minlength=n_clusters)
        slopes[:, :, parameter] -= np.einsum("cij,cj->ci", variance, moved)

    for h, parameter in enumerate(data.residual_index):
        moved = sums.score[h] - np.einsum("cij,cj->ci", sums.information[h], modes)
        slopes[:, :, parameter] -= 2.0 / x[parameter] * np.einsum("cij,cj->ci", variance, moved)

    sd = x[data.sd_index]
    correlation = np.where(data.corr_index >= 0, x[data.corr_index], 0.0) + np.eye(q)
    for g in range(len(data.group_levels)):
        here = np.flatnonzero(group == g)
        for j in range(q):
            change = np.zeros((q, q))
            change[j] += sd[g] * correlation[g, j]
            change[:, j] += sd[g] * correlation[g, j]
            slopes[here, :, data.sd_index[g, j]] += np.einsum("cij,cj->ci", shrink[here] @ change, left[here])
            for k in range(j):
                if data.corr_index[g, j, k] < 0:
                    continue
                change = np.zeros((q, q))
                change[j, k] = change[k, j] = sd[g, j] * sd[g, k]
                slopes[here, :, data.corr_index[g, j, k]] += np.einsum("cij,cj->ci", shrink[here] @ change, left[here])
    return slopes
