"""The exact l1 penalty method (Pietrzykowski 1969; Fletcher 1987, section 14.4; Nocedal & Wright 2006, section 17.2).

``f(x) - lambda sum_k |c_k(x)|`` has the constrained maximum for a maximum as soon as ``lambda`` exceeds the largest
multiplier. Below, as under a lasso, those constraints are given up whose multiplier would have to be larger.
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
class L1Penalty:
    """Maximise under an l1 penalty that grows until the constraints hold.

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
    growth: float = 10.0
    largest: float = 1e8
    name: ClassVar[str] = "l1_penalty"
    single_step: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive("the l1 penalty", first=self.first, largest=self.largest)
        check_above_one("the l1 penalty", growth=self.growth)

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
        iterations, weight = 0, self.first
        while weight <= self.largest:
            units = penalised.standard_errors(x)
            if units is None:
                return sqp.Outcome(sqp.BAD_START, -np.inf, iterations, np.inf, np.inf, 0)
            found = penalised.absolute(x, weight / units, tolerance, max_iterations - iterations)
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

        The penalty is exact above the largest multiplier for a *local* maximum. Where the penalised objective has
        others (it need not be concave), weights in descending order stay with the constrained maximum as long as it is
        one, and weights in ascending order with the unconstrained one.

        Parameters
        ----------
        solver : Solver
        objective : CompleteData, Observed or Restricted
        x : (n,) ndarray
            The start; it is not changed.
        free : (n,) bool ndarray
        weights : sequence of float
            ``lambda``, of residuals in their own units: to be compared with `Solver.multipliers`.
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
            check_positive("the l1 penalty's path", weight=weight)
            found = penalised.absolute(x, np.full(m, weight), tolerance, 500)
            if found is None:
                break
            x = found.at.x
            at = solver.derivatives(objective, x, free)
            points.append(PathPoint(weight, x, at.c, at.value, found.gap))
        return points
