"""What a constrained maximiser is, beside the compiled Lagrange-Newton solver, and how its result is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError
from saem.mstep import sqp
from saem.specification.domains import Domains

if TYPE_CHECKING:
    from saem.families.problem import Problem
    from saem.mstep.solver import Solver

Array = np.ndarray

FEASIBLE = 1e-9  # of the parameters' size times the constraint's gradient: nearer to zero, a constraint holds
ATTEMPTED = 1e-6  # the same, beyond which the constraints count as violated
STATIONARY = 1e-5  # largest component of the scaled gradient on the tangent space, in standard errors


@dataclass(frozen=True, eq=False)
class Region:
    """Where the free parameters may go: between their bounds.

    Attributes
    ----------
    domains : Domains
    free : (n,) bool ndarray
    floor : (n,) ndarray
    """

    domains: Domains
    free: Array
    floor: Array

    def room(self, x: Array) -> Array:
        """Distances (n,) from the boundary; infinite for what has none, and for what does not move."""
        return np.where(self.free, self.domains.room(x), np.inf)

    def admits(self, old: Array, new: Array) -> bool:
        """Whether a move leaves some of the distance from the boundary."""
        left, before = self.room(new), self.room(old)
        return bool(np.all((left > 0.0) & (left >= (1.0 - sqp.BOUNDARY_FRACTION) * before)))

    def longest(self, x: Array, move: Array) -> float:
        """Largest fraction of a move, up to 1, that leaves some of the distance from the boundary."""
        with np.errstate(divide="ignore", invalid="ignore"):
            down = np.where(self.free & (move < 0.0), (self.domains.low - x) / move, np.inf)
            up = np.where(self.free & (move > 0.0), (self.domains.high - x) / move, np.inf)
        return min(1.0, sqp.BOUNDARY_FRACTION * float(min(np.min(down), np.min(up))))

    def is_below_floor(self, x: Array) -> bool:
        """Whether a parameter passed its floor."""
        return bool(np.any(self.room(x) < self.floor))


def relative_residual(c: Array, jacobian: Array, x: Array) -> float:
    """Largest constraint residual relative to its gradient times the size of the parameters, as `sqp` measures it."""
    if len(c) == 0:
        return 0.0
    return float(np.max(np.abs(c) / (1e-300 + np.abs(jacobian) @ (1e-3 + np.abs(x)))))


def conclude(
    solver: Solver, objective: Any, x: Array, region: Region, tolerance: float, iterations: int
) -> sqp.Outcome:
    """Judge a result by the compiled code, whatever the method that found it says of itself.

    Parameters
    ----------
    solver : Solver
    objective : CompleteData, Observed or Restricted
    x : (n,) ndarray
        The result.
    region : Region
    tolerance : float
        Asked for; `STATIONARY` is good enough.
    iterations : int
        That it took.

    Returns
    -------
    saem.mstep.sqp.Outcome
        `CONVERGED` only where the constraints hold to `FEASIBLE` and the gradient on the tangent space vanishes.
    """
    outcome = solver.lagrange_newton(objective, x.copy(), region.free, max_iterations=0)._replace(iterations=iterations)
    if outcome.status == sqp.BAD_START:
        return outcome
    relative = relative_residual(solver.constrained.c[0], solver.constrained.jacobian[0], x)
    if region.is_below_floor(x):
        status = sqp.COLLAPSED
    elif relative <= FEASIBLE and outcome.stationarity <= max(tolerance, STATIONARY):
        status = sqp.CONVERGED
    elif relative <= ATTEMPTED:
        status = sqp.ITERATION_LIMIT
    else:
        status = sqp.INFEASIBLE
    return outcome._replace(status=status)


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
