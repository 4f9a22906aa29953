"""Fitted values and residuals of a nonlinear model."""

from __future__ import annotations

import ast

import numpy as np
from numpy.typing import NDArray

from saem.errors import ModelError
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.moments import mean_over
from saem.families.nonlinear.other_rows import own_rows
from saem.families.nonlinear.structure import Structure

Floats = NDArray[np.float64]


def mean_of(structure: Structure) -> ast.expr:
    """The expression of the mean of the response given the individual parameters.

    Raises
    ------
    ModelError
        When the outcome has none.
    """
    if structure.mean is None:
        raise ModelError("the outcome of this model has no mean to predict (a log_density of one's own, or categories)")
    return structure.mean


def residuals(data: NonlinearData, x: Floats, effects: Floats) -> dict[str, Floats]:
    """See `saem.families.family.Family.residuals`: `standardised` is Pearson's, given the individual parameters."""
    rows, structure = own_rows(data), data.structure
    marginal = fitted(data, x)
    z = rows.centres(x) + effects[data.cluster]
    conditional = rows.values(mean_of(structure), x, z)
    found = {
        "fitted_marginal": marginal,
        "fitted_conditional": conditional,
        "marginal": data.response - marginal,
        "conditional": data.response - conditional,
    }
    if structure.variance is not None:
        variance = rows.values(structure.variance, x, z)
        found["standardised"] = (data.response - conditional) / np.sqrt(np.where(variance > 0.0, variance, np.nan))
    return found


def fitted(data: NonlinearData, x: Floats) -> Floats:
    """The expected responses (n,), averaged over the random effects."""
    rows = own_rows(data)
    nothing = np.zeros((len(rows), len(data.structure.effects)))
    means, _ = mean_over(rows, [mean_of(data.structure)], x, nothing, rows.root(x)[rows.group])
    return means[0]
