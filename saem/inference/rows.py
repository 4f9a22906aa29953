"""The rows that a fit was made of, for what is inferred from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError
from saem.estep.integration.settling import look_finely
from saem.families import pose
from saem.families.arranged import Arranged
from saem.families.coordinates import USERS, Coordinates
from saem.fitting.concluding import at_true_zero
from saem.fitting.kept import arranged
from saem.fitting.kept import posed as kept_problem

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.problem import Problem
    from saem.fitting.result import Fit


def refuse_posterior(fit: Fit, what: str) -> None:
    """Refuse a fit by "bayes" where something is inferred from the maximum of the likelihood.

    Raises
    ------
    ModelError
        When the fit is a posterior.
    """
    if fit.posterior is not None:
        raise ModelError(
            f"this needs {what}, and a fit by 'bayes' is a posterior; fit the same model by 'ml' beside it"
        )


def rows_of(fit: Fit) -> tuple[pd.DataFrame, Arranged]:
    """The table of a fit, and the same arranged as arrays.

    Raises
    ------
    ModelError
        When the fit has none.
    """
    if fit.table is None:
        raise ModelError("this fit was saved without its table; fit again, and go on from the new fit")
    return fit.table, arranged(fit)


def posed(fit: Fit, data: Arranged, last: int = -1) -> Problem:
    """The problem of a fit, in the coordinates in which it was fitted; or with a parameter that these leave by itself.

    A likelihood by rules of integration has those of a maximum at the estimate, whatever the fit was made with, and
    whether or not it was loaded.

    Parameters
    ----------
    fit : Fit
    data : Arranged
        Of its rows, on the user's scale.
    last : int
        A parameter, if any.
    """
    if last < 0:
        problem = kept_problem(fit, data)
    else:
        problem = pose(fit.model, data, fit.method == "reml", None if len(fit.inner) else USERS, last)
    look_finely(problem, estimate(fit, problem))
    return problem


def estimate(fit: Fit, problem: Problem) -> np.ndarray:
    """The estimate (n,) in the coordinates of a problem, with what stood for a residual SD of zero in the fit."""
    coordinates, x = problem.coordinates, fit.values
    if not coordinates.is_users:
        if np.array_equal(coordinates.to_user(at_true_zero(problem, fit.inner)), x, equal_nan=True):
            return fit.inner
        x = coordinates.to_inner(x)  # values that were put in place of the estimate
    return np.where((x == 0.0) & problem.boundary.has_stand_in, problem.boundary.at_zero, x)


@dataclass(frozen=True, eq=False)
class Inside:
    """The rows and the estimate of a fit in the coordinates in which it was fitted.

    Attributes
    ----------
    coordinates : Coordinates
    data : Arranged
    x : (n,) ndarray
        The estimate, with what stood for a residual standard deviation of zero.
    values : (n,) ndarray
        The estimate, with zero there.
    """

    coordinates: Coordinates
    data: Arranged
    x: np.ndarray
    values: np.ndarray


def inside(fit: Fit, data: Arranged) -> Inside:
    """A fit and its rows in the coordinates in which it was fitted."""
    if not len(fit.inner) and not np.any((fit.values == 0.0) & ~fit.parameters.fixed):
        return Inside(USERS, data, fit.values, fit.values)
    problem = posed(fit, data)
    x, coordinates = estimate(fit, problem), problem.coordinates
    return Inside(coordinates, coordinates.inside(data), x, at_true_zero(problem, x))


def cluster_index(fit: Fit) -> pd.Index[Any]:
    """The clusters (C,) of a fit as the index of a table: the values of the cluster columns."""
    import pandas as pd

    labels = fit.cluster_labels
    found: pd.Index[Any] = pd.MultiIndex.from_frame(labels)
    if len(labels.columns) == 1:
        found = pd.Index(labels.iloc[:, 0], name=labels.columns[0])
    return found
