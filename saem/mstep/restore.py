"""A step that stays on the constraints and inside the range of the parameters."""

from __future__ import annotations

import numpy as np

from saem.families.problem import Problem
from saem.mstep import sqp
from saem.specification.domains import Domains

Array = np.ndarray
ROUNDS = 30
HOLDS = 1e-12  # residual of a constraint, relative to the size of its gradient times the parameters


def move(problem: Problem, x: Array, step: Array, free: Array) -> bool:
    """Make the longest part (a half, a quarter, ..) of a step that can be made; changes ``x``, unless it returns False.

    Parameters
    ----------
    step : (n,) ndarray
    free : (n,) bool ndarray
    """
    share, domains = 1.0, problem.parameters.domains
    for _ in range(ROUNDS):
        point = x + share * np.where(free, step, 0.0)
        if is_inside(domains, x, point, free) and restore(problem, point, free) and is_inside(domains, x, point, free):
            x[:] = point
            return True
        share *= 0.5
    return False


def is_inside(domains: Domains, x: Array, point: Array, free: Array) -> bool:
    """Whether parameters keep a twentieth of their distance from the boundary."""
    keep = 1.0 - sqp.BOUNDARY_FRACTION
    held = ~free | domains.is_real
    return bool(np.all(held | (domains.room(point) >= keep * domains.room(x))))


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
