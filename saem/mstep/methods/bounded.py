"""The M-step under lower bounds on standard deviations, by an active set: bounds hold *within* the maximisation.

A standard deviation that would fall below its bound is held there, and the others are maximised again under the
constraints; it is let go when the Lagrangian increases from the bound (Nocedal & Wright 2006, section 16.5). To clip
the maximiser afterwards would leave the constraint set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from saem.mstep import sqp
from saem.mstep.solver import Solver

Array = np.ndarray
ROUNDS = 20
UPHILL = 1e-8  # slope on the scale of the parameter, from which a bound is let go


def maximise_above(
    solver: Solver,
    solve: Callable[[Any, Array, Array], sqp.SearchResult],
    objective: Any,
    x: Array,
    free: Array,
    lower: Array,
) -> sqp.SearchResult:
    """Maximise from ``x``, which is overwritten, with ``x >= lower``.

    Bounds that the constraints cannot meet are given up: where holding them leaves no feasible point, the maximiser
    without bounds is returned.

    Parameters
    ----------
    solve : callable
        ``solve(objective, x, free)`` maximises under the constraints and overwrites ``x``.
    lower : (n,) ndarray
        ``-inf`` where there is no bound.
    """
    held = np.zeros(len(x), dtype=bool)
    start = np.maximum(x, np.where(free, lower, -np.inf))
    for _ in range(ROUNDS):
        point = np.where(held, lower, start)
        result = solve(objective, point, free & ~held)
        if result.status not in (sqp.CONVERGED, sqp.ITERATION_LIMIT):
            break
        below = free & ~held & (point < lower)
        if below.any():
            held |= below
            continue
        at = solver.derivatives(objective, point, free & ~held)
        slope = (at.gradient + solver.multipliers @ at.jacobian) * solver.problem.scale
        uphill = np.where(held, slope, -np.inf)
        if uphill.max() <= UPHILL:
            x[:] = point
            return result
        held[int(np.argmax(uphill))] = False
        start = point
    return solve(objective, x, free)
