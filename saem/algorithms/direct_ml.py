"""Direct maximum likelihood: the closed-form marginal likelihood under the constraints, from several starts.

The exact referee of every stochastic algorithm. With a restricted problem it is REML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from saem.algorithms.outcome import Outcome
from saem.errors import FitError, listing
from saem.models.contract import Problem
from saem.mstep import sqp
from saem.mstep.boundary import climb
from saem.mstep.solver import Solver
from saem.mstep.starts import SCATTERED, infeasible, scattered, single_moves, solutions_along
from saem.stopping import Status

Array = np.ndarray

TIE = 1e-10  # log-likelihoods nearer than this (relative to their size) are equal
SAME = 1e-4  # estimates nearer than this, relative to the parameters' size, are one


@dataclass(frozen=True)
class DirectML:
    """Newton's method on the marginal likelihood with exact derivatives under the constraints.

    Attributes
    ----------
    max_path : int
        Iterates to record of the search that led to the estimate.
    """

    max_path: int = 200
    name: ClassVar[str] = "ml"

    def run(self, problem: Problem, seed: int = 0) -> Outcome:
        """Find the maximum, and all others of the same height that the starts lead to.

        Parameters
        ----------
        problem : Problem
        seed : int
            Not used: the method draws nothing.

        Raises
        ------
        ConstraintError
            When no start leads to parameters that satisfy the constraints.
        FitError
            When the likelihood is unbounded, or no search ends in a maximum.
        """
        solver = Solver(problem)
        peaks: list[tuple[float, Array, Array, Array]] = []  # log-likelihood, x, pinned, start
        failures: list[sqp.Outcome] = []
        for start in search_starts(problem, solver):
            if any(np.max(np.abs(start - x) / problem.scale) < SAME for _, x, _, _ in peaks):
                continue
            x, pinned, outcome = climb(problem, solver, start)
            acceptable = outcome.status == sqp.CONVERGED or (
                outcome.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) and outcome.stationarity < 1e-5
            )
            if not acceptable:
                failures.append(outcome)
                continue
            if not any(is_same(problem, x, other) for _, other, _, _ in peaks):
                peaks.append((outcome.value, x, pinned, start))
        if not peaks:
            raise no_maximum(problem, failures)
        best = max(value for value, *_ in peaks)
        tied = [peak for peak in peaks if best - peak[0] <= TIE * (1.0 + abs(best))]
        lower = sorted((peak for peak in peaks if best - peak[0] > TIE * (1.0 + abs(best))), key=lambda p: -p[0])
        # of equal likelihood, the estimate with the smallest parameters comes first
        tied.sort(key=lambda peak: float(np.sum(peak[1] ** 2)))
        _, x, pinned, start = tied[0]
        path = self.search_path(problem, solver, [problem.starts[0], start], x)
        status = Status.SEVERAL_SOLUTIONS if len(tied) > 1 else Status.BOUNDARY if pinned.any() else Status.CONVERGED
        ordered = [*tied, *lower]
        return Outcome(
            x=x,
            pinned=pinned,
            status=status,
            message=f"{len(tied)} solutions have the same likelihood." if len(tied) > 1 else "",
            path=np.vstack([path, x]),
            solutions=np.array([peak[1] for peak in ordered]),
            solution_logliks=np.array([peak[0] for peak in ordered]),
        )

    def search_path(self, problem: Problem, solver: Solver, starts: list[Array], x: Array) -> Array:
        """Iterates (k, n) of the search from the first of the starts that leads to ``x``."""
        path = np.empty((0, len(x)))
        for start in starts:
            path = np.full((self.max_path, len(x)), np.nan)
            end, _, _ = climb(problem, solver, start, path)
            if is_same(problem, end, x):
                break
        return path[np.isfinite(path).all(axis=1)]


def is_same(problem: Problem, x: Array, other: Array) -> bool:
    """Whether two estimates are one."""
    return bool(np.max(np.abs(x - other) / np.maximum(problem.scale, np.abs(x))) < SAME)


def search_starts(problem: Problem, solver: Solver) -> list[Array]:
    """Where to start: the solutions along flat directions at the unconstrained maximum, it, and the family's starts."""
    starts = list(problem.starts)
    if len(problem.constraints) == 0:
        return starts[:3]
    free = ~problem.parameters.fixed
    x, _, outcome = climb(problem, solver, starts[0], constrained=False)
    if outcome.status == sqp.CONVERGED:
        # a standard deviation of zero there may have to be positive under the constraints
        inside = np.where(problem.collapsible & (x == 0.0), 1e-2 * problem.scale, x)
        solutions = solutions_along(problem, solver, x, free)
        moves = [] if solutions else single_moves(problem, solver, inside, free, 4)
        starts = [*solutions, inside, *moves, *starts, *scattered(problem, inside, SCATTERED)]
    return [*starts, *solutions_along(problem, solver, problem.starts[0], free)]


def no_maximum(problem: Problem, failures: list[sqp.Outcome]) -> Exception:
    """The error for a problem in which every search failed."""
    refused = (sqp.INFEASIBLE, sqp.BAD_START, sqp.COLLAPSED)
    collapsed = [failure.status == sqp.COLLAPSED for failure in failures]
    if all(collapsed) or (any(collapsed) and len(problem.constraints) == 0):
        return FitError(
            "the residual standard deviation goes to zero: the model fits the response exactly, so the likelihood is "
            "unbounded. There are too few rows for the parameters, or the response repeats; use fewer parameters"
        )
    if len(problem.constraints) and all(f.status in refused for f in failures):
        return infeasible(problem, len(failures), min(failure.infeasibility for failure in failures))
    under = f" under {listing(problem.constraints.names)}" if len(problem.constraints) else ""
    best = min(failures, key=lambda failure: failure.stationarity)
    return FitError(
        f"no search for the maximum of the likelihood{under} ended in one; the best of {len(failures)} stopped with a "
        f"gradient of {best.stationarity:.3g} standard errors. Simplify the model, or check the scale of its columns"
    )
