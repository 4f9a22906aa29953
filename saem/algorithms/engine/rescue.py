"""Where an M-step fails, an iteration goes on from elsewhere, or says why it cannot."""

from __future__ import annotations

import numpy as np

from saem.errors import MStepError, exact_fit
from saem.families.problem import Problem
from saem.maxima.boundary import residual_labels
from saem.maxima.starts import solutions_along
from saem.mstep import sqp
from saem.mstep.solver import Solver

Array = np.ndarray

FAR_OFF = 1e3  # typical sizes: a positive parameter beyond, where an M-step fails, goes to infinity
DEGENERATE = 1e-4  # of its typical size: a residual SD below, where an M-step fails, goes to zero
FAILURES = {
    sqp.ITERATION_LIMIT: "Newton's method did not converge",
    sqp.LINE_SEARCH_FAILED: "no step along the constraints increases the complete-data likelihood",
    sqp.INFEASIBLE: "the constraints cannot be satisfied from the current estimate",
    sqp.COLLAPSED: "a standard deviation went to zero",
    sqp.BAD_START: "the complete-data likelihood or a constraint is not finite at the current estimate",
}


def failure(problem: Problem, solver: Solver, x: Array, status: int) -> MStepError:
    """The error for an M-step that failed at ``x`` (n,) with a status of the compiled maximiser is made here."""
    sd = solver.domains.can_vanish & solver.free
    gone = sd & (~problem.boundary.collapsible | problem.boundary.has_stand_in) & (x < DEGENERATE * problem.scale)
    if gone.any():
        return MStepError(exact_fit(residual_labels(problem, gone)), unbounded=True)
    away = solver.domains.is_positive & ~sd & solver.free & (x > FAR_OFF * problem.scale)
    if away.any():
        i = int(np.argmax(np.where(away, x / problem.scale, 0.0)))
        return MStepError(
            f"{problem.parameters.names[i]!r} goes to infinity (it is {x[i]:.3g}), where the likelihood does not fall: "
            "give it a value in [fixed], or leave out what it is for"
        )
    is_infeasible = status in (sqp.INFEASIBLE, sqp.BAD_START) and len(problem.constraints) > 0
    return MStepError(f"no maximum of the complete-data likelihood was found: {FAILURES[status]}", is_infeasible)


def nearest_solution(problem: Problem, solver: Solver, x: Array, free: Array) -> Array | None:
    """The nearest point with the likelihood of ``x`` that satisfies the constraints is found, where there is one.

    Where the noise pushes the statistics over a fold of the constraint, the branch on which the estimate was
    ends, and the M-step has to go on from another one.
    """
    if not problem.likelihood.is_available:
        return None
    points = solutions_along(problem, solver, x, free)
    return min(points, key=lambda point: float(np.sum((point - x) ** 2))) if points else None
