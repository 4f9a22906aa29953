"""The augmented Lagrangian, or method of multipliers (Hestenes 1969; Powell 1969; Nocedal & Wright 2006, section 17.3).

``f(x) + y'c(x) - lambda/2 sum_k c_k(x)^2`` is maximised, then ``y <- y - lambda c(x)``. Unlike the quadratic penalty
alone, it needs no large ``lambda``: the residual falls by the factor multiplier curvature / ``lambda`` a round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from saem.mstep import sqp
from saem.mstep.maximiser import Domain, check_above_one, check_positive, conclude, relative_residual
from saem.mstep.methods.penalty import Penalised

if TYPE_CHECKING:
    from saem.families.contract import Problem
    from saem.mstep.solver import Solver

Array = np.ndarray
LARGEST = 1e14  # penalty
ENOUGH = 0.1  # of its size before: a residual that falls by less makes the penalty grow


@dataclass(frozen=True)
class AugmentedLagrangian:
    """Maximise the augmented Lagrangian, with multipliers that begin with the least-squares ones of the start.

    Attributes
    ----------
    first : float
        ``lambda`` of the first search, for residuals in standard errors.
    growth : float
        Factor of ``lambda`` where the residual falls too slowly.
    rounds : int
        Updates of the multipliers at most.
    """

    first: float = 100.0
    growth: float = 10.0
    rounds: int = 40
    name: ClassVar[str] = "augmented_lagrangian"
    single_step: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive("the augmented Lagrangian", first=self.first, rounds=self.rounds)
        check_above_one("the augmented Lagrangian", growth=self.growth)

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
        units = penalised.standard_errors(x)
        if units is None:
            return sqp.Outcome(sqp.BAD_START, -np.inf, 0, np.inf, np.inf, 0)
        # multipliers of a start far from the constraints say little, and could outweigh the penalty
        multipliers = np.clip(solver.multipliers, -self.first / units, self.first / units)
        iterations, weight, before = 0, self.first, np.inf
        for _ in range(self.rounds):
            weights = weight / units**2
            found = penalised.augmented(x, multipliers, weights, tolerance, max_iterations - iterations)
            if found is None:
                break
            x[:] = found.at.x
            iterations += found.iterations
            c, jacobian, _ = solver.problem.constraints.evaluate(x)
            relative = relative_residual(c, jacobian, x)
            if relative <= sqp.FEASIBLE or found.collapsed or iterations >= max_iterations:
                break
            multipliers = multipliers - weights * c
            if relative > ENOUGH * before:
                weight = min(weight * self.growth, LARGEST)
            before = relative
            units = penalised.standard_errors(x)
            if units is None:
                break
        return conclude(solver, objective, x, domain, tolerance, iterations)
