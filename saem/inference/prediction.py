"""Predictions for the rows of a fit, for others of its clusters, and for new clusters."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import DataError, ModelError
from saem.families.linear.other_rows import OtherRows, arrange_others
from saem.inference.arguments import check_level
from saem.inference.maxima import information_beside, pinned_at
from saem.inference.rows import Inside, inside, posed, refuse_posterior, rows_of
from saem.stopping import Status

if TYPE_CHECKING:
    import pandas as pd

    from saem.data import ModelData
    from saem.families.contract import Problem
    from saem.fitting.result import Fit

Array = np.ndarray

NEW_CLUSTERS = ("marginal", "refuse")
UNTOUCHED = 1e-9  # of a gradient, in units of its largest entry: less is rounding
STEP = 1e-4  # of the smallest standard deviation, along a free direction


def predict(
    fit: Fit, table: pd.DataFrame | None = None, level: float = 0.95, new_clusters: str = "marginal"
) -> pd.DataFrame:
    """Means of rows with their standard errors, and intervals for a new observation of each.

    A row of a known cluster is predicted by the conditional mean ``x'beta + z'E[theta | y]`` (the best linear unbiased
    predictor where the variances are known), a row of a new cluster by the marginal mean ``x'beta``. With the gradient
    ``d`` of the prediction by all parameters and their covariance ``V`` through the constraints, the variance of
    ``x'beta + z'theta`` about its prediction is

        d'V d + z'Var(theta | y) z

    (Henderson 1975 for means, with the variances Kackar & Harville 1984, Kass & Steffey 1989), and that of the marginal
    mean ``d'V d``. An observation adds its residual variance, and one of a new cluster ``z'Omega z``; quantiles are
    normal. Parameters at the boundary count as known. All is on the scale of the model: that of ``log(y)`` for
    ``log(y) ~ x``.

    Parameters
    ----------
    fit : Fit
    table : DataFrame, optional
        (m,) rows with the columns that the model reads, but the response, which is not looked at; the rows of the fit
        if omitted. Rows of a cluster that is not in the fit, or that is left empty, are of a new one, and all rows are
        where the table has no cluster columns. Formulas keep the coding, centring, scaling, polynomials and splines of
        the table of the fit.
    level : float
        Of the intervals.
    new_clusters : {"marginal", "refuse"}
        What becomes of new clusters: predicted by the marginal mean, or an error.

    Returns
    -------
    DataFrame
        With the index of `table` and the columns

        known
            Whether the cluster is one of the fit.
        predicted, se
            The conditional mean where it is, else the marginal one.
        lower, upper
            Of a new observation of the row, in its cluster where it is known, else in a new one.
        marginal, marginal_se, marginal_lower, marginal_upper
            The same for a new cluster, for every row.

        Standard errors and intervals are nan where a parameter without a standard error is involved, and so are means
        and intervals that the data do not determine.

    Raises
    ------
    ModelError
        When the fit has no table, or an argument is none of those above.
    DataError
        When the rows do not fit the model, or have new levels of a factor whose effect is not known.
    """
    import pandas as pd

    from saem.families.linear.effects import conditional_moments, conditional_slopes, effect_covariance

    check_level(level)
    if new_clusters not in NEW_CLUSTERS:
        raise ModelError(f"new_clusters must be 'marginal' or 'refuse'; got {new_clusters!r}")
    refuse_posterior(fit, "one estimate with its standard errors")
    before, data = rows_of(fit)
    rows = own_rows(data) if table is None else arrange_others(fit.model, before, data, table)
    known = rows.cluster >= 0
    if new_clusters == "refuse" and not known.all():
        raise DataError(
            f"{int((~known).sum())} of {len(known)} rows are of clusters that the fit does not know, the first is row "
            f"{int(np.argmin(known)) + 1}; predict them with new_clusters='marginal'"
        )
    within = inside(fit, data)
    covariance, free_directions, near = covariance_of(fit, data, within)
    place, data, x, values = within.place, within.data, within.x, within.values
    x_design, z = place.designs(rows.mean_design, rows.random_design)
    rows = replace(rows, mean_design=x_design, random_design=z)
    noise = rows.residual_sds(data, values) ** 2

    gradient = np.zeros((len(known), len(x)))
    for column, parameter in zip(rows.mean_design.T, data.mean_index, strict=True):
        gradient[:, parameter] += column
    marginal = rows.mean_design @ values[data.mean_index]
    error = delta_variance(gradient, covariance)
    spread = quadratic(z, effect_covariance(data, values)[rows.group])
    undetermined = touches(gradient, free_directions)

    means, variances = conditional_moments(data, x)
    slopes = conditional_slopes(data, x)
    own = rows.cluster[known]
    shifts, own_spread = np.zeros(len(known)), np.zeros(len(known))
    shifts[known] = np.einsum("ri,ri->r", z[known], means[own])
    own_spread[known] = quadratic(z[known], variances[own])
    own_gradient = gradient.copy()
    for j in range(z.shape[1]):
        own_gradient[known] += z[known, j, None] * slopes[own, j]
    own_variance = np.where(known, delta_variance(own_gradient, covariance) + own_spread, error)
    own_undetermined = np.where(known, touches(own_gradient, free_directions), undetermined)

    half = NormalDist().inv_cdf(0.5 + level / 2.0)
    columns: dict[str, Array] = {"known": known}
    unit, lifted = place.unit, place.level(x_design) + (0.0 if rows.offset is None else rows.offset)
    vague = vague_widths(data, rows, near, free_directions)
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
    return pd.DataFrame(columns, index=(before if table is None else table).index)


def own_rows(data: ModelData) -> OtherRows:
    """The rows of the fit itself."""
    group = data.cluster_group[data.cluster]
    return OtherRows(
        data.mean_design, data.random_design, data.cluster, group, data.residual_group, data.weights, data.offset
    )


def covariance_of(fit: Fit, data: ModelData, within: Inside) -> tuple[Array, Array, Array]:
    """Covariance (n, n) of the estimates with parameters at the boundary as known, and `left_free`.

    In the coordinates of the fit. Where the data leave directions free, the covariance is that of what they determine.
    """
    if not within.place.is_users:
        return covariance_inside(fit, data, within.x)
    covariance, x = fit.covariance.copy(), within.x
    edge = [fit.parameters.index(name) for name in fit.at_boundary]
    covariance[edge, :] = covariance[:, edge] = 0.0
    if fit.status is not Status.NOT_IDENTIFIED:
        return covariance, np.empty((0, len(x))), x
    from saem.maxima.information import observed_information
    from saem.mstep.solver import Solver

    problem = posed(fit, data)
    pinned = np.zeros(len(x), dtype=bool)
    pinned[edge] = True
    for i in edge:
        if fit.values[i] == 0.0:
            pinned[[k for k in problem.dependents.get(i, ()) if not fit.parameters.fixed[k]]] = True
    root = observed_information(problem, Solver(problem), x, pinned).root
    return root @ root.T, *left_free(problem, x)


def covariance_inside(fit: Fit, data: ModelData, x: Array) -> tuple[Array, Array, Array]:
    """`covariance_of` where the coordinates of the fit are not the user's, whose covariance keeps fewer digits."""
    from saem.inference.surface import maximum

    problem = posed(fit, data)
    top = maximum(problem, x)
    pinned = pinned_at(problem, x)
    near = x if top is None or not np.array_equal(top.pinned, pinned) else top.x
    information = information_beside(problem, near)
    covariance = information.covariance.copy()
    covariance[pinned, :] = covariance[:, pinned] = 0.0
    if fit.status is not Status.NOT_IDENTIFIED:
        return covariance, np.empty((0, len(x))), x
    root = information.root
    return root @ root.T, *left_free(problem, x)


def left_free(problem: Problem, x: Array) -> tuple[Array, Array]:
    """Directions (k, n) that the data leave free, and the point (n,) where they are so: ``x``, off the boundary.

    Where the likelihood is flat, a search may end at a standard deviation of zero, where nothing moves with it.
    """
    from saem.maxima.identification import inside as off_boundary
    from saem.maxima.identification import null_directions_at

    point = off_boundary(problem, x, pinned_at(problem, x))
    directions = null_directions_at(problem, point, ~problem.parameters.fixed)
    return np.empty((0, len(x))) if directions is None else directions, point


def quadratic(z: Array, matrices: Array) -> Array:
    """``z'M z`` (m,) of rows (m, q) and matrices (m, q, q)."""
    return np.asarray(np.einsum("ri,rij,rj->r", z, matrices, z))


def vague_widths(data: ModelData, rows: OtherRows, x: Array, directions: Array) -> tuple[Array, Array]:
    """Which rows (m,) have a variance that changes along directions (k, n) that the data leave free.

    Of an observation in its cluster, where that is known, and in a new one; by differences, relative to the variance.
    """
    from saem.families.linear.effects import conditional_moments, effect_covariance

    def variances(at: Array) -> Array:
        noise = rows.residual_sds(data, at) ** 2
        own = conditional_moments(data, at)[1][np.maximum(rows.cluster, 0)]
        new = effect_covariance(data, at)[rows.group]
        return np.asarray(noise + np.array([quadratic(rows.random_design, matrices) for matrices in (own, new)]))

    found = np.zeros((2, len(rows.cluster)), dtype=bool)
    sds = x[np.concatenate([data.residual_index, data.sd_index.ravel()])]
    step = STEP * float(np.min(sds[sds > 0.0], initial=np.inf)) if len(directions) else 0.0
    for direction in directions:
        up, down = variances(x + step * direction), variances(x - step * direction)
        found |= np.abs(up - down) > STEP * STEP * (up + down)
    return found[0], found[1]


def delta_variance(gradient: Array, covariance: Array) -> Array:
    """Variances (m,) by the delta method; nan where a gradient (m, n) touches what the covariance does not know."""
    unknown = np.isnan(np.diag(covariance))
    known = np.ix_(~unknown, ~unknown)
    variance = np.einsum("ri,ij,rj->r", gradient[:, ~unknown], covariance[known], gradient[:, ~unknown])
    touched = touches(gradient, np.eye(len(covariance))[unknown])
    return np.where(touched, np.nan, np.maximum(variance, 0.0))


def touches(gradient: Array, directions: Array) -> Array:
    """Whether gradients (m, n) have a part along any of some directions (k, n), beyond rounding."""
    size = np.max(np.abs(gradient), axis=1, initial=0.0)
    along = np.abs(gradient @ directions.T).max(axis=1, initial=0.0)
    return np.asarray(along > UNTOUCHED * np.maximum(size, 1.0))
