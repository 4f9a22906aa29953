"""The compiled solver as Python sees it: one object for a problem, with its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.families.contract import CompleteData, Observed, Problem, Restricted
from saem.mstep import sqp

if TYPE_CHECKING:
    from saem.mstep.maximiser import Maximiser

KIND_CODES = {"mean": sqp.MEAN, "sd": sqp.SD, "corr": sqp.CORR}


@dataclass(frozen=True, eq=False)
class Derivatives:
    """An objective and the constraints at a point.

    Attributes
    ----------
    value : float
        Of the objective; ``-inf`` outside its domain.
    gradient : (n,) ndarray
    hessian : (n, n) ndarray
    c : (m,) ndarray
    jacobian : (m, n) ndarray
    c_hessian : (m, n, n) ndarray
    """

    value: float
    gradient: np.ndarray
    hessian: np.ndarray
    c: np.ndarray
    jacobian: np.ndarray
    c_hessian: np.ndarray


class Solver:
    """The constrained maximiser of a problem, with its memory.

    Parameters
    ----------
    problem : Problem
    maximiser : Maximiser, optional
        What `maximise` does its work by; by default the compiled Lagrange-Newton solver.
    """

    def __init__(self, problem: Problem, maximiser: Maximiser | None = None) -> None:
        self.problem = problem
        self.maximiser = maximiser
        self.kinds = np.array([KIND_CODES[kind] for kind in problem.parameters.kinds], dtype=np.int64)
        n, m = len(self.kinds), len(problem.constraints)
        self.constrained = sqp.new_workspace(n, m)
        self.unconstrained = sqp.new_workspace(n, 0) if m else self.constrained
        self.no_path = np.empty((0, n))
        self.no_floor = np.zeros(n)
        self.free = ~problem.parameters.fixed
        self.floors: np.ndarray | None = None  # of `saem.maxima.boundary`, which a search asks for many times

    def observed(self) -> Observed | Restricted:
        """The objective of direct maximum likelihood: marginal or restricted."""
        return Restricted(self.problem.arrays) if self.problem.restricted else Observed(self.problem.arrays)

    def complete(self, statistics: np.ndarray) -> CompleteData:
        """The objective of the M-step."""
        return CompleteData(self.problem.arrays, statistics)

    def maximise(
        self,
        objective: Any,
        x: np.ndarray,
        free: np.ndarray,
        *,
        floor: np.ndarray | None = None,
        tolerance: float = 1e-10,
        max_iterations: int = 200,
        path: np.ndarray | None = None,
        constrained: bool = True,
    ) -> sqp.Outcome:
        """Maximise from ``x``, which is overwritten; see `saem.mstep.sqp.maximise`.

        What is not constrained (`constrained` is False) is left to the compiled solver. Of another maximiser's path
        only the start and the end are recorded.
        """
        if self.maximiser is None or max_iterations == 0 or not constrained:
            return self.lagrange_newton(
                objective,
                x,
                free,
                floor=floor,
                tolerance=tolerance,
                max_iterations=max_iterations,
                path=path,
                constrained=constrained,
            )
        start = x.copy()
        outcome = self.maximiser.maximise(
            self,
            objective,
            x,
            free,
            floor=self.no_floor if floor is None else floor,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        if path is not None and len(path):
            path[0] = start
            path[min(outcome.iterations, len(path) - 1)] = x
        return outcome

    def lagrange_newton(
        self,
        objective: Any,
        x: np.ndarray,
        free: np.ndarray,
        *,
        floor: np.ndarray | None = None,
        tolerance: float = 1e-10,
        max_iterations: int = 200,
        path: np.ndarray | None = None,
        constrained: bool = True,
    ) -> sqp.Outcome:
        """Maximise by the compiled solver, whatever the maximiser."""
        return sqp.maximise(
            objective,
            self.problem.constraints.address,
            x,
            free,
            self.kinds,
            self.no_floor if floor is None else floor,
            tolerance,
            max_iterations,
            self.constrained if constrained else self.unconstrained,
            self.no_path if path is None else path,
        )

    def summit(self, x: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
        """The maximum of the observed likelihood nearest to ``x`` and its height; ``x`` itself where none is found."""
        top = x.copy()
        before = self.derivatives(self.observed(), x, free).value
        outcome = self.maximise(self.observed(), top, free)
        found = outcome.status == sqp.CONVERGED and outcome.value >= before
        return (top, outcome.value) if found else (x, before)

    @property
    def multipliers(self) -> np.ndarray:
        """Multipliers (m,) of the last call of `maximise` or `derivatives`."""
        return self.constrained.multipliers.copy()

    def derivatives(self, objective: Any, x: np.ndarray, free: np.ndarray | None = None) -> Derivatives:
        """Evaluate an objective and the constraints; sets the least-squares multipliers over the free parameters."""
        point = np.array(x, dtype=float)
        outcome = self.lagrange_newton(objective, point, self.free if free is None else free, max_iterations=0)
        ws = self.constrained
        return Derivatives(
            outcome.value,
            ws.gradient[0].copy(),
            ws.hessian[0].copy(),
            ws.c[0].copy(),
            ws.jacobian[0].copy(),
            ws.c_hessian[0].copy(),
        )
