"""What constrained maximisers share: how a result is certified, their units, and checks of their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.mstep import sqp

if TYPE_CHECKING:
    from saem.families.problem import Problem
    from saem.mstep.solver import Search

Array = np.ndarray

FEASIBLE = 1e-9  # of the parameters' size times the constraint's gradient: nearer to zero, a constraint holds
ATTEMPTED = 1e-6  # the same, beyond which the constraints count as violated
STATIONARY = 1e-5  # largest component of the scaled gradient on the tangent space, in standard errors


def relative_residual(c: Array, jacobian: Array, x: Array) -> float:
    """Largest constraint residual relative to its gradient times the size of the parameters, as `sqp` measures it."""
    if len(c) == 0:
        return 0.0
    return float(np.max(np.abs(c) / (1e-300 + np.abs(jacobian) @ (1e-3 + np.abs(x)))))


def certify(search: Search, iterations: int) -> sqp.SearchResult:
    """Judge a result by the compiled code, whatever the method that found it says of itself.

    Parameters
    ----------
    search : Search
        Whose ``x`` is the result; of its tolerance `STATIONARY` is good enough.
    iterations : int
        That it took.

    Returns
    -------
    saem.mstep.sqp.SearchResult
        `CONVERGED` only where the constraints hold to `FEASIBLE` and the gradient on the tangent space vanishes.
    """
    solver, x, region = search.solver, search.x, search.region
    result = solver.maximise(search.objective, x.copy(), region.free, max_iterations=0)._replace(iterations=iterations)
    if result.status == sqp.BAD_START:
        return result
    relative = relative_residual(solver.constrained.c[0], solver.constrained.jacobian[0], x)
    if region.is_below_floor(x):
        status = sqp.COLLAPSED
    elif relative <= FEASIBLE and result.stationarity <= max(search.tolerance, STATIONARY):
        status = sqp.CONVERGED
    elif relative <= ATTEMPTED:
        status = sqp.ITERATION_LIMIT
    else:
        status = sqp.INFEASIBLE
    return result._replace(status=status)


def scale_of(problem: Problem, hessian: Array) -> Array:
    """Units (n,) of the parameters: standard errors with the others known, at most ten typical sizes."""
    steepness = np.abs(np.diag(hessian))
    return np.asarray(1.0 / np.sqrt(np.maximum(steepness, 0.01 / problem.scale**2)))


def check_positive(owner: str, **settings: float) -> None:
    """Refuse a setting of a maximiser that is not a positive number."""
    for name, value in settings.items():
        if not (np.isfinite(value) and value > 0.0):
            raise ModelError(f"{name} of {owner} must be a positive number; got {value!r}")


def check_above_one(owner: str, **settings: float) -> None:
    """Refuse a factor of a maximiser by which nothing would grow."""
    for name, value in settings.items():
        if not (np.isfinite(value) and value > 1.0):
            raise ModelError(f"{name} of {owner} must be a number above 1; got {value!r}")
