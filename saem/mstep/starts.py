"""Where to start under constraints, and all solutions along a flat direction of the likelihood.

An overparametrised mean (five parameters for four cells) leaves directions in which the likelihood does not change;
the constraint alone says where on them the estimate lies. Along one direction with one constraint all roots are
bracketed, so that every solution is found.
"""

from __future__ import annotations

import math

import numpy as np

from saem.errors import ConstraintError, listing
from saem.jit import call_address, entry
from saem.models.contract import Problem
from saem.mstep.solver import Solver
from saem.mstep.sqp import CORR, SD

Array = np.ndarray
MAX_ROOTS = 32
SCATTERED = 6
NEARBY = np.linspace(-3.0, 3.0, 301)  # typical sizes of a parameter
SCAN = np.sinh(np.linspace(-9.0, 9.0, 1501))  # up to 4,000 units either way, finest around the start


@entry
def roots_along(address: int, x: Array, direction: Array, grid: Array, roots: Array) -> int:
    """Find where one constraint vanishes on the line ``x + t * direction``.

    Sign changes on the grid are refined by bisection, and so are sign changes of the slope, since two roots may lie
    between two points of the grid.

    Parameters
    ----------
    grid : (k,) ndarray
        Increasing values of t.
    roots : (r,) ndarray, written
        Values of t, increasing.

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
                roots[found] = high
                found += 1
        last_t, last_c, last_slope = t, value, slope
    return found


def single_moves(problem: Problem, solver: Solver, x: Array, free: Array, most: int) -> list[Array]:
    """Points that satisfy one constraint and differ from ``x`` in one parameter, the likeliest ``most`` of them.

    A constraint with many branches, or one that contradicts the unconstrained estimate, can be met by moving one or
    another parameter, and each can lead to a maximum of its own.
    """
    if len(problem.constraints) != 1:
        return []
    found: list[tuple[float, Array]] = []
    roots = np.empty(MAX_ROOTS)
    start = np.ascontiguousarray(x)
    for i in np.flatnonzero(free):
        direction = np.zeros(len(x))
        direction[i] = problem.scale[i]
        count = roots_along(problem.constraints.address, start, direction, NEARBY, roots)
        for t in roots[:count]:
            point = x + t * direction
            if (solver.kinds[i] == SD and point[i] <= 0.0) or (solver.kinds[i] == CORR and abs(point[i]) >= 1.0):
                continue
            value = solver.derivatives(solver.observed(), point, free).value
            if math.isfinite(value):
                found.append((value, point))
    found.sort(key=lambda pair: -pair[0])
    return [point for _, point in found[:most]]


def scattered(problem: Problem, x: Array, count: int) -> list[Array]:
    """Points (fixed, not random) at about a typical size from ``x``, to find other maxima under constraints from."""
    rng = np.random.default_rng(1)
    kinds = np.array(problem.parameters.kinds)
    points = []
    for _ in range(count):
        normal = rng.standard_normal(len(x))
        moved = np.where(kinds == "mean", x + problem.scale * normal, np.where(kinds == "sd", x * np.exp(normal), x))
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
    """Basis (k, n) of the directions in which the observed likelihood is flat at ``x``, largest entry 1."""
    at = solver.derivatives(solver.observed(), x, free)
    means = np.flatnonzero(free & (solver.kinds == 0))
    hessian = -at.hessian[np.ix_(means, means)]
    scale = 1.0 / np.sqrt(np.maximum(np.diag(hessian), 1e-20 / problem.scale[means] ** 2))
    if len(means) == 0:
        return np.empty((0, len(x)))
    values, vectors = np.linalg.eigh(hessian * np.outer(scale, scale))
    flat = (vectors * scale[:, None])[:, values < 1e-10 * max(1.0, float(values[-1]))]
    directions = np.zeros((flat.shape[1], len(x)))
    directions[:, means] = (flat / np.maximum(np.max(np.abs(flat), axis=0, initial=0.0), 1e-300)).T
    return directions


def solutions_along(problem: Problem, solver: Solver, x: Array, free: Array) -> list[Array]:
    """Points with the likelihood of ``x`` that satisfy the constraints, where the likelihood is flat in directions.

    All of them for one constraint and one direction; for several, those that Newton's method reaches from a fixed
    set of scattered points. Empty where the likelihood is flat in no direction.
    """
    constraints = problem.constraints
    m = len(constraints)
    if m == 0:
        return []
    directions = flat_directions(problem, solver, x, free)
    if len(directions) == 0:
        return []
    if len(directions) == 1 and m == 1:
        roots = np.empty(MAX_ROOTS)
        found = roots_along(constraints.address, np.ascontiguousarray(x), directions[0], SCAN, roots)
        points = [x + t * directions[0] for t in roots[:found]]
        return [point for point in points if abs(constraints.evaluate(point)[0][0]) < 1e-6]  # no poles
    rng = np.random.default_rng(0)
    points = []
    for size in np.repeat([0.0, 1.0, 3.0, 10.0], 6):
        point = x + size * rng.standard_normal(len(directions)) @ directions
        for _ in range(50):
            c, jacobian, _ = constraints.evaluate(point)
            if not np.isfinite(c).all() or not np.isfinite(jacobian).all():
                break
            step, *_ = np.linalg.lstsq(jacobian @ directions.T, -c, rcond=1e-10)
            step *= min(1.0, 3.0 / max(1e-300, float(np.max(np.abs(step)))))
            point = point + step @ directions
            if np.max(np.abs(step)) < 1e-13 * (1.0 + np.max(np.abs(point))):
                break
        c, _, _ = constraints.evaluate(point)
        near = any(np.allclose(point, other, rtol=1e-6, atol=1e-6) for other in points)
        if np.isfinite(c).all() and np.max(np.abs(c)) < 1e-9 and not near:
            points.append(point)
    return points
