"""The expected information of the linear mixed model, by clusters in which every form is measured once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
SDS = ("sigma1", "sigma2", "sigma")  # between replicates in either arm, and residual


def cluster_covariance(theta: Array, names: tuple[str, ...], arm: int, forms: int) -> Array:
    """(J, J): of the rows of a cluster of an arm."""
    own, sigma = theta[names.index(SDS[arm])], theta[names.index("sigma")]
    return np.asarray(sigma**2 * np.eye(forms) + own**2)


def slopes_of(theta: Array, names: tuple[str, ...], arm: int, forms: int) -> dict[str, Array]:
    """(J, J) each: derivatives of `cluster_covariance` by the SDs of an arm."""
    own, sigma = theta[names.index(SDS[arm])], theta[names.index("sigma")]
    return {SDS[arm]: 2.0 * own * np.ones((forms, forms)), "sigma": 2.0 * sigma * np.eye(forms)}


def differences(function: Callable[[Array], Array], at: Array, steps: Array) -> Array:
    """(m, n): derivatives of a function (m,) by central differences."""
    columns = []
    for i, h in enumerate(steps):
        step = np.zeros(len(at))
        step[i] = h
        columns.append((function(at + step) - function(at - step)) / (2.0 * h))
    return np.array(columns).T


def information(theta: Array, x: Array, names: tuple[str, ...], replicates: int) -> Array:
    """(n, n): the expected information of all parameters, ``X' S^-1 X`` and ``tr(S^-1 S_a S^-1 S_b) / 2``."""
    forms, found = x.shape[1], np.zeros((len(names), len(names)))
    for arm in (0, 1):
        inverse = np.linalg.inv(cluster_covariance(theta, names, arm, forms))
        found += x[arm].T @ inverse @ x[arm]
        slopes = slopes_of(theta, names, arm, forms)
        for a, left in slopes.items():
            for b, right in slopes.items():
                found[names.index(a), names.index(b)] += 0.5 * np.trace(inverse @ left @ inverse @ right)
    return replicates * found
