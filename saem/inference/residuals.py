"""Fitted values and residuals: given the random effects, without them, and made independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saem.families import family_of
from saem.inference.conditional import effects_of
from saem.inference.rows import inside, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from saem.fitting.result import Fit


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

    Other families may have fewer: those of generalised linear mixed models are `standardised` by the standard deviation
    of the outcome given the random effects (Pearson's), and have no `normalised`.

    Raises
    ------
    ModelError
        When the fit has no table, or a residual standard deviation is zero.
    """
    import pandas as pd

    table, data = rows_of(fit)
    within = inside(fit, data)
    family = family_of(fit.model)
    modes = fit.random_effects if within.coordinates.is_users else effects_of(fit, data, within).mean
    columns = family.residuals(within.data, within.values, modes, within.coordinates)
    return pd.DataFrame(columns, index=table.index)
