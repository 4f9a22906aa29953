"""Lagrange-Newton (sequential quadratic programming) for a maximum under equality constraints, compiled.

Maximise ``f(x)`` subject to ``c(x) = 0`` with exact second derivatives (Nocedal & Wright 2006, sections 18.1-18.4):
the step is the sum of a normal part, which solves the linearised constraints, and a tangential part, a Newton step
for the Lagrangian in an orthonormal basis of the null space of the Jacobian, with a shift where the reduced Hessian
is not negative definite. Multipliers are the least-squares ones of the current point. The line search is on the l1
merit function ``-f + nu |c|_1`` with a second-order correction. Variables are scaled by the curvature of the
objective, so that a change of units changes nothing and stationarity is measured in standard errors.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from saem.families.contract import evaluate
from saem.system.jit import call_address, entry, inlined, kernel
from saem.system.linalg import cholesky, cholesky_solve, factor_jacobian, reflect, reflect_both_sides

Array = np.ndarray

CONVERGED = 0
ITERATION_LIMIT = 1
LINE_SEARCH_FAILED = 2
INFEASIBLE = 3  # the linearised constraints contradict each other, or cannot be brought nearer to zero
COLLAPSED = 4  # a parameter passed its floor: the caller decides whether it lies on the boundary
BAD_START = 5  # the objective or a constraint is not finite at the start


ARMIJO = 1e-4
BOUNDARY_FRACTION = 0.95  # a step goes at most this part of the way to a standard deviation of zero
FEASIBLE = 1e-11  # constraint residual, relative to the size of its gradient times the parameters
LONGEST = 1e6  # a scaled step beyond is not believed
ROUNDING = 1e-11  # changes of the merit function below this part of its size are noise


class Workspace(NamedTuple):
    """Memory of the solver for n parameters and m constraints, allocated once and used again.

    Two iterates are kept, the current one and the trial; an index tells which is which.
    """

    x: Array  # (2, n)
    gradient: Array  # (2, n)
    hessian: Array  # (2, n, n)
    c: Array  # (2, m)
    jacobian: Array  # (2, m, n), zeroed: a constraint's function writes only its structural nonzeros
    c_hessian: Array  # (2, m, n, n), likewise
    free: Array  # (n,) int64, the indices of the free parameters come first
    order: Array  # (m,) int64, pivoting of the constraints
    scale: Array  # (n,)
    slope: Array  # (n,) scaled gradient, in the coordinates of the split space
    step: Array  # (n,) scaled step
    correction: Array  # (n,) scaled step with second-order correction
    multipliers: Array  # (m,)
    scaled_jacobian: Array  # (m, n)
    reflectors: Array  # (m, n)
    triangle: Array  # (m, m)
    lagrangian: Array  # (n, n)
    factor: Array  # (n, n)


class SearchResult(NamedTuple):
    """How a search ended."""

    status: int
    value: float
    iterations: int
    stationarity: float  # largest component of the scaled gradient on the tangent space
    infeasibility: float  # largest |c|
    rank: int  # of the constraints' Jacobian
    last: int = 0  # which of the two iterates in the workspace is the last


def new_workspace(n: int, m: int) -> Workspace:
    """Memory for `maximise` with n parameters and m constraints."""
    return Workspace(
        x=np.zeros((2, n)),
        gradient=np.zeros((2, n)),
        hessian=np.zeros((2, n, n)),
        c=np.zeros((2, m)),
        jacobian=np.zeros((2, m, n)),
        c_hessian=np.zeros((2, m, n, n)),
        free=np.zeros(n, np.int64),
        order=np.zeros(m, np.int64),
        scale=np.zeros(n),
        slope=np.zeros(n),
        step=np.zeros(n),
        correction=np.zeros(n),
        multipliers=np.zeros(m),
        scaled_jacobian=np.zeros((m, n)),
        reflectors=np.zeros((m, n)),
        triangle=np.zeros((m, m)),
        lagrangian=np.zeros((n, n)),
        factor=np.zeros((n, n)),
    )


@inlined
def evaluate_at(
    objective: Any,
    constraint: int,
    x: Array,
    gradient: Array,
    hessian: Array,
    c: Array,
    jacobian: Array,
    c_hessian: Array,
) -> float:
    """Fill in all derivatives; ``-inf`` when the objective or a constraint is not finite."""
    value = evaluate(objective, x, gradient, hessian)
    if not math.isfinite(value):
        return -math.inf
    if c.shape[0] > 0:
        call_address(constraint, x, c, jacobian, c_hessian)
        for k in range(c.shape[0]):
            total = c[k]
            for i in range(x.shape[0]):
                total += jacobian[k, i]
            if not math.isfinite(total):
                return -math.inf
    return float(value)


@kernel
def linearise(
    x: Array, gradient: Array, hessian: Array, jacobian: Array, c_hessian: Array, n_free: int, ws: Workspace
) -> int:
    """Scale, split the space by the constraints' Jacobian, and set multipliers and Lagrangian.

    Afterwards ``ws.slope`` and ``ws.lagrangian`` are in the coordinates of the split space. Returns the rank.
    """
    m = jacobian.shape[0]
    for i in range(n_free):
        a = ws.free[i]
        scale = 1.0 / math.sqrt(abs(hessian[a, a]) + 1e-300)
        # where the objective does not depend on a parameter, its own size is the scale
        ws.scale[i] = min(scale, 1e8 * (1.0 + abs(x[a])))
        ws.slope[i] = ws.scale[i] * gradient[a]
        for k in range(m):
            ws.scaled_jacobian[k, i] = ws.scale[i] * jacobian[k, a]
    rank = 0
    if m > 0:
        rank = factor_jacobian(ws.scaled_jacobian, m, n_free, ws.reflectors, ws.triangle, ws.order)
        for s in range(rank):
            reflect(ws.reflectors[s], n_free, ws.slope)
        for k in range(m):
            ws.multipliers[k] = 0.0
        for s in range(rank - 1, -1, -1):  # least-squares multipliers: R lambda = -slope
            total = -ws.slope[s]
            for k in range(s + 1, rank):
                total -= ws.triangle[s, k] * ws.multipliers[ws.order[k]]
            ws.multipliers[ws.order[s]] = total / ws.triangle[s, s]
    for i in range(n_free):
        a = ws.free[i]
        for j in range(n_free):
            b = ws.free[j]
            total = hessian[a, b]
            for k in range(m):
                total += ws.multipliers[k] * c_hessian[k, a, b]
            ws.lagrangian[i, j] = total * ws.scale[i] * ws.scale[j]
    for s in range(rank):
        reflect_both_sides(ws.reflectors[s], n_free, ws.lagrangian, ws.step)
    return rank


@kernel
def normal_part(c: Array, rank: int, ws: Workspace, out: Array) -> None:
    """Write to ``out[:rank]`` the step (split coordinates) that brings linearised constraints from ``c`` to zero."""
    for s in range(rank):  # R' y = -c
        total = -c[ws.order[s]]
        for k in range(s):
            total -= ws.triangle[k, s] * out[k]
        out[s] = total / ws.triangle[s, s]


@kernel
def newton_step(c: Array, rank: int, n_free: int, ws: Workspace) -> tuple[float, float]:
    """Write the step, normal plus tangential (scaled).

    Returns
    -------
    stationarity : float
        Largest component of the tangential gradient.
    bend : float
        ``step' L step`` of the Lagrangian's Hessian L, where there are constraints.
    """
    normal_part(c, rank, ws, ws.step)
    stationarity, diagonal = 0.0, 1e-3
    for s in range(rank, n_free):
        stationarity = max(stationarity, abs(ws.slope[s]))
        diagonal = max(diagonal, abs(ws.lagrangian[s, s]))
    tangent = n_free - rank
    shift = 0.0
    while True:
        for s in range(tangent):
            for t in range(s + 1):
                ws.factor[s, t] = -ws.lagrangian[rank + s, rank + t]
        if cholesky(ws.factor, tangent, shift):
            longest = 0.0
            for s in range(rank, n_free):
                total = ws.slope[s]
                for t in range(rank):
                    total += ws.lagrangian[s, t] * ws.step[t]
                ws.step[s] = total
            cholesky_solve(ws.factor, tangent, ws.step[rank:])
            for s in range(rank, n_free):
                longest = max(longest, abs(ws.step[s]))
            if longest < LONGEST:  # beyond, the matrix is nearly singular
                break
        shift = max(10.0 * shift, 1e-3 * diagonal)
        if not shift < 1e30:
            return math.inf, math.inf
    bend = 0.0
    if rank > 0:
        for s in range(n_free):
            for t in range(n_free):
                bend += ws.step[s] * ws.lagrangian[s, t] * ws.step[t]
    for s in range(rank - 1, -1, -1):
        reflect(ws.reflectors[s], n_free, ws.step)
    return stationarity, bend


@kernel
def longest_step(x: Array, low: Array, high: Array, n_free: int, ws: Workspace) -> float:
    """Largest fraction of the step, up to 1, that keeps the parameters between their bounds."""
    alpha = 1.0
    for i in range(n_free):
        a = ws.free[i]
        move = ws.scale[i] * ws.step[i]
        if move < 0.0 and low[a] > -math.inf:
            alpha = min(alpha, -BOUNDARY_FRACTION * (x[a] - low[a]) / move)
        elif move > 0.0 and high[a] < math.inf:
            alpha = min(alpha, BOUNDARY_FRACTION * (high[a] - x[a]) / move)
    return alpha


@kernel
def move_to(
    x: Array, target: Array, step: Array, alpha: float, low: Array, high: Array, n_free: int, ws: Workspace
) -> bool:
    """Write ``x + alpha * step`` (a scaled step) to ``target``; False when it leaves the range of a parameter."""
    inside = True
    for i in range(x.shape[0]):
        target[i] = x[i]
    for i in range(n_free):
        a = ws.free[i]
        target[a] += alpha * ws.scale[i] * step[i]
        if not low[a] < target[a] < high[a]:
            inside = False
    return inside


@kernel
def list_free(is_free: Array, free: Array) -> int:
    """Write the indices of the free parameters to the front of ``free``; return their number."""
    n_free = 0
    for i in range(is_free.shape[0]):
        if is_free[i]:
            free[n_free] = i
            n_free += 1
    return n_free


@entry
def maximise(
    objective: Any,
    constraint: int,
    x: Array,
    is_free: Array,
    low: Array,
    high: Array,
    floor: Array,
    tolerance: float,
    max_iterations: int,
    ws: Workspace,
    path: Array,
) -> SearchResult:
    """Maximise an objective under ``c(x) = 0`` from a start that need not satisfy the constraints.

    Parameters
    ----------
    objective : CompleteData, Observed or Restricted
        What `saem.families.contract.evaluate` understands.
    constraint : int
        Address of the compiled constraints.
    x : (n,) ndarray, overwritten by the last iterate
    is_free : (n,) bool ndarray
        Parameters that may move.
    low, high : (n,) ndarray
        Bounds of the parameters, or infinite.
    floor : (n,) ndarray
        A parameter nearer to a bound than its floor ends the search with `COLLAPSED`.
    tolerance : float
        On the scaled gradient in the tangent space, in units of standard errors of the parameters.
    max_iterations : int
    ws : Workspace
        Multipliers are left in ``ws.multipliers``.
    path : (k, n) ndarray, written
        The first ``k`` iterates, the start included; a path of no rows records nothing.
    """
    n, m = x.shape[0], ws.c.shape[1]
    n_free = list_free(is_free, ws.free)
    now, new = 0, 1
    for i in range(n):
        ws.x[now, i] = x[i]
    value = evaluate_at(
        objective, constraint, ws.x[0], ws.gradient[0], ws.hessian[0], ws.c[0], ws.jacobian[0], ws.c_hessian[0]
    )
    if value == -math.inf:
        return SearchResult(BAD_START, value, 0, math.inf, math.inf, 0, now)
    penalty = 0.0
    for iteration in range(max_iterations + 1):
        for i in range(n):
            x[i] = ws.x[now, i]
        if path.shape[0] > iteration:
            for i in range(n):
                path[iteration, i] = x[i]
        rank = linearise(x, ws.gradient[now], ws.hessian[now], ws.jacobian[now], ws.c_hessian[now], n_free, ws)
        stationarity, bend = newton_step(ws.c[now], rank, n_free, ws)
        infeasibility, relative, violation, largest = 0.0, 0.0, 0.0, 0.0
        for k in range(m):
            size = 1e-300
            for i in range(n):
                size += abs(ws.jacobian[now, k, i]) * (1e-3 + abs(x[i]))
            residual = abs(ws.c[now, k])
            infeasibility = max(infeasibility, residual)
            relative = max(relative, residual / size)
            violation += residual
            largest = max(largest, abs(ws.multipliers[k]))
        if stationarity <= tolerance and relative <= FEASIBLE:
            return SearchResult(CONVERGED, value, iteration, stationarity, infeasibility, rank, now)
        if iteration == max_iterations:
            break

        slope = 0.0  # of the merit function along the step
        for i in range(n_free):
            a = ws.free[i]
            slope -= ws.scale[i] * ws.gradient[now, a] * ws.step[i]
        penalty = max(1.5 * largest, 0.5 * penalty)
        if violation > 0.0:  # the model of the merit function must decrease (Nocedal & Wright, eq. 18.36)
            penalty = max(penalty, 2.0 * (slope + 0.5 * max(0.0, -bend)) / violation)
        slope -= penalty * violation
        merit = -value + penalty * violation
        noise = ROUNDING * (1.0 + abs(merit) + penalty * violation)
        alpha = longest_step(x, low, high, n_free, ws)
        shortest = 1e-12 * alpha
        accepted, correct = False, False
        while alpha > shortest:
            step = ws.correction if correct else ws.step
            trial = -math.inf
            if move_to(x, ws.x[new], step, alpha, low, high, n_free, ws):
                trial = evaluate_at(
                    objective,
                    constraint,
                    ws.x[new],
                    ws.gradient[new],
                    ws.hessian[new],
                    ws.c[new],
                    ws.jacobian[new],
                    ws.c_hessian[new],
                )
            if trial > -math.inf:
                trial_merit = -trial
                for k in range(m):
                    trial_merit += penalty * abs(ws.c[new, k])
                if trial_merit <= merit + ARMIJO * alpha * slope + noise:
                    accepted = True
                    break
            if trial > -math.inf and alpha == 1.0 and m > 0 and not correct:
                # second-order correction (Maratos effect): restore the constraints at the trial point, once
                for i in range(n_free):
                    ws.correction[i] = 0.0
                normal_part(ws.c[new], rank, ws, ws.correction)
                for s in range(rank - 1, -1, -1):
                    reflect(ws.reflectors[s], n_free, ws.correction)
                for i in range(n_free):
                    ws.correction[i] += ws.step[i]
                correct = True
            else:
                correct = False
                alpha *= 0.5
        if not accepted:
            status = LINE_SEARCH_FAILED if relative <= 1e-6 else INFEASIBLE
            return SearchResult(status, value, iteration, stationarity, infeasibility, rank, now)
        now, new = new, now
        value = trial
        for i in range(n_free):
            a = ws.free[i]
            if min(ws.x[now, a] - low[a], high[a] - ws.x[now, a]) < floor[a]:
                for j in range(n):  # (a slice would make Numba compile the text of an error message)
                    x[j] = ws.x[now, j]
                return SearchResult(COLLAPSED, value, iteration + 1, stationarity, infeasibility, rank, now)
    status = ITERATION_LIMIT if relative <= 1e-6 else INFEASIBLE
    return SearchResult(status, value, max_iterations, stationarity, infeasibility, rank, now)
