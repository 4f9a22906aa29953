"""The quadratic penalty method (Courant 1943; Nocedal & Wright 2006, section 17.1).

``f(x) - lambda/2 sum_k c_k(x)^2`` is maximised for a growing ``lambda``. The residual is about multiplier / ``lambda``
and vanishes only in the limit: the penalty is never exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from saem.mstep import sqp
from saem.mstep.maximiser import FEASIBLE, Domain, check_above_one, check_positive, conclude, relative_residual
from saem.mstep.methods.penalty import PathPoint, Penalised

if TYPE_CHECKING:
    from saem.families.contract import Problem
    from saem.mstep.solver import Solver

Array = np.ndarray


@dataclass(frozen=True)
class QuadraticPenalty:
    """Maximise under a quadratic penalty that grows until the constraints hold to 1e-9.

    Attributes
    ----------
    first : float
        ``lambda`` of the first search, for residuals in standard errors.
    growth : float
        Factor from one search to the next.
    largest : float
        ``lambda`` after which the search is given up.
    """

    first: float = 10.0
    growth: float = 100.0
    largest: float = 1e14
    name: ClassVar[str] = "quadratic_penalty"
    single_step: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive("the quadratic penalty", first=self.first, largest=self.largest)
        check_above_one("the quadratic penalty", growth=self.growth)

    def check(self, problem: Problem) -> None:
        """Any problem will do."""

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
        """Maximise from ``x``, which is overwritten; see `saem.mstep.maximiser.Maximiser.maximise`."""
        domain = Domain(solver.kinds, free, floor)
        penalised = Penalised(solver, objective, x, domain)
        nothing = np.zeros(len(solver.problem.constraints))
        iterations, weight = 0, self.first
        while weight <= self.largest:
            units = penalised.standard_errors(x)
            if units is None:
                return sqp.Outcome(sqp.BAD_START, -np.inf, iterations, np.inf, np.inf, 0)
            found = penalised.augmented(x, nothing, weight / units**2, tolerance, max_iterations - iterations)
            if found is None:
                break
            x[:] = found.at.x
            iterations += found.iterations
            c, jacobian, _ = solver.problem.constraints.evaluate(x)
            holds = relative_residual(c, jacobian, x) <= FEASIBLE
            if holds or found.collapsed or iterations >= max_iterations:
                break
            weight *= self.growth
        return conclude(solver, objective, x, domain, tolerance, iterations)

    def path(
        self, solver: Solver, objective: Any, x: Array, free: Array, weights: Sequence[float], tolerance: float = 1e-9
    ) -> list[PathPoint]:
        """The maximisers under given penalties, each search starting where the one before ended.

        Parameters
        ----------
        solver : Solver
        objective : CompleteData, Observed or Restricted
        x : (n,) ndarray
            The start; it is not changed.
        free : (n,) bool ndarray
        weights : sequence of float
            ``lambda``, of residuals in their own units.
        tolerance : float
            Of each search, in standard errors.

        Returns
        -------
        list of saem.mstep.methods.penalty.PathPoint
            One for each weight; the search ends early where the objective is not finite.
        """
        m = len(solver.problem.constraints)
        penalised = Penalised(solver, objective, x, Domain(solver.kinds, free, solver.no_floor))
        points: list[PathPoint] = []
        for weight in weights:
            check_positive("the quadratic penalty's path", weight=weight)
            found = penalised.augmented(x, np.zeros(m), np.full(m, weight), tolerance, 500)
            if found is None:
                break
            x = found.at.x
            at = solver.derivatives(objective, x, free)
            points.append(PathPoint(weight, x, at.c, at.value, found.gap))
        return points
