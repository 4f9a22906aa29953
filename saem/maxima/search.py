"""All local maxima of the closed-form likelihood under the constraints that a fixed set of starts leads to."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from saem.errors import EXACT_FIT, FitError
from saem.expressions.constraint import compile_constraints
from saem.families.problem import Problem
from saem.maxima.boundary import climb
from saem.maxima.starts import SCATTERED, scattered, single_moves, solutions_along
from saem.maxima.submodels import (
    LATTICE,
    POOR,
    absent_sets,
    at_total,
    onto_constraints,
    submodel_maximum,
    without,
    zeroable,
)
from saem.mstep import sqp
from saem.mstep.solver import Solver

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


class Failure(NamedTuple):
    """A search that ended in no maximum."""

    result: sqp.SearchResult
    x: Array  # (n,) where it ended


def find_maxima(problem: Problem, solver: Solver, n_scattered: int | None = None) -> tuple[list[Peak], list[Failure]]:
    """Search from all starts.

    Parameters
    ----------
    n_scattered : int, optional
        Starts that lie scattered about the unconstrained maximum; if omitted, a few where they can be of use.

    Returns
    -------
    peaks : list of Peak
        Distinct maxima, the highest first; of equal height, the one with the smallest parameters.
    failures : list of Failure
        The searches that ended in no maximum.

    Raises
    ------
    FitError
        When the model fits the response exactly, so that the likelihood is unbounded.
    """
    peaks: list[Peak] = []
    failures: list[Failure] = []
    starts, is_saturated = search_starts(problem, solver, n_scattered)
    visit_all(problem, solver, starts, peaks, failures)
    if not (problem.likelihood.is_local or is_saturated or (peaks and has_one_maximum(problem))):
        visit_submodels(problem, solver, peaks, failures)
    if len(peaks) > 1:
        peaks = [peak for peak in peaks if not is_saddle(problem, solver, peak)] or peaks
    peaks.sort(key=lambda peak: -peak.loglik)
    near = peaks[0].x if peaks else problem.starts.first
    if problem.likelihood.can_fit_exactly and rises_without_end(problem, solver, near):
        raise FitError(EXACT_FIT)
    tied = count_tied(peaks)
    peaks[:tied] = sorted(peaks[:tied], key=lambda peak: float(np.sum(peak.x**2)))
    return peaks, failures


def climbed_again(problem: Problem, solver: Solver, peaks: list[Peak]) -> tuple[list[Peak], list[Failure]]:
    """The maxima that some maxima lead to, for a likelihood that has become more exact."""
    found: list[Peak] = []
    failures: list[Failure] = []
    visit_all(problem, solver, [peak.x for peak in peaks], found, failures)
    return sorted(found, key=lambda peak: -peak.loglik), failures


def visit_all(
    problem: Problem, solver: Solver, starts: list[Array], peaks: list[Peak], failures: list[Failure]
) -> None:
    """Climb from every start that is no maximum found already; adds to ``peaks`` and ``failures``."""
    for start in starts:
        if any(np.max(np.abs(start - peak.x) / problem.scale) < SAME for peak in peaks):
            continue
        x, pinned, result = climb(problem, solver, start)
        acceptable = result.status == sqp.CONVERGED or (
            result.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) and result.stationarity < 1e-5
        )
        if acceptable and not np.isfinite(problem.constraints.evaluate(x)[0]).all():
            continue  # it ended where an effect is absent whose correlation the constraints ask for
        if not acceptable:
            failures.append(Failure(result, x))
        elif not any(is_same(problem, x, peak.x) for peak in peaks):
            peaks.append(Peak(result.value, x, pinned, start))


def visit_submodels(problem: Problem, solver: Solver, peaks: list[Peak], failures: list[Failure]) -> None:
    """Climb from the maxima of submodels, in which standard deviations are zero; adds to ``peaks`` and ``failures``.

    Single ones are left out first, and together only those without which the likelihood is not far below the highest
    maximum. Of many not every subset is tried; they are left out of the highest maximum, one after another, until that
    leads to no higher one.
    """
    total, sds = at_total(problem, solver), zeroable(problem, solver)

    def leave_out(x: Array, absent: tuple[int, ...]) -> bool:
        """Climb from the submodel's maximum near ``x``; False where it is far below, or the constraints forbid it."""
        start = onto_constraints(problem, solver, without(x, absent))
        if start is None:
            return False
        point, height = submodel_maximum(problem, solver, start)
        if height < max((peak.loglik for peak in peaks), default=-np.inf) - POOR:
            return False
        visit_all(problem, solver, [point], peaks, failures)
        return True

    dispensable = [i for i in sds if leave_out(total, (i,))]
    poor: list[set[int]] = []
    for absent in absent_sets(dispensable):
        if not any(other <= set(absent) for other in poor) and not leave_out(total, absent):
            poor.append(set(absent))
    for _ in dispensable if peaks and len(dispensable) > LATTICE else []:
        best = max(peaks, key=lambda peak: peak.loglik)
        for i in sds:
            if best.x[i] > problem.boundary.at_zero[i]:
                leave_out(best.x, (i,))
        if max(peak.loglik for peak in peaks) <= best.loglik + TIE * (1.0 + abs(best.loglik)):
            break


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
    residual = free & problem.boundary.has_stand_in
    if not residual.any():
        return False
    can_vanish = problem.parameters.domains.can_vanish
    point = np.where(can_vanish & free, np.maximum(x, 0.3 * problem.scale), x)  # none at zero, from where nothing moves
    values = []
    for size in (0.3, 0.1, 0.03, 1e-2, 1e-3, 1e-4):  # step by step: far away Newton's method would not find back
        point[residual] = size * problem.scale[residual]
        result = solver.maximise(solver.observed(), point, free & ~residual)
        feasible = result.status != sqp.INFEASIBLE and result.infeasibility < 1e-8
        values.append(result.value if feasible else np.nan)
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


def search_starts(problem: Problem, solver: Solver, n_scattered: int | None = None) -> tuple[list[Array], bool]:
    """Where to start: at the family's first start and with standard deviations at the total; under constraints more.

    Those are the solutions along flat directions at the unconstrained maximum, it, and points scattered around it.

    Returns
    -------
    starts : list of (n,) ndarray
    is_saturated : bool
        Whether the constraints do not restrict the likelihood, nor give it new maxima.
    """
    first, free = problem.starts.first, ~problem.parameters.fixed
    if problem.likelihood.is_local:
        others = scattered(problem, first, n_scattered or 0)
        return [first, *others, *solutions_along(problem, solver, first, free)], False
    if len(problem.constraints) == 0:
        others = [] if has_one_maximum(problem) else [at_total(problem, solver), *problem.starts.more]
        return [first, *others, *scattered(problem, first, n_scattered or 0)], False
    starts, is_saturated = [*problem.starts.values, *problem.starts.more], False
    top = unconstrained_maximum(problem)
    if top is not None:
        # a standard deviation of zero there may have to be positive under the constraints
        inside = np.where(problem.boundary.collapsible & (top.x == 0.0), 1e-2 * problem.scale, top.x)
        solutions = solutions_along(problem, solver, top.x, free)
        is_saturated = bool(solutions)
        moves = [] if is_saturated else single_moves(problem, solver, inside, free, 4)
        enough = (0 if is_saturated else SCATTERED) if n_scattered is None else n_scattered
        starts = [*solutions, inside, *moves, *starts, *scattered(problem, inside, enough)]
    return [*starts, *solutions_along(problem, solver, first, free)], is_saturated


def has_one_maximum(problem: Problem) -> bool:
    """Whether one search is enough: nothing constrains a likelihood that is known to have one maximum."""
    known = problem.likelihood.has_one_maximum
    return known is not None and len(problem.constraints) == 0 and known()


def unconstrained_maximum(problem: Problem) -> Peak | None:
    """The highest maximum without the constraints; None where none is found."""
    plain = replace(problem, constraints=compile_constraints({}, problem.parameters.names))
    solver = Solver(plain)
    peaks: list[Peak] = []
    visit_all(plain, solver, [plain.starts.first, *plain.starts.more], peaks, [])
    if not (peaks and has_one_maximum(plain)):
        visit_submodels(plain, solver, peaks, [])
    return max(peaks, key=lambda peak: peak.loglik, default=None)
