"""The expected response of every cluster along a column: with its own random effects, and of a typical one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError, listing, nearest
from saem.families import family_of
from saem.inference.arguments import whole
from saem.inference.conditional import effects_of
from saem.inference.prediction import estimated
from saem.inference.random_effects import listed_effects
from saem.inference.rows import inside, refuse_posterior, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit

MOST = 10_000  # points of a curve


def column_along(fit: Fit, column: str | None = None) -> str:
    """The column along which curves run: the one of most different values, of those that vary within clusters.

    Raises
    ------
    ModelError
        When there is none, or the one that is named holds no numbers.
    """
    import pandas as pd

    table = rows_of(fit)[0]
    numeric = [
        name
        for name in fit.model.design_columns
        if pd.api.types.is_numeric_dtype(table[name].dtype) and not pd.api.types.is_bool_dtype(table[name].dtype)
    ]
    if column is not None:
        if column not in numeric:
            raise ModelError(
                f"there is no column {column!r} of numbers{nearest(column, numeric)} that the law of the response "
                f"depends on; those are {listing(numeric) or 'none'}"
            )
        return column
    groups = [table.groupby(list(columns), sort=False) for columns in fit.model.groupings]
    varying = [name for name in numeric if any(bool((each[name].nunique() > 1).any()) for each in groups)]
    if not varying:
        raise ModelError("no column of numbers that the law of the response depends on varies within clusters")
    counts: Any = table[varying].nunique()
    return max(varying, key=lambda name: int(counts[name]))


def curves(fit: Fit, column: str | None = None, points: int = 100) -> pd.DataFrame:
    """Curves of expected responses along a column, one for every cluster.

    Parameters
    ----------
    fit : Fit
    column : str, optional
        A column of numbers that the model reads; `column_along` if omitted.
    points : int
        Of each curve, between the ends of the column in the table of the fit. What else the model reads is as in the
        last row of the cluster that is not beyond the point.

    Returns
    -------
    DataFrame
        A row for every cluster and point: the columns that the model reads but the response, `individual`, the expected
        response with the conditional modes of the random effects, and `typical`, that of a new cluster with the same
        columns (in nonlinear models that with random effects of zero). On the scale of the model.

    Raises
    ------
    ModelError
        When there is no such column, the outcome has no mean, or clusters are what rows that share levels connect.
    """
    listed = listed_effects(fit)
    if listed is not None and "factor" in listed.index.names:
        raise ModelError(
            "rows of this model are those of a level of each of several factors, and of no single cluster; predict the "
            "rows of a table with the levels that you want by saem.predict"
        )
    column, points = column_along(fit, column), whole(points, "points", 2, MOST)
    refuse_posterior(fit, "one estimate at which curves are drawn")
    table, data = rows_of(fit)
    values = table[column].to_numpy(dtype=float)
    along = np.linspace(values.min(), values.max(), points)
    rows = []
    for cluster in range(fit.n_clusters):
        own = np.flatnonzero(data.rows_in(cluster))
        own = own[np.argsort(values[own], kind="stable")]
        rows.append(own[np.maximum(np.searchsorted(values[own], along, side="right") - 1, 0)])
    left_out = [name for name in fit.model.response_columns if name in table]
    grid = table.drop(columns=left_out).iloc[np.concatenate(rows)].reset_index(drop=True)
    grid = grid.assign(**{column: np.tile(along, fit.n_clusters)})
    family = family_of(fit.model)
    within = inside(fit, data)
    modes: Any = fit.random_effects if within.coordinates.is_users else effects_of(fit, data, within).mean
    found = family.curves(family.arrange_others(fit.model, table, data, grid), estimated(fit, data), modes)
    return grid.assign(**found)
