"""The likelihood of a fitted model on its own table, to be looked at away from the estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import FitError, ModelError
from saem.families.problem import Problem
from saem.inference.rows import estimate, posed, refuse_posterior, rows_of
from saem.maxima.boundary import climb
from saem.mstep import sqp
from saem.mstep.solver import Solver

if TYPE_CHECKING:
    from saem.fitting.result import Fit

Array = np.ndarray

SAME = 1e-5  # log-likelihoods of one maximum in two systems of coordinates
NEARLY, INSIDE = 0.9999, 0.9  # correlations: those beyond, and where a search begins instead
FAILED = (sqp.COLLAPSED, sqp.INFEASIBLE, sqp.BAD_START)


@dataclass(frozen=True, eq=False)
class Point:
    """A constrained maximum of the likelihood.

    Attributes
    ----------
    x : (n,) ndarray
    pinned : (n,) bool ndarray
        Parameters held at the boundary.
    loglik : float
    """

    x: Array
    pinned: Array
    loglik: float


@dataclass(frozen=True, eq=False)
class Surface:
    """The marginal log-likelihood of a model and a table, under its constraints.

    Attributes
    ----------
    problem : Problem
    top : Point
        The maximum beside the estimate of the fit.
    """

    problem: Problem
    top: Point

    @classmethod
    def of(cls, fit: Fit) -> Surface:
        """The surface that a fit stands on, restricted for REML.

        Raises
        ------
        ModelError
            When the fit has no table, is a posterior, or the family has no likelihood in closed form.
        FitError
            When no maximum is found beside the estimate.
        """
        refuse_posterior(fit, "the likelihood around its maximum")
        problem = posed(fit, rows_of(fit)[1])
        if not problem.likelihood.is_available:
            raise ModelError("the family of the model has no likelihood in closed form, which this needs")
        top = maximum(problem, estimate(fit, problem))
        if top is None:
            raise FitError("no maximum of the likelihood was found beside the estimate of this fit; fit it by 'ml'")
        return cls(problem, top)

    def by_itself(self, fit: Fit, i: int) -> Surface | None:
        """The same surface in coordinates in which a parameter depends on the inner one of its name alone.

        None where there are none: for a correlation of random effects whose columns are centred.

        Raises
        ------
        FitError
            When no maximum is found in them.
        """
        problem = posed(fit, rows_of(fit)[1], last=i)
        if not problem.coordinates.is_aligned(i):
            return None
        users = self.problem.coordinates.to_user(self.top.x)
        top = maximum(problem, problem.coordinates.to_inner(users))
        if top is None or abs(top.loglik - self.top.loglik) > SAME:
            raise FitError(
                f"the maximum beside the estimate was not found again with {problem.parameters.names[i]} as a "
                "parameter of its own; centre the columns of the model"
            )
        return Surface(problem, top)

    def index(self, name: str) -> int:
        """Where a free parameter is.

        Raises
        ------
        ModelError
            When there is no such parameter, or it is fixed.
        """
        i = self.problem.parameters.index(name)
        users = self.problem.coordinates.parameters(self.problem.parameters)
        if users.fixed[i]:
            raise ModelError(f"{name} is fixed at {users.fixed_values[i]:g}")
        return i


def held(problem: Problem, i: int, value: float) -> Problem:
    """The problem with a parameter fixed."""
    parameters = problem.parameters
    fixed, values = parameters.fixed.copy(), parameters.fixed_values.copy()
    fixed[i], values[i] = True, value
    if value == problem.boundary.at_zero[i] and parameters.domains.can_vanish[i]:  # a correlation with nothing
        dependents = [j for j in problem.boundary.dependents.get(i, ()) if not fixed[j]]
        fixed[dependents], values[dependents] = True, 0.0
    return replace(
        problem,
        parameters=replace(parameters, fixed=fixed, fixed_values=values),
        boundary=replace(problem.boundary, collapsible=problem.boundary.collapsible & ~fixed),
    )


def maximum(problem: Problem, start: Array, solver: Solver | None = None) -> Point | None:
    """The maximum that a start leads to; None where the search fails.

    A correlation of one, where a search cannot begin, is moved away from it; the search finds the way back.
    """
    singular = problem.parameters.domains.is_correlation & ~problem.parameters.fixed & (np.abs(start) > NEARLY)
    begin = np.where(singular, INSIDE * np.sign(start), start)
    x, pinned, result = climb(problem, Solver(problem) if solver is None else solver, begin)
    if result.status in FAILED or not np.isfinite(result.value):
        return None
    if result.status != sqp.CONVERGED and result.stationarity > 1e-4:
        return None
    return Point(x, pinned, float(result.value))
