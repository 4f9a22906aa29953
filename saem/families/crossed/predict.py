"""Predictions of rows: best linear unbiased ones, with all errors."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from saem.families.crossed.data import CrossedData
from saem.families.crossed.effects import row_variances
from saem.families.crossed.other_rows import CrossedRows
from saem.families.estimated import Estimated, delta_variance, quadratic, touches

Array = np.ndarray


def predict(rows: CrossedRows, at: Estimated, level: float) -> dict[str, Array]:
    """See `saem.families.family.Family.predict`, and `saem.families.linear.predict` for the variances.

    A level of a factor that is not in the fit has an effect of zero with the variance that it has before the data are
    seen. `known` says that all levels of a row are in the fit.
    """
    coordinates, data, values = at.coordinates, at.data, at.values
    assert isinstance(data, CrossedData)
    noise = rows.residual_sds(data, values) ** 2
    x, z = coordinates.designs(rows.mean_design, rows.random_design)
    gradient = np.zeros((len(x), len(values)))
    for column, parameter in zip(x.T, data.mean_index, strict=True):
        gradient[:, parameter] += column
    marginal = x @ values[data.mean_index]
    covariance = data.effect_covariance(values)
    prior = np.stack([quadratic(z, covariance[block]) for block in rows.block.T])
    known = rows.unit >= 0
    shifts, own_gradient, new = np.zeros(len(x)), gradient.copy(), np.zeros(len(x))
    for f, units in enumerate(rows.unit.T):
        here = known[:, f]
        shifts[here] += np.einsum("ri,ri->r", z[here], at.effects.mean[units[here]])
        own_gradient[here] += np.einsum("ri,rin->rn", z[here], at.slopes[units[here]])
        new[~here] += prior[f, ~here]
    own_variance = delta_variance(own_gradient, at.covariance) + row_variances(data, values, rows.unit, z)
    error = delta_variance(gradient, at.covariance)
    vague = len(at.free) > 0 and bool(np.any(at.free[:, np.setdiff1d(np.arange(len(values)), data.mean_index)]))
    half = NormalDist().inv_cdf(0.5 + level / 2.0)
    unit, lifted = coordinates.unit, coordinates.level(x) + (0.0 if rows.offset is None else rows.offset)
    columns: dict[str, Array] = {"known": np.asarray(known.all(axis=1))}
    for prefix, mean, variance, more, slopes in (
        ("", marginal + shifts, own_variance, new, own_gradient),
        ("marginal_", marginal, error, prior.sum(axis=0), gradient),
    ):
        lost = touches(slopes, at.free)
        mean = np.where(lost, np.nan, unit * mean + lifted)
        width = unit * half * np.sqrt(np.where(vague, np.nan, variance + more + noise))
        columns |= {
            "marginal" if prefix else "predicted": mean,
            f"{prefix}se": np.where(lost, np.nan, unit * np.sqrt(variance)),
            f"{prefix}lower": mean - width,
            f"{prefix}upper": mean + width,
        }
    return columns
