"""Conditional modes of the random effects of the linear family, and their conditional standard deviations."""

from __future__ import annotations

import numpy as np

from saem.data import ModelData


def conditional_effects(data: ModelData, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each cluster's random effects given its data.

    Parameters
    ----------
    data : ModelData
    x : (n,) ndarray
        Parameters.

    Returns
    -------
    modes, deviations : (C, q) ndarray
        In the order of the clusters of ``data`` (Laird & Ware 1982, eq. 3.1 and 3.2).
    """
    n_clusters, q = len(data.cluster_group), data.random_design.shape[1]
    weight = x[data.residual_index][data.residual_group] ** -2.0
    residual = (data.response - data.mean_design @ x[data.mean_index]) * weight
    score = np.empty((n_clusters, q))
    information = np.empty((n_clusters, q, q))
    for j in range(q):
        z = data.random_design[:, j]
        score[:, j] = np.bincount(data.cluster, weights=z * residual, minlength=n_clusters)
        for k in range(j + 1):
            product = z * data.random_design[:, k] * weight
            information[:, j, k] = np.bincount(data.cluster, weights=product, minlength=n_clusters)
            information[:, k, j] = information[:, j, k]
    sd = x[data.sd_index]
    correlation = np.where(data.corr_index >= 0, x[data.corr_index], 0.0) + np.eye(q)
    omega = (sd[:, :, None] * sd[:, None, :] * correlation)[data.cluster_group]
    variance = np.linalg.solve(np.eye(q) + omega @ information, omega)
    modes = np.einsum("cij,cj->ci", variance, score)
    return modes, np.sqrt(np.maximum(np.einsum("cii->ci", variance), 0.0))
