"""What the E-step and the M-step of every family of models ask for: statistics, and their log-likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np


def draw(arrays: Any, x: np.ndarray, rng: np.random.Generator, m: int, statistics: np.ndarray) -> None:
    """Write the mean of the complete-data statistics over ``m`` draws of the latent data from p(z | y; x).

    ``m = 0`` asks for their conditional expectation E[S(y, z) | y; x], if the family has it (`has_expectation`); nan
    where it has not. Families that are drawn by a chain make ``m`` sweeps of it, from ``arrays.latent`` on, with
    ``p(z | y; x)`` as the stationary distribution.
    """
    raise NotImplementedError


def complete(arrays: Any, statistics: np.ndarray, x: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> float:
    """Complete-data log-likelihood; ``-inf`` outside its domain. Writes its gradient and Hessian."""
    raise NotImplementedError


def draw_clusters(
    arrays: Any, x: np.ndarray, rng: np.random.Generator, m: int, clusters: np.ndarray, statistics: np.ndarray
) -> None:
    """Write the statistics (k, s) of some clusters (k,), one by one; any cluster may be among them, in any order.

    Each is the mean over ``m`` draws from p(z_c | y_c; x), or for ``m = 0`` the conditional expectation. ``arrays`` are
    those of `Clusters.clusterwise`. The sum over all clusters has the distribution of what `draw` writes. Many clusters
    at once cost much less than a call for each; sorted by design they cost least.
    """
    raise NotImplementedError


def complete_clusters(
    arrays: Any,
    clusters: np.ndarray,
    statistics: np.ndarray,
    x: np.ndarray,
    values: np.ndarray,
    gradients: np.ndarray,
    hessian: np.ndarray,
) -> None:
    """Write the parts of the complete-data log-likelihood of some clusters (k,), at their statistics (k, s).

    ``values`` (k,) are ``-inf`` outside the domain, ``gradients`` (k, n) are of each cluster, ``hessian`` (n, n) is the
    sum of theirs. ``arrays`` are those of `Clusters.clusterwise`. The sum over all clusters is `complete` at the sum of
    the statistics.
    """
    raise NotImplementedError
