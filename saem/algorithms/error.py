"""The Monte Carlo error of an estimate: how far the draws leave it from the maximum, to first order.

Near the maximum an iteration is linear. With the information ``I_c`` of the complete data, ``I_o`` of the observed
and the covariance ``G`` of the complete-data score of one draw, on the tangent space of the constraints,

    d_{k+1} = d_k + gamma_k (-I_c^-1 I_o d_k + I_c^-1 e_k),    e_k ~ (0, G / m_k),

where ``d`` is the distance to the maximum. An average over decreasing step sizes has the covariance ``V G V / M`` with
``V = I_o^-1`` and ``M`` draws in all, whatever the step sizes (Polyak & Juditsky 1992; Delyon, Lavielle & Moulines
1999, theorem 7). A last iterate remembers its draws with the weights ``gamma_k prod_{j > k} (1 - gamma_j iota)``
along an eigenvector of ``I_c^-1 I_o`` to the eigenvalue ``iota``; EM's rate of convergence along it is ``1 - iota``.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray

FORGOTTEN = 0.05  # of the start, or of the variance of the burn-in: more is no Monte Carlo error of this kind
ROUNDING = 1e-12  # of the statistical variance: a Monte Carlo variance per draw that is no more than rounding


def of_average(root: Array, noise: Array, draws: float) -> Array:
    """Covariance (n, n) of an averaged estimate, ``V G V / draws``.

    Parameters
    ----------
    root : (n, d) ndarray
        ``root root' = V``, the covariance of the estimate given complete information on the constraints.
    noise : (n, n) ndarray
        ``G``; for a Markov kernel the long-run covariance.
    draws : float
    """
    return np.asarray(root @ (root.T @ noise @ root) @ root.T / draws)


def of_last(
    root: Array, missing: Array, noise: Array, step_sizes: Array, draws: Array, burn_in: int
) -> tuple[Array, Array, Array]:
    """Covariance (n, n) of a last iterate, and whether it is one.

    Parameters
    ----------
    missing : (n, n) ndarray
        Missing information: ``I_c - I_o``.
    noise : (n, n) ndarray
    step_sizes, draws : (K,) ndarray
        Of all iterations.
    burn_in : int
        The first iterations, which are not meant to last.

    Returns
    -------
    covariance : (n, n) ndarray
    remembered : (d,) ndarray
        Share of the start, or of the variance due to the burn-in, that the last iterate still holds along each of
        the directions.
    directions : (n, d) ndarray
    """
    # in the coordinates of the root the observed information is one
    share, turn = np.linalg.eigh(root.T @ missing @ root)
    observed = 1.0 / (1.0 + np.maximum(share, 0.0))  # iota
    directions = root @ turn
    kept = 1.0 - step_sizes[:, None] * observed
    later = np.vstack([np.cumprod(kept[:0:-1], axis=0)[::-1], np.ones(len(observed))])
    size = np.divide(1.0, np.sqrt(draws), out=np.zeros(len(draws)), where=draws > 0)  # an expectation has no noise
    weights = step_sizes[:, None] * observed * later * size[:, None]
    square = weights.T @ weights
    early = np.einsum("ki,ki->i", weights[:burn_in], weights[:burn_in])
    remembered = np.maximum(np.abs(later[0] * kept[0]), early / np.maximum(np.diag(square), 1e-300))
    covariance = directions @ ((directions.T @ noise @ directions) * square) @ directions.T
    return covariance, remembered, directions


def standard_errors(covariance: Array, known: Array, variance: Array, draws: float) -> Array:
    """Monte Carlo standard errors (n,): nan where the statistical variance is not known, zero where nothing is missing.

    What is left where the missing part of the information is nil is rounding.
    """
    monte_carlo = np.maximum(np.diag(covariance), 0.0)
    is_rounding = monte_carlo * draws < ROUNDING * np.where(known, variance, 0.0)
    return np.where(known, np.sqrt(np.where(is_rounding, 0.0, monte_carlo)), np.nan)
