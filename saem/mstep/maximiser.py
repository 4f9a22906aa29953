"""What a constrained maximiser is, beside the compiled Lagrange-Newton solver, and how its result is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from saem.errors import ModelError
from saem.mstep import sqp

if TYPE_CHECKING:
    from saem.families.contract import Problem
    from saem.mstep.solver import Solver

Array = np.ndarray

FEASIBLE = 1e-9  # of the parameters' size times the constraint's gradient: nearer to zero, a constraint holds
ATTEMPTED = 1e-6  # the same, beyond which the constraints count as violated
STATIONARY = 1e-5  # largest component of the scaled gradient on the tangent space, in standard errors


class Maximiser(Protocol):
    """A way to maximise an objective under the constraints: an M-step, or direct maximum likelihood.

    Attributes
    ----------
    name : str
    single_step : bool
        Whether a call makes one step only, so that the maximum is reached by calling it again (generalised EM).
    """

    name: ClassVar[str]
    single_step: ClassVar[bool]

    def check(self, problem: Problem) -> None:
        """Refuse a problem that the maximiser cannot serve.

        Raises
        ------
        ModelError
            Saying why.
        """
        ...

    def maximise(
        self,
        solver: Solver,
        objective: Any,
        x: Array,
        free: Array,
        *,
        floor: Array,
        tolerance: float,
        max_iterations: int,
    ) -> sqp.Outcome:
        """Maximise from a start that need not satisfy the constraints.

        Parameters
        ----------
        solver : Solver
            Evaluates the objective and the constraints.
        objective : CompleteData, Observed or Restricted
            From `Solver.complete` or `Solver.observed`.
        x : (n,) ndarray, overwritten
            The start, then the result.
        free : (n,) bool ndarray
            Parameters that may move.
        floor : (n,) ndarray
            A standard deviation below its floor, or a correlation nearer to one than that, ends the search with
            `COLLAPSED`.
        tolerance : float
            On the scaled gradient in the tangent space, in units of standard errors.
        max_iterations : int

        Returns
        -------
        saem.mstep.sqp.Outcome
            Judged by the compiled code, see `conclude`.
        """
        ...


@dataclass(frozen=True, eq=False)
class Domain:
    """Where the free parameters may go: standard deviations above zero, correlations between -1 and 1.

    Attributes
    ----------
    kinds : (n,) int64 ndarray
    free : (n,) bool ndarray
    floor : (n,) ndarray
    """

    kinds: Array
    free: Array
    floor: Array

    def room(self, x: Array) -> Array:
        """Distances (n,) from the boundary; infinite for means and for what does not move."""
        bounded = np.where(self.kinds == sqp.SD, x, 1.0 - np.abs(x))
        return np.where(self.free & (self.kinds != sqp.MEAN), bounded, np.inf)

    def admits(self, old: Array, new: Array) -> bool:
        """Whether a move leaves some of the distance from the boundary."""
        left, before = self.room(new), self.room(old)
        return bool(np.all((left > 0.0) & (left >= (1.0 - sqp.BOUNDARY_FRACTION) * before)))

    def longest(self, x: Array, move: Array) -> float:
        """Largest fraction of a move, up to 1, that leaves some of the distance from the boundary."""
        towards = np.where(self.kinds == sqp.SD, -move, np.sign(x) * move)
        away = np.where(self.kinds == sqp.CORR, 1.0 + np.abs(x), np.inf)  # to the other end of the range
        with np.errstate(divide="ignore", invalid="ignore"):
            near = np.where(towards > 0.0, self.room(x) / towards, np.inf)
            far = np.where(towards < 0.0, away / -towards, np.inf)
        return min(1.0, sqp.BOUNDARY_FRACTION * float(min(np.min(near), np.min(far))))

    def is_below_floor(self, x: Array) -> bool:
        """Whether a parameter passed its floor."""
        return bool(np.any(self.room(x) < self.floor))


def relative_residual(c: Array, jacobian: Array, x: Array) -> float:
    """Largest constraint residual relative to its gradient times the size of the parameters, as `sqp` measures it."""
    if len(c) == 0:
        return 0.0
    return float(np.max(np.abs(c) / (1e-300 + np.abs(jacobian) @ (1e-3 + np.abs(x)))))


def conclude(
    solver: Solver, objective: Any, x: Array, domain: Domain, tolerance: float, iterations: int
) -> sqp.Outcome:
    """Judge a result by the compiled code, whatever the method that found it says of itself.

    Parameters
    ----------
    solver : Solver
    objective : CompleteData, Observed or Restricted
    x : (n,) ndarray
        The result.
    domain : Domain
    tolerance : float
        Asked for; `STATIONARY` is good enough.
    iterations : int
        That it took.

    Returns
    -------
    saem.mstep.sqp.Outcome
        `CONVERGED` only where the constraints hold to `FEASIBLE` and the gradient on the tangent space vanishes.
    """
    outcome = solver.lagrange_newton(objective, x.copy(), domain.free, max_iterations=0)._replace(iterations=iterations)
    if outcome.status == sqp.BAD_START:
        return outcome
    relative = relative_residual(solver.constrained.c[0], solver.constrained.jacobian[0], x)
    if domain.is_below_floor(x):
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
