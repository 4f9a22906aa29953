"""Fitted values and residuals: given the random effects, without them, and made independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.inference.rows import inside, rows_of
from saem.simulation import covariance_root

if TYPE_CHECKING:
    import pandas as pd

    from saem.data import ModelData
    from saem.fitting.result import Fit

Array = np.ndarray

AT_ONCE = 2_000_000  # numbers in the covariances that are held together


def residuals(fit: Fit) -> pd.DataFrame:
    """Fitted values and residuals of every row.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    DataFrame with the index of `Fit.table` and the columns

    fitted_marginal, fitted_conditional
        The mean, without and with the conditional modes of the random effects.
    marginal, conditional
        The response minus these.
    standardised
        `conditional` by the residual standard deviation of the row, with its prior weight (nlme's "pearson"). It is
        shrunken: its spread is below one.
    normalised
        `L^-1 marginal` within each cluster, with the Cholesky factor ``L`` of the marginal covariance of its rows:
        independent standard normals if the model is right, but for the estimation (nlme's "normalized").

    Raises
    ------
    ModelError
        When the fit has no table, or a residual standard deviation is zero.
    """
    import pandas as pd

    from saem.families.linear.effects import conditional_moments

    table, data = rows_of(fit)
    within = inside(fit, data)
    place, data, values = within.place, within.data, within.values
    sds = residual_sds(values, data)
    mean = data.mean_design @ values[data.mean_index]
    modes = fit.random_effects if place.is_users else conditional_moments(data, within.x)[0]
    with_effects = mean + np.einsum("ij,ij->i", data.random_design, modes[data.cluster])
    marginal, conditional = data.response - mean, data.response - with_effects
    level = place.level(data.mean_design)
    level = level if data.offset is None else level + data.offset  # that of the user's scale, inside too
    columns = {
        "fitted_marginal": place.unit * mean + level,
        "fitted_conditional": place.unit * with_effects + level,
        "marginal": place.unit * marginal,
        "conditional": place.unit * conditional,
        "standardised": conditional / sds,
        "normalised": normalised(data, values, marginal, sds),
    }
    return pd.DataFrame(columns, index=table.index)


def residual_sds(values: Array, data: ModelData) -> Array:
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


def normalised(data: ModelData, values: Array, marginal: Array, sds: Array) -> Array:
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
