"""Where to start under constraints, and all solutions along a flat direction of the likelihood.

An overparametrised mean (five parameters for four cells) leaves directions in which the likelihood does not change;
the constraint alone says where on them the estimate lies. Along one direction with one constraint the roots are
bracketed on a grid that reaches some thousand typical sizes of the response either way, the nearest first.
"""

from __future__ import annotations

import math

import numpy as np

from saem.errors import ConstraintError, listing
from saem.families.problem import Problem
from saem.mstep.solver import Solver
from saem.system.jit import call_address, entry

Array = np.ndarray
SAME_ROOT = 1e-7  # of a typical size: roots nearer than this are one, found from two sides
MAX_ROOTS = 32  # of a line; the nearest are kept
SCATTERED = 10
NEARBY = np.sinh(np.linspace(-5.0, 5.0, 401))  # up to 70 typical sizes of a parameter either way
SCAN = np.sinh(np.linspace(-9.0, 9.0, 1501))  # up to 4,000 typical sizes either way, finest around the start


@entry
def roots_along(address: int, x: Array, direction: Array, grid: Array, roots: Array) -> int:
    """Find where one constraint vanishes on the line ``x + t * direction``.

    Sign changes on the grid are refined by bisection, and so are sign changes of the slope, since two roots may lie
    between two points of the grid. A change of sign through infinity or by a jump is no root.

    Parameters
    ----------
    grid : (k,) ndarray
        Increasing or decreasing values of t.
    roots : (r,) ndarray, written
        Values of t, in the order of the grid.

    Returns
    -------
    int
        How many roots were written.
    """
    n = x.shape[0]
    point = np.empty(n)
    c = np.empty(1)
    jacobian = np.zeros((1, n))
    hessian = np.zeros((1, n, n))
    found = 0
    last_t, last_c, last_slope = math.nan, math.nan, math.nan
    for t in grid:
        for i in range(n):
            point[i] = x[i] + t * direction[i]
        call_address(address, point, c, jacobian, hessian)
        slope = 0.0
        for i in range(n):
            slope += jacobian[0, i] * direction[i]
        value = c[0]
        if math.isfinite(last_c) and math.isfinite(value):
            splits = 1
            middle, middle_c = t, value
            if last_c * value > 0.0 and last_slope * slope < 0.0 and last_slope * last_c < 0.0:
                a, b, slope_a = last_t, t, last_slope
                for _ in range(60):
                    middle = 0.5 * (a + b)
                    for i in range(n):
                        point[i] = x[i] + middle * direction[i]
                    call_address(address, point, c, jacobian, hessian)
                    slope_m = 0.0
                    for i in range(n):
                        slope_m += jacobian[0, i] * direction[i]
                    if slope_m * slope_a > 0.0:
                        a = middle
                    else:
                        b = middle
                middle_c = c[0]
                splits = 2
            for split in range(splits):
                low = last_t if split == 0 else middle
                low_c = last_c if split == 0 else middle_c
                high = middle if split == 0 else t
                high_c = middle_c if split == 0 else value
                if low_c * high_c > 0.0 or low_c == 0.0 or found == roots.shape[0]:
                    continue
                at_ends = max(abs(low_c), abs(high_c))
                for _ in range(200):
                    centre = 0.5 * (low + high)
                    if centre == low or centre == high:
                        break
                    for i in range(n):
                        point[i] = x[i] + centre * direction[i]
                    call_address(address, point, c, jacobian, hessian)
                    if c[0] * low_c > 0.0:
                        low = centre
                    else:
                        high = centre
                for i in range(n):
                    point[i] = x[i] + high * direction[i]
                call_address(address, point, c, jacobian, hessian)
                if abs(c[0]) <= 1e-3 * at_ends:
                    roots[found] = high
                    found += 1
        last_t, last_c, last_slope = t, value, slope
    return found


def nearest_roots(address: int, x: Array, direction: Array, grid: Array) -> Array:
    """Where one constraint vanishes on the line ``x + t * direction``, the nearest to ``t = 0`` first.

    Parameters
    ----------
    grid : (k,) ndarray
        Increasing values of t on both sides of zero.
    """
    start, roots = np.ascontiguousarray(x), np.empty(MAX_ROOTS)
    middle = int(np.searchsorted(grid, 0.0))
    found: list[float] = []
    for half in (grid[max(0, middle - 1) :], grid[middle + 1 :: -1]):  # both begin beyond zero, which may be a root
        count = roots_along(address, start, direction, np.ascontiguousarray(half), roots)
        found += [t for t in roots[:count] if not any(abs(t - other) < SAME_ROOT * (1.0 + abs(t)) for other in found)]
    return np.array(sorted(found, key=abs)[:MAX_ROOTS])


def single_moves(problem: Problem, solver: Solver, x: Array, free: Array, most: int) -> list[Array]:
    """Points that satisfy one constraint and differ from ``x`` in one parameter, the likeliest ``most`` of them.

    A constraint with many branches, or one that contradicts the unconstrained estimate, can be met by moving one or
    another parameter, and each can lead to a maximum of its own.
    """
    if len(problem.constraints) != 1:
        return []
    found: list[tuple[float, Array]] = []
    for i in np.flatnonzero(free):
        direction = np.zeros(len(x))
        direction[i] = problem.scale[i]
        for t in nearest_roots(problem.constraints.address, x, direction, NEARBY):
            point = x + t * direction
            if solver.domains.room(point)[i] <= 0.0:
                continue
            value = solver.height(point)
            if math.isfinite(value):
                found.append((value, point))
    found.sort(key=lambda pair: -pair[0])
    return [point for _, point in found[:most]]


def scattered(problem: Problem, x: Array, count: int) -> list[Array]:
    """Points (fixed, not random) at about a typical size from ``x``, to find other maxima under constraints from."""
    rng = np.random.default_rng(1)
    domains = problem.parameters.domains
    points = []
    for _ in range(count):
        normal = rng.standard_normal(len(x))
        moved = np.where(domains.is_between, x, domains.moved(x, problem.scale, normal))
        points.append(np.where(problem.parameters.fixed, x, moved))
    return points


def infeasible(problem: Problem, n_starts: int, violation: float = math.nan) -> ConstraintError:
    """The error for constraints that no start leads to."""
    reached = f"; the smallest violation reached is {violation:.3g}" if math.isfinite(violation) else ""
    return ConstraintError(
        f"no parameters that satisfy {listing(problem.constraints.names)} were found from {n_starts} starts{reached}. "
        "Check the equation, its signs and its scale"
    )


def flat_directions(problem: Problem, solver: Solver, x: Array, free: Array) -> Array:
    """Basis (k, n) of the directions in which the observed likelihood is flat at ``x``.

    The largest entry is one in units of the parameter's typical size.
    """
    at = solver.derivatives(solver.observed(), x, free)
    means = np.flatnonzero(free & solver.domains.is_real)
    hessian = -at.hessian[np.ix_(means, means)]
    scale = 1.0 / np.sqrt(np.maximum(np.diag(hessian), 1e-20 / problem.scale[means] ** 2))
    if len(means) == 0:
        return np.empty((0, len(x)))
    values, vectors = np.linalg.eigh(hessian * np.outer(scale, scale))
    flat = (vectors * scale[:, None])[:, values < 1e-10 * max(1.0, float(values[-1]))]
    directions = np.zeros((flat.shape[1], len(x)))
    largest = np.max(np.abs(flat) / problem.scale[means][:, None], axis=0, initial=0.0)
    directions[:, means] = (flat / np.maximum(largest, 1e-300)).T
    return directions


def solutions_along(problem: Problem, solver: Solver, x: Array, free: Array) -> list[Array]:
    """Points with the likelihood of ``x`` that satisfy the constraints, where the likelihood is flat in directions.

    For one constraint and one direction the `MAX_ROOTS` nearest that the grid `SCAN` brackets; for several, those that
    Newton's method reaches from a fixed set of scattered points. Empty where the likelihood is flat in no direction.
    """
    constraints = problem.constraints
    m = len(constraints)
    if m == 0:
        return []
    directions = flat_directions(problem, solver, x, free)
    if len(directions) == 0:
        return []
    if len(directions) == 1 and m == 1:
        return [x + t * directions[0] for t in nearest_roots(constraints.address, x, directions[0], SCAN)]
    rng = np.random.default_rng(0)
    points: list[Array] = []
    for size in np.repeat([0.0, 1.0, 3.0, 10.0], 6):
        point = x + size * rng.standard_normal(len(directions)) @ directions
        feasible = False
        for _ in range(50):
            c, jacobian, _ = constraints.evaluate(point)
            if not np.isfinite(c).all() or not np.isfinite(jacobian).all():
                break
            slopes = jacobian @ directions.T
            step, *_ = np.linalg.lstsq(slopes, -c, rcond=1e-10)
            step *= min(1.0, 3.0 / max(1e-300, float(np.max(np.abs(step)))))
            point = point + step @ directions
            feasible = bool(np.all(np.abs(c) <= 1e-9 * np.max(np.abs(slopes), axis=1)))
            if feasible and np.max(np.abs(step)) < 1e-13 * (1.0 + np.max(np.abs(point / problem.scale))):
                break
        near = any(np.max(np.abs(point - other) / problem.scale) < 1e-6 for other in points)
        if feasible and not near:
            points.append(point)
    return points
