"""Predictions of rows by a linear model: best linear unbiased ones, with all errors."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from saem.families.estimated import Estimated, delta_variance, quadratic, touches
from saem.families.linear.data import LinearData
from saem.families.linear.effects import conditional_moments
from saem.families.linear.other_rows import LinearRows

Array = np.ndarray
STEP = 1e-4  # of the smallest standard deviation, along a free direction


def predict(rows: LinearRows, at: Estimated, level: float) -> dict[str, Array]:
    """See `saem.families.family.Family.predict`.

    With the gradient ``d`` of the prediction by all parameters and their covariance ``V``, the variance of
    ``x'beta + z'theta`` about its prediction is ``d'V d + z'Var(theta | y) z`` (Henderson 1975 for means, with the
    variances Kackar & Harville 1984, Kass & Steffey 1989), and that of the marginal mean ``d'V d``. An observation adds
    its residual variance, and one of a new cluster ``z'Omega z``; quantiles are normal.
    """
    known = rows.cluster >= 0
    coordinates, data, values = at.coordinates, at.data, at.values
    x_design, z = coordinates.designs(rows.mean_design, rows.random_design)
    rows = replace(rows, mean_design=x_design, random_design=z)
    noise = rows.residual_sds(data, values) ** 2

    gradient = np.zeros((len(known), len(values)))
    for column, parameter in zip(rows.mean_design.T, data.mean_index, strict=True):
        gradient[:, parameter] += column
    marginal = rows.mean_design @ values[data.mean_index]
    error = delta_variance(gradient, at.covariance)
    spread = quadratic(z, data.effect_covariance(values)[rows.group])
    undetermined = touches(gradient, at.free)

    own = rows.cluster[known]
    shifts, own_spread = np.zeros(len(known)), np.zeros(len(known))
    shifts[known] = np.einsum("ri,ri->r", z[known], at.effects.mean[own])
    own_spread[known] = quadratic(z[known], at.effects.covariance[own])
    own_gradient = gradient.copy()
    for j in range(z.shape[1]):
        own_gradient[known] += z[known, j, None] * at.slopes[own, j]
    own_variance = np.where(known, delta_variance(own_gradient, at.covariance) + own_spread, error)
    own_undetermined = np.where(known, touches(own_gradient, at.free), undetermined)

    half = NormalDist().inv_cdf(0.5 + level / 2.0)
    columns: dict[str, Array] = {"known": known}
    unit, lifted = coordinates.unit, coordinates.level(x_design) + (0.0 if rows.offset is None else rows.offset)
    vague = vague_widths(data, rows, at.near, at.free)
    for prefix, mean, variance, more, lost, unsure in (
        ("", marginal + shifts, own_variance, np.where(known, 0.0, spread), own_undetermined, np.where(known, *vague)),
        ("marginal_", marginal, error, spread, undetermined, vague[1]),
    ):
        mean = np.where(lost, np.nan, unit * mean + lifted)
        width = unit * half * np.sqrt(np.where(unsure, np.nan, variance + more + noise))
        columns |= {
            "marginal" if prefix else "predicted": mean,
            f"{prefix}se": np.where(lost, np.nan, unit * np.sqrt(variance)),
            f"{prefix}lower": mean - width,
            f"{prefix}upper": mean + width,
        }
    return columns


def vague_widths(data: LinearData, rows: LinearRows, x: Array, directions: Array) -> tuple[Array, Array]:
    """Which rows (m,) have a variance that changes along directions (k, n) that the data leave free.

    Of an observation in its cluster, where that is known, and in a new one; by differences, relative to the variance.
    """

    def variances(at: Array) -> Array:
        noise = rows.residual_sds(data, at) ** 2
        own = conditional_moments(data, at)[1][np.maximum(rows.cluster, 0)]
        new = data.effect_covariance(at)[rows.group]
        return np.asarray(noise + np.array([quadratic(rows.random_design, matrices) for matrices in (own, new)]))

    found = np.zeros((2, len(rows.cluster)), dtype=bool)
    sds = x[np.concatenate([data.residual_index, data.sd_index.ravel()])]
    step = STEP * float(np.min(sds[sds > 0.0], initial=np.inf)) if len(directions) else 0.0
    for direction in directions:
        up, down = variances(x + step * direction), variances(x - step * direction)
        found |= np.abs(up - down) > STEP * STEP * (up + down)
    return found[0], found[1]
