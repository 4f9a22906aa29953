"""Predictions for the rows of a fit, for others of its clusters, and for new clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.data.frames import Table, as_frame
from saem.errors import DataError, ModelError
from saem.families import family_of
from saem.families.estimated import Estimated
from saem.inference.arguments import check_level
from saem.inference.conditional import effects_of, slopes_of
from saem.inference.maxima import information_beside, pinned_at
from saem.inference.rows import Inside, inside, posed, refuse_posterior, rows_of
from saem.stopping import Status

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.arranged import Arranged
    from saem.families.problem import Problem
    from saem.fitting.result import Fit

Array = np.ndarray

NEW_CLUSTERS = ("marginal", "refuse")


def predict(fit: Fit, table: Table | None = None, level: float = 0.95, new_clusters: str = "marginal") -> pd.DataFrame:
    """Means of rows with their standard errors, and intervals for a new observation of each.

    A row of a known cluster is predicted by the conditional mean ``x'beta + z'E[theta | y]`` (the best linear unbiased
    predictor where the variances are known), a row of a new cluster by the marginal mean ``x'beta``; what the errors
    are made of is in `saem.families.linear.predict`. Parameters at the boundary count as known. All is on the scale of
    the model: that of ``log(y)`` for ``log(y) ~ x``.

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

    check_level(level)
    if new_clusters not in NEW_CLUSTERS:
        raise ModelError(f"new_clusters must be 'marginal' or 'refuse'; got {new_clusters!r}")
    refuse_posterior(fit, "one estimate with its standard errors")
    before, data = rows_of(fit)
    family = family_of(fit.model)
    others = before if table is None else as_frame(table)
    rows = family.own_rows(data) if table is None else family.arrange_others(fit.model, before, data, others)
    known = rows.cluster >= 0
    if new_clusters == "refuse" and not known.all():
        raise DataError(
            f"{int((~known).sum())} of {len(known)} rows are of clusters that the fit does not know, the first is row "
            f"{int(np.argmin(known)) + 1}; predict them with new_clusters='marginal'"
        )
    at = estimated(fit, data)
    columns = family.predict(rows, at, level)
    return pd.DataFrame(columns, index=others.index)


def estimated(fit: Fit, data: Arranged) -> Estimated:
    """The estimate of a fit, with its errors and the random effects, in the coordinates in which it was found."""
    within = inside(fit, data)
    covariance, free, near = covariance_of(fit, data, within)
    effects, slopes = effects_of(fit, data, within), slopes_of(fit, data, within)
    return Estimated(within.place, within.data, within.x, within.values, covariance, free, near, effects, slopes)


def covariance_of(fit: Fit, data: Arranged, within: Inside) -> tuple[Array, Array, Array]:
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
            pinned[[k for k in problem.boundary.dependents.get(i, ()) if not fit.parameters.fixed[k]]] = True
    root = observed_information(problem, Solver(problem), x, pinned).root
    return root @ root.T, *left_free(problem, x)


def covariance_inside(fit: Fit, data: Arranged, x: Array) -> tuple[Array, Array, Array]:
    """Give `covariance_of` where the coordinates are not the user's, whose covariance keeps fewer digits."""
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
