"""Estimates on the boundary: standard deviations of zero and correlations of one, held ("pinned") and released.

The marginal likelihood is smooth in a standard deviation through zero and even in it, so at zero its slope vanishes
and its curvature decides: a pinned standard deviation is released when the Lagrangian increases from zero, by slope
(a constraint that is odd in it) or by curvature. A pinned correlation is released when the Lagrangian increases
inwards.
"""

from __future__ import annotations

import numpy as np

from saem.families.problem import Problem
from saem.maxima.singular import climb_singular, is_near_singular
from saem.mstep import sqp
from saem.mstep.recalled import recalled, remember
from saem.mstep.solver import Derivatives, Solver

Array = np.ndarray

COLLAPSE = 1e-4  # of its typical size: below, a standard deviation is tried at zero
NEAR_ZERO = 1e-2  # of its typical size: below, one of several residual standard deviations is tried at zero
FLAT = 1e-6  # a log-likelihood higher by less is that of zero
VANISHED = 1e-9  # of its typical size: zero up to rounding
DEGENERATE = 1e-7  # of its typical size: a residual standard deviation below makes the likelihood unbounded
TOUCH = 1e-6  # a correlation nearer to one than this is tried at one
RISE = 0.1  # of the log-likelihood, between a stand-in for zero and a tenth of it: less is a limit, more a divergence
ALIKE = 0.999  # correlation at which it is tried whether absent random effects come in together
GAIN = 1e-7  # slope or curvature, on the typical scale, below which a pinned parameter stays


def floors(problem: Problem, solver: Solver) -> Array:
    """Values (n,) below which the solver hands a parameter over to `pin`; the caller's own."""
    if solver.floors is None:
        small = np.where(problem.boundary.has_stand_in, NEAR_ZERO, COLLAPSE)
        sd = np.where(problem.boundary.collapsible, small, DEGENERATE) * problem.scale
        domains = solver.domains
        ends = np.array([domain.has_ends for domain in domains])
        solver.floors = np.where(domains.can_vanish, sd, np.where(domains.is_between & ends, TOUCH, 0.0))
    return solver.floors.copy()


def pin(problem: Problem, x: Array, pinned: Array, which: Array) -> None:
    """Put the parameters ``which`` (bool) on the boundary: changes ``x`` and ``pinned``."""
    for i in np.flatnonzero(which):
        pinned[i] = True
        if problem.parameters.domains.is_between[i]:
            x[i] = np.sign(x[i])
            continue
        x[i] = problem.boundary.at_zero[i]
        for dependent in problem.boundary.dependents.get(int(i), ()):  # a correlation with nothing
            if not problem.parameters.fixed[dependent]:
                pinned[dependent] = True
                x[dependent] = 0.0


def release(problem: Problem, solver: Solver, x: Array, pinned: Array) -> Array:
    """Pinned parameters (bool) whose release would increase the likelihood."""
    out = np.zeros(len(x), dtype=bool)
    if not pinned.any():
        return out
    free = ~problem.parameters.fixed & ~pinned
    at = solver.derivatives(solver.observed(), x, free)
    if not np.isfinite(at.value):  # derivatives are defined inside the domain only
        return out
    out = gains(problem, at, solver.multipliers, x, pinned) > GAIN
    for i in np.flatnonzero(pinned & problem.boundary.has_stand_in):  # derivatives lose their digits there
        away = x.copy()
        away[i] = NEAR_ZERO * problem.scale[i]
        out[i] = solver.height(away) > at.value + FLAT
    return out


def gains(problem: Problem, at: Derivatives, multipliers: Array, x: Array, pinned: Array) -> Array:
    """Slopes or curvatures (n,) of the Lagrangian from a pinned parameter inwards, on the typical scale; else -inf."""
    found = np.full(len(x), -np.inf)
    slope = at.gradient + multipliers @ at.jacobian
    curvature = at.hessian + np.tensordot(multipliers, at.c_hessian, axes=1)
    for i in np.flatnonzero(pinned):
        scale = problem.scale[i]
        if problem.parameters.domains.can_vanish[i]:
            # a negative slope (a constraint that is odd in the parameter) outweighs any curvature
            if not slope[i] * scale < -GAIN:
                dependents = [d for d in problem.boundary.dependents.get(int(i), ()) if pinned[d]]
                mixed = max((abs(curvature[i, d]) for d in dependents), default=0.0)
                found[i] = max(slope[i] * scale, curvature[i, i] * scale**2, mixed * scale)
        elif abs(x[i]) == 1.0:
            found[i] = -np.sign(x[i]) * slope[i]
    return found


def release_together(problem: Problem, solver: Solver, x: Array, pinned: Array) -> bool:
    """Let absent random effects of a block come in together where none would alone; whether any did.

    The likelihood may rise along ``Omega = v v'`` though it falls along each axis. Changes ``x`` and ``pinned``.
    """
    multipliers = solver.multipliers
    free = ~problem.parameters.fixed & ~pinned
    for sd, corr in problem.boundary.blocks:
        absent = [j for j in range(len(sd)) if pinned[sd[j]] and x[sd[j]] == 0.0]
        index = sd[absent]
        if len(set(index)) < 2 or len(set(index)) < len(absent):
            continue
        pairs = [(a, b) for a in range(len(absent)) for b in range(a)]
        probe = x.copy()
        probe[[corr[absent[a], absent[b]] for a, b in pairs]] = ALIKE
        at = solver.derivatives(solver.observed(), probe, free)
        if not np.isfinite(at.value):
            continue
        scale = problem.scale[index]
        curvature = at.hessian + np.tensordot(multipliers, at.c_hessian, axes=1)
        values, vectors = np.linalg.eigh(curvature[np.ix_(index, index)] * np.outer(scale, scale))
        if values[-1] <= GAIN:
            continue
        direction = vectors[:, -1]
        unpin(problem, x, pinned, np.isin(np.arange(len(x)), index))
        x[index] = 0.1 * scale * np.maximum(np.abs(direction), 0.1)
        for a, b in pairs:
            x[corr[absent[a], absent[b]]] = 0.9 * np.sign(direction[a] * direction[b])
        return True
    return False


def residual_labels(problem: Problem, which: Array) -> list[str]:
    """Residual standard deviations among ``which`` (bool) in words; none where there is one, which needs no name."""
    residual = np.flatnonzero(which & problem.boundary.has_stand_in)
    return [problem.label(int(i)) for i in residual] if np.sum(problem.boundary.has_stand_in) > 1 else []


def is_bounded(problem: Problem, solver: Solver, x: Array, pinned: Array) -> bool:
    """Whether the likelihood has a limit where a pinned standard deviation that only stands for zero goes to it.

    Without one, it rises by the logarithm of that standard deviation for every row that is fitted exactly.
    """
    standing = pinned & problem.boundary.has_stand_in
    if not standing.any():
        return True
    nearer = np.where(standing, 0.1 * x, x)
    rise = solver.height(nearer) - solver.height(x)
    return bool(rise < RISE)


def unpin(problem: Problem, x: Array, pinned: Array, which: Array) -> None:
    """Move the parameters ``which`` (bool) away from the boundary: changes ``x`` and ``pinned``."""
    for i in np.flatnonzero(which):
        pinned[i] = False
        if problem.parameters.domains.is_between[i]:
            x[i] = 0.9 * np.sign(x[i])
            continue
        x[i] = 0.1 * problem.scale[i]
        for dependent in problem.boundary.dependents.get(int(i), ()):
            if not problem.parameters.fixed[dependent]:
                pinned[dependent] = False


def climb(
    problem: Problem,
    solver: Solver,
    start: Array,
    path: Array | None = None,
    constrained: bool = True,
    again: bool = False,
) -> tuple[Array, Array, sqp.SearchResult]:
    """The local maximum of the observed likelihood that a start leads to, on the boundary if need be.

    ``again`` says that the start itself came from a search that ended where a standard deviation is zero.

    Returns
    -------
    x : (n,) ndarray
    pinned : (n,) bool ndarray
    result : saem.mstep.sqp.SearchResult
        Of the last search; its status is `COLLAPSED` when a residual standard deviation goes to zero.
    """
    if path is not None or solver.maximiser is not None:
        return climbed(problem, solver, start, path, constrained, again)
    key = ("climb", start.tobytes(), constrained, again)
    x, pinned, result = recalled(problem, key, lambda: climbed(problem, solver, start, None, constrained, again))
    if result.status == sqp.CONVERGED:  # a climb from the top ends there
        remember(problem, ("climb", x.tobytes(), constrained, again), (x, pinned, result))
    return x.copy(), pinned.copy(), result


def climbed(
    problem: Problem, solver: Solver, start: Array, path: Array | None, constrained: bool, again: bool
) -> tuple[Array, Array, sqp.SearchResult]:
    """Do what `climb` says."""
    x = start.copy()
    objective = solver.observed()
    pinned = np.zeros(len(x), dtype=bool)
    at_one = solver.domains.is_correlation & solver.domains.at_end(x) & ~problem.parameters.fixed
    pin(problem, x, pinned, problem.boundary.collapsible & ((solver.domains.can_vanish & (x == 0.0)) | at_one))
    floor = floors(problem, solver)
    room = path
    for attempt in range(12):
        free = ~problem.parameters.fixed & ~pinned
        result = solver.maximise(objective, x, free, floor=floor, path=room, constrained=constrained)
        if room is not None:
            room = room[result.iterations :]
        if result.status == sqp.COLLAPSED:
            below = free & (solver.domains.room(x) < floor)
            if (below & ~problem.boundary.collapsible).any():
                return x, pinned, result
            before = x.copy(), pinned.copy()
            pin(problem, x, pinned, below)
            if not is_bounded(problem, solver, x, pinned):
                x, pinned = before
                if (floor[below] <= DEGENERATE * problem.scale[below]).all():
                    return x, pinned, result
                floor[below] = DEGENERATE * problem.scale[below]
                continue
            if not constrained or can_be_feasible(problem, x, ~problem.parameters.fixed & ~pinned):
                continue
            x, pinned = before
            floor[below] = 0.0
            continue
        if result.status not in (sqp.CONVERGED, sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) or not constrained:
            break
        loose = release(problem, solver, x, pinned)
        if attempt > 8:
            break
        if not loose.any():
            if release_together(problem, solver, x, pinned):
                continue
            break
        unpin(problem, x, pinned, loose)
        floor[loose] *= 1e-3
    if not is_bounded(problem, solver, x, pinned):
        return x, pinned, result._replace(status=sqp.COLLAPSED)
    # what a constraint holds at zero lies on the boundary too
    dragged = problem.boundary.collapsible & ~pinned & solver.domains.can_vanish & (x < VANISHED * problem.scale)
    if dragged.any():
        pin(problem, x, pinned, dragged)
    stalled = result.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED)
    if stalled and constrained and is_near_singular(problem, x):
        x, pinned, value, stationarity = climb_singular(problem, solver, x, pinned)
        absent = problem.boundary.collapsible & solver.domains.can_vanish & (x < COLLAPSE * problem.scale)
        if absent.any() and not again:  # a zero is a stationary point, but need not be a maximum
            return climb(problem, solver, np.where(absent, 0.0, x), again=True)
        status = sqp.CONVERGED if stationarity < 1e-5 else result.status
        result = result._replace(status=status, value=value, stationarity=stationarity)
    return x, pinned, result


def can_be_feasible(problem: Problem, x: Array, free: Array) -> bool:
    """Whether the constraints still have something to move: the free parameters reach every one of them."""
    if len(problem.constraints) == 0:
        return True
    c, jacobian, _ = problem.constraints.evaluate(x)
    if not np.isfinite(c).all() or not np.isfinite(jacobian).all():
        return False
    moves = np.max(np.abs(jacobian[:, free]), axis=1, initial=0.0) > 0
    return bool(np.all(moves | (np.abs(c) < 1e-9)))
