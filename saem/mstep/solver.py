"""The compiled solver as Python sees it: one object for a problem, with its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from saem.estep.integration.marginal import Quadrature, log_likelihood
from saem.estep.integration.marginal_blocks import shared_objective
from saem.estep.integration.settling import objective_of
from saem.families.contract import CompleteData, Observed, Restricted
from saem.families.problem import Problem
from saem.mstep import sqp
from saem.mstep.recalled import recalled, remember
from saem.mstep.region import Region


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


@dataclass(frozen=True, eq=False)
class Search:
    """What a maximiser is asked for.

    Attributes
    ----------
    solver : Solver
        Evaluates the objective and the constraints.
    objective : CompleteData, Observed, Restricted or Quadrature
        From `Solver.complete` or `Solver.observed`.
    x : (n,) ndarray, overwritten
        The start, which need not satisfy the constraints; then the result.
    region : Region
        Which parameters may move, and how far.
    tolerance : float
        On the scaled gradient in the tangent space, in units of standard errors.
    max_iterations : int
    """

    solver: Solver
    objective: Any
    x: np.ndarray
    region: Region
    tolerance: float
    max_iterations: int

    def derivatives(self, x: np.ndarray) -> Derivatives:
        """The objective and the constraints at a point (n,)."""
        return self.solver.derivatives(self.objective, x, self.region.free)


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

    def maximise(self, search: Search) -> sqp.SearchResult:
        """Maximise from ``search.x``, which is overwritten.

        Returns
        -------
        saem.mstep.sqp.SearchResult
            Judged by the compiled code, see `saem.mstep.certify.certify`.
        """
        ...


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
        self.domains = problem.parameters.domains
        n, m = len(self.domains), len(problem.constraints)
        self.constrained = sqp.new_workspace(n, m)
        self.unconstrained = sqp.new_workspace(n, 0) if m else self.constrained
        self.no_path = np.empty((0, n))
        self.no_floor = np.zeros(n)
        self.free = ~problem.parameters.fixed
        self.floors: np.ndarray | None = None  # of `saem.maxima.boundary`, which a search asks for many times

    def observed(self) -> Observed | Restricted | Quadrature:
        """The objective of direct maximum likelihood: marginal, in closed form or by quadrature, or restricted."""
        if self.problem.likelihood.kind == "quadrature":
            return objective_of(self.problem)
        return Restricted(self.problem.arrays) if self.problem.likelihood.restricted else Observed(self.problem.arrays)

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
    ) -> sqp.SearchResult:
        """Maximise from ``x``, which is overwritten; see `saem.mstep.sqp.maximise`.

        What is not constrained (`constrained` is False) is left to the compiled solver. Of another maximiser's path
        only the start and the end are recorded.
        """
        search = self.search(objective, x, free, floor, tolerance, max_iterations)
        if self.maximiser is None or max_iterations == 0 or not constrained:
            return self.lagrange_newton(search, path, constrained)
        start = x.copy()
        result = self.maximiser.maximise(search)
        if path is not None and len(path):
            path[0] = start
            path[min(result.iterations, len(path) - 1)] = x
        return result

    def search(
        self,
        objective: Any,
        x: np.ndarray,
        free: np.ndarray,
        floor: np.ndarray | None = None,
        tolerance: float = 1e-10,
        max_iterations: int = 200,
    ) -> Search:
        """What to ask a maximiser for, see `Search`; without a floor, none ends it."""
        region = Region(self.domains, free, self.no_floor if floor is None else floor)
        return Search(self, objective, x, region, tolerance, max_iterations)

    def lagrange_newton(
        self, search: Search, path: np.ndarray | None = None, constrained: bool = True
    ) -> sqp.SearchResult:
        """Maximise by the compiled solver, whatever the maximiser."""
        ws = self.constrained if constrained else self.unconstrained
        with shared_objective(search.objective, len(search.x)) as objective:
            result = sqp.maximise(
                objective,
                self.problem.constraints.address,
                search.x,
                search.region.free,
                self.domains.low,
                self.domains.high,
                search.region.floor,
                search.tolerance,
                search.max_iterations,
                ws,
                self.no_path if path is None else path,
            )
        is_costly = isinstance(search.objective, Quadrature) and search.objective is objective_of(self.problem)
        if is_costly and constrained and result.status == sqp.CONVERGED:
            key = ("derivatives", search.x.tobytes(), search.region.free.tobytes())
            remember(self.problem, key, (self.found_by(result), self.multipliers))
        return result

    def found_by(self, result: sqp.SearchResult) -> Derivatives:
        """The derivatives at the end of a search."""
        ws, last = self.constrained, result.last
        return Derivatives(
            result.value,
            ws.gradient[last].copy(),
            ws.hessian[last].copy(),
            ws.c[last].copy(),
            ws.jacobian[last].copy(),
            ws.c_hessian[last].copy(),
        )

    def height(self, x: np.ndarray) -> float:
        """The observed log-likelihood, without derivatives where these cost more."""
        objective = self.observed()
        if isinstance(objective, Quadrature):
            return log_likelihood(objective, x)
        return self.derivatives(objective, x).value

    def summit(self, x: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
        """The maximum of the observed likelihood nearest to ``x`` and its height; ``x`` itself where none is found."""
        top = x.copy()
        before = self.height(x)
        result = self.maximise(self.observed(), top, free)
        found = result.status == sqp.CONVERGED and result.value >= before
        return (top, result.value) if found else (x, before)

    @property
    def multipliers(self) -> np.ndarray:
        """Multipliers (m,) of the last call of `maximise` or `derivatives`."""
        return self.constrained.multipliers.copy()

    def derivatives(self, objective: Any, x: np.ndarray, free: np.ndarray | None = None) -> Derivatives:
        """Evaluate an objective and the constraints; sets the least-squares multipliers over the free parameters."""
        point, moving = np.array(x, dtype=float), self.free if free is None else free

        def evaluate() -> tuple[Derivatives, np.ndarray]:
            result = self.maximise(objective, point, moving, max_iterations=0)
            return self.found_by(result), self.multipliers

        if not isinstance(objective, Quadrature) or objective is not objective_of(self.problem):
            return evaluate()[0]
        key = ("derivatives", point.tobytes(), moving.tobytes())
        found, self.constrained.multipliers[:] = recalled(self.problem, key, evaluate)
        return found
