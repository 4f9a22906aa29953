"""Random effects drawn from their law, for families with a design."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError, listing
from saem.families.arranged import DesignedData

Floats = NDArray[np.float64]


def draw_random_effects(data: DesignedData, values: Floats, rng: np.random.Generator) -> Floats:
    """One draw of the random effects, (n_clusters, q) ndarray, from the covariance of each cluster's group."""
    q = len(data.term_names)
    effects = rng.standard_normal((len(data.cluster_group), q))
    for group in range(len(data.group_levels)):
        members = data.cluster_group == group
        effects[members] = effects[members] @ covariance_root(data, values, group).T
    return effects


def covariance_root(data: DesignedData, values: Floats, group: int) -> Floats:
    """A (q, q) matrix whose product with its transpose is the covariance of a group's random effects."""
    index = data.corr_index[group]
    correlation = np.where(index >= 0, values[index], 0.0)
    np.fill_diagonal(correlation, 1.0)
    eigenvalues, vectors = np.linalg.eigh(correlation)
    if eigenvalues[0] < -1e-10:
        names = sorted({data.parameters.names[i] for i in index.ravel() if i >= 0})
        raise ModelError(
            f"the correlations {listing(names)} contradict each other: no covariance matrix has them; "
            "bring them closer to 0"
        )
    if eigenvalues[0] > 1e-10:
        root = np.linalg.cholesky(correlation)
    else:
        root = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    sds = data.sd_index[group]
    return np.asarray(np.where(sds >= 0, values[sds], 0.0)[:, None] * root)  # no index: an effect that the group lacks
