"""Fitted values and residuals: given the random effects, without them, and made independent."""

from __future__ import annotations

import numpy as np

from saem.errors import ModelError
from saem.families.coordinates import Coordinates
from saem.families.crossed.data import CrossedData

Array = np.ndarray

LARGEST = 4000  # rows of a component whose covariance is held


def residuals(data: CrossedData, values: Array, effects: Array, coordinates: Coordinates) -> dict[str, Array]:
    """See `saem.families.family.Family.residuals`.

    What is `normalised` is nan where a component has more than `LARGEST` rows.
    """
    sds = _residual_sds(values, data)
    mean = data.mean_design @ values[data.mean_index]
    with_effects = mean.copy()
    for units in data.unit.T:
        with_effects += np.einsum("ij,ij->i", data.random_design, effects[units])
    marginal, conditional = data.response - mean, data.response - with_effects
    unit, level = coordinates.unit, coordinates.level(data.mean_design) + data.shift
    large = np.bincount(data.component).max() > LARGEST
    return {
        "fitted_marginal": unit * mean + level,
        "fitted_conditional": unit * with_effects + level,
        "marginal": unit * marginal,
        "conditional": unit * conditional,
        "standardised": conditional / sds,
        "normalised": np.full(len(mean), np.nan) if large else _normalised(data, values, marginal),
    }


def uncorrelated(data: CrossedData, values: Array, responses: Array) -> Array:
    """See `saem.families.family.Family.uncorrelated`.

    Raises
    ------
    ModelError
        When the covariance of a component is too large to be held.
    """
    most = int(np.bincount(data.component).max())
    if most > LARGEST:
        raise ModelError(
            f"{most} rows depend on each other by common random effects; they are made independent by the covariance "
            f"of all of them, for which there may be {LARGEST} at most"
        )
    mean = data.mean_design @ values[data.mean_index]
    return _normalised(data, values, responses - mean[:, None])


def _residual_sds(values: Array, data: CrossedData) -> Array:
    sds = data.residual_sds(values)
    if np.any(sds == 0.0):
        raise ModelError("a residual standard deviation is zero, so residuals have no scale")
    return sds


def covariance_of(data: CrossedData, values: Array, rows: Array) -> Array:
    """The covariance (k, k) of the responses of some rows (k,)."""
    covariance = np.diag(data.residual_sds(values)[rows] ** 2)
    omega = data.effect_covariance(values)
    z = data.random_design[rows]
    for units in data.unit[rows].T:
        same = units[:, None] == units
        half = np.einsum("ij,ijk->ik", z, omega[data.cluster_group[units]])
        covariance += np.where(same, half @ z.T, 0.0)
    return np.asarray(covariance)


def _normalised(data: CrossedData, values: Array, marginal: Array) -> Array:
    """Marginal residuals (n,) or (n, k) made independent within each component, in the order of its rows."""
    found = np.empty(marginal.shape)
    order = np.argsort(data.component, kind="stable")
    ends = np.cumsum(np.bincount(data.component))
    for rows in np.split(order, ends[:-1]):
        factor = np.linalg.cholesky(covariance_of(data, values, rows))
        found[rows] = np.linalg.solve(factor, marginal[rows])
    return found
