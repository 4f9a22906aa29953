"""All local maxima of the closed-form likelihood under the constraints that a fixed set of starts leads to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.errors import EXACT_FIT, FitError
from saem.models.contract import Problem
from saem.mstep import sqp
from saem.mstep.boundary import climb
from saem.mstep.solver import Solver
from saem.mstep.starts import SCATTERED, scattered, single_moves, solutions_along

Array = np.ndarray

TIE = 1e-10  # log-likelihoods nearer than this (relative to their size) are equal
RISING = 1e-9  # curvature, on a scale on which that of a parameter alone is one: more of it is no rounding
SAME = 1e-4  # estimates nearer than this, relative to the parameters' size, are one
RIVAL = 1.92  # a maximum lower by less lies inside the 95 % likelihood region (half the chi-square quantile)


class Peak(NamedTuple):
    """A local maximum of the likelihood under the constraints."""

    loglik: float
    x: Array  # (n,) parameters
    pinned: Array  # (n,) bool, held at the boundary
    start: Array  # (n,) where the search that found it began


def find_maxima(
    problem: Problem, solver: Solver, n_scattered: int | None = None
) -> tuple[list[Peak], list[sqp.Outcome]]:
    """Search from all starts.

    Parameters
    ----------
    n_scattered : int, optional
        Starts that lie scattered about the unconstrained maximum; if omitted, a few where they can be of use.

    Returns
    -------
    peaks : list of Peak
        Distinct maxima, the highest first; of equal height, the one with the smallest parameters.
    failures : list of saem.mstep.sqp.Outcome
        Of the searches that ended in no maximum.

    Raises
    ------
    FitError
        When the model fits the response exactly, so that the likelihood is unbounded.
    """
    peaks: list[Peak] = []
    failures: list[sqp.Outcome] = []
    for start in search_starts(problem, solver, n_scattered):
        if any(np.max(np.abs(start - peak.x) / problem.scale) < SAME for peak in peaks):
            continue
        x, pinned, outcome = climb(problem, solver, start)
        acceptable = outcome.status == sqp.CONVERGED or (
            outcome.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) and outcome.stationarity < 1e-5
        )
        if not acceptable:
            failures.append(outcome)
        elif not any(is_same(problem, x, peak.x) for peak in peaks):
            peaks.append(Peak(outcome.value, x, pinned, start))
    if len(peaks) > 1:
        peaks = [peak for peak in peaks if not is_saddle(problem, solver, peak)] or peaks
    peaks.sort(key=lambda peak: -peak.loglik)
    near = peaks[0].x if peaks else problem.starts[0]
    if problem.can_fit_exactly and rises_without_end(problem, solver, near):
        raise FitError(EXACT_FIT)
    tied = count_tied(peaks)
    peaks[:tied] = sorted(peaks[:tied], key=lambda peak: float(np.sum(peak.x**2)))
    return peaks, failures


def is_saddle(problem: Problem, solver: Solver, peak: Peak) -> bool:
    """Whether the likelihood rises along the constraints in some direction: a stationary point between two maxima."""
    free = ~problem.parameters.fixed & ~peak.pinned
    index = np.flatnonzero(free)
    at = solver.derivatives(solver.observed(), peak.x, free)
    curvature = at.hessian + np.tensordot(solver.multipliers, at.c_hessian, axes=1)
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(at.hessian)), 1e-12 / problem.scale**2))[index]
    _, singular, vt = np.linalg.svd(at.jacobian[:, index] * scale)
    tangent = vt[int(np.sum(singular > 1e-10 * max(1e-300, singular.max(initial=0.0)))) :].T
    reduced = tangent.T @ (curvature[np.ix_(index, index)] * np.outer(scale, scale)) @ tangent
    if not len(reduced) or not np.isfinite(reduced).all():
        return False
    return bool(np.linalg.eigvalsh(reduced)[-1] > RISING)


def rises_without_end(problem: Problem, solver: Solver, x: Array) -> bool:
    """Whether the highest likelihood at given residual standard deviations rises by the same amount a decade to zero.

    Every row that is fitted exactly adds ``log 10`` a decade; what rises otherwise is rounding, or has a limit.
    """
    free = ~problem.parameters.fixed
    residual = free & (problem.at_zero > 0.0)
    if not residual.any():
        return False
    is_sd = np.array(problem.parameters.kinds) == "sd"
    point = np.where(is_sd & free, np.maximum(x, 0.3 * problem.scale), x)  # none at zero, from where nothing moves
    values = []
    for size in (0.3, 0.1, 0.03, 1e-2, 1e-3, 1e-4):  # step by step: far away Newton's method would not find back
        point[residual] = size * problem.scale[residual]
        outcome = solver.maximise(solver.observed(), point, free & ~residual)
        feasible = outcome.status != sqp.INFEASIBLE and outcome.infeasibility < 1e-8
        values.append(outcome.value if feasible else np.nan)
    first, second = values[-2] - values[-3], values[-1] - values[-2]
    return bool(min(first, second) > 0.6 * np.log(10.0) and abs(first - second) < 0.2 * max(first, second))


def count_tied(peaks: list[Peak]) -> int:
    """How many of the maxima, sorted by height, are as high as the first."""
    best = peaks[0].loglik if peaks else 0.0
    return sum(best - peak.loglik <= TIE * (1.0 + abs(best)) for peak in peaks)


def describe_rivals(lower: list[Peak], loglik: float) -> str:
    """A sentence on maxima that are almost as high as an estimate; empty when there are none."""
    below = [loglik - peak.loglik for peak in lower if loglik - peak.loglik < RIVAL]
    if not below:
        return ""
    others = "Another local maximum is" if len(below) == 1 else f"{len(below)} other local maxima are"
    nearest = min(below)
    by = f"higher by {-nearest:.2g}" if nearest < -1e-9 else f"lower by {max(0.0, nearest):.2g}"
    return f"{others} nearly as high (log-likelihood {by}): see `Fit.solutions`."


def is_same(problem: Problem, x: Array, other: Array) -> bool:
    """Whether two estimates are one."""
    return bool(np.max(np.abs(x - other) / np.maximum(problem.scale, np.abs(x))) < SAME)


def search_starts(problem: Problem, solver: Solver, n_scattered: int | None = None) -> list[Array]:
    """Where to start: the solutions along flat directions at the unconstrained maximum, it, and the family's starts."""
    starts = list(problem.starts)
    free = ~problem.parameters.fixed
    if len(problem.constraints) == 0:
        return [*starts[:3], *scattered(problem, starts[0], n_scattered or 0)]
    x, _, outcome = climb(problem, solver, starts[0], constrained=False)
    if outcome.status == sqp.CONVERGED:
        # a standard deviation of zero there may have to be positive under the constraints
        inside = np.where(problem.collapsible & (x == 0.0), 1e-2 * problem.scale, x)
        solutions = solutions_along(problem, solver, x, free)
        moves = [] if solutions else single_moves(problem, solver, inside, free, 4)
        # where there are solutions the constraints do not restrict the likelihood, nor give it new maxima
        enough = (0 if solutions else SCATTERED) if n_scattered is None else n_scattered
        others = scattered(problem, inside, enough)
        starts = [*solutions, inside, *moves, *starts, *others]
    return [*starts, *solutions_along(problem, solver, problem.starts[0], free)]
