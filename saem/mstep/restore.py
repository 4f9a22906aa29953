"""A step that stays on the constraints and inside the range of the parameters."""

from __future__ import annotations

import numpy as np

from saem.families.contract import Problem
from saem.mstep import sqp

Array = np.ndarray
ROUNDS = 30
HOLDS = 1e-12  # residual of a constraint, relative to the size of its gradient times the parameters


def move(problem: Problem, kinds: Array, x: Array, step: Array, free: Array) -> bool:
    """Make the longest part (a half, a quarter, ..) of a step that can be made; changes ``x``, unless it returns False.

    Parameters
    ----------
    kinds : (n,) int64 ndarray
        `saem.mstep.sqp.MEAN`, ``SD`` or ``CORR``.
    step : (n,) ndarray
    free : (n,) bool ndarray
    """
    share = 1.0
    for _ in range(ROUNDS):
        point = x + share * np.where(free, step, 0.0)
        if is_inside(kinds, x, point, free) and restore(problem, point, free) and is_inside(kinds, x, point, free):
            x[:] = point
            return True
        share *= 0.5
    return False


def is_inside(kinds: Array, x: Array, point: Array, free: Array) -> bool:
    """Whether standard deviations and correlations keep a twentieth of their distance from the boundary."""
    keep = 1.0 - sqp.BOUNDARY_FRACTION
    sd, corr = free & (kinds == sqp.SD), free & (kinds == sqp.CORR)
    inside = np.all(point[sd] >= keep * x[sd])
    return bool(inside and np.all(1.0 - np.abs(point[corr]) >= keep * (1.0 - np.abs(x[corr]))))


def restore(problem: Problem, x: Array, free: Array) -> bool:
    """Bring a point onto the constraints by Gauss-Newton steps of least length in typical sizes; changes ``x``."""
    constraints = problem.constraints
    if len(constraints) == 0:
        return True
    scale = np.where(free, problem.scale, 0.0)
    for _ in range(ROUNDS):
        c, jacobian, _ = constraints.evaluate(x)
        if not (np.isfinite(c).all() and np.isfinite(jacobian).all()):
            return False
        size = np.abs(jacobian) @ (1e-3 + np.abs(x))
        if np.all(np.abs(c) <= HOLDS * size):
            return True
        scaled = jacobian * scale
        step, *_ = np.linalg.lstsq(scaled, -c, rcond=1e-12)
        x += scale * step
    return bool(np.all(np.abs(c) <= 1e3 * HOLDS * size))
