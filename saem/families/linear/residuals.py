"""Fitted values and residuals of a linear model: given the random effects, without them, and made independent."""

from __future__ import annotations

import numpy as np

from saem.errors import ModelError
from saem.families.coordinates import Coordinates
from saem.families.designed_draws import covariance_root
from saem.families.linear.data import LinearData

Array = np.ndarray

AT_ONCE = 2_000_000  # numbers in the covariances that are held together


def residuals(data: LinearData, values: Array, effects: Array, coordinates: Coordinates) -> dict[str, Array]:
    """See `saem.families.family.Family.residuals`."""
    sds = residual_sds(values, data)
    mean = data.mean_design @ values[data.mean_index]
    with_effects = mean + np.einsum("ij,ij->i", data.random_design, effects[data.cluster])
    marginal, conditional = data.response - mean, data.response - with_effects
    level = coordinates.level(data.mean_design)
    level = level if data.offset is None else level + data.offset  # that of the user's scale, inside too
    return {
        "fitted_marginal": coordinates.unit * mean + level,
        "fitted_conditional": coordinates.unit * with_effects + level,
        "marginal": coordinates.unit * marginal,
        "conditional": coordinates.unit * conditional,
        "standardised": conditional / sds,
        "normalised": normalised(data, values, marginal, sds),
    }


def uncorrelated(data: LinearData, values: Array, responses: Array) -> Array:
    """See `saem.families.family.Family.uncorrelated`."""
    mean = data.mean_design @ values[data.mean_index]
    return normalised(data, values, responses - mean[:, None], residual_sds(values, data))


def residual_sds(values: Array, data: LinearData) -> Array:
    """The residual standard deviation (n,) of every row at parameters (n_parameters,).

    Raises
    ------
    ModelError
        When one is zero.
    """
    sds = data.residual_sds(values)
    if np.any(sds == 0.0):
        raise ModelError("a residual standard deviation is zero, so residuals have no scale")
    return sds


def normalised(data: LinearData, values: Array, marginal: Array, sds: Array) -> Array:
    """Marginal residuals (n,) or (n, k) made independent within each cluster, in the order of its rows."""
    effects = np.array([covariance_root(data, values, group) for group in range(len(data.group_levels))])
    found = np.empty(marginal.shape)
    order = np.argsort(data.cluster, kind="stable")
    size = np.bincount(data.cluster)
    last = np.cumsum(size)
    for rows_each in np.unique(size):  # clusters of one size at once
        of_size = np.flatnonzero(size == rows_each)
        for some in np.array_split(of_size, -(-len(of_size) * rows_each**2 // AT_ONCE)):
            rows = order[last[some][:, None] - rows_each + np.arange(rows_each)]
            half = data.random_design[rows] @ effects[data.cluster_group[some]]
            covariance = half @ np.swapaxes(half, 1, 2)
            covariance[:, np.arange(rows_each), np.arange(rows_each)] += sds[rows] ** 2
            right = marginal[rows].reshape(len(some), rows_each, -1)
            found[rows] = np.linalg.solve(np.linalg.cholesky(covariance), right).reshape(marginal[rows].shape)
    return found
