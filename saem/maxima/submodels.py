"""Starts of the search at the maxima of submodels, in which some standard deviations are zero.

The likelihood can have several maxima in the standard deviations. Where the covariates are far from zero, say, moments
put a large random intercept against a large random slope, and a search from there ends on a hill that is far below a
model with one of the two. So it also starts where standard deviations are zero, at the maximum of that submodel, from
where `saem.maxima.boundary.climb` lets in what increases the likelihood: what it ends at is as high as the submodel.
Submodels that lie far below a maximum are left alone, and so are those that are nested in them.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from saem.families.problem import Problem
from saem.maxima.boundary import floors, pin
from saem.mstep import sqp
from saem.mstep.restore import restore
from saem.mstep.solver import Solver

Array = np.ndarray

LATTICE = 4  # of so many standard deviations every subset is set to zero; of more, one, all but one, and all
POOR = 10.0  # log-likelihood: a submodel that is lower than a maximum by more does not lead to the highest one
RESIDUAL_SHARE = 0.7  # of the total, of a residual standard deviation at the starts
NEAR = 0.05  # of its total: a standard deviation that the constraints do not admit at zero


def zeroable(problem: Problem, solver: Solver) -> list[int]:
    """Standard deviations whose absence is a submodel."""
    can_vanish = problem.boundary.collapsible & ~problem.parameters.fixed & solver.domains.can_vanish
    return [int(i) for i in np.flatnonzero(can_vanish)]


def absent_sets(sds: list[int]) -> list[tuple[int, ...]]:
    """Which of the standard deviations, but single ones, to start with at zero together, the fewest first.

    Every subset where they are few; of many all but one, and all.
    """
    k = len(sds)
    sizes = range(2, k + 1) if k <= LATTICE else (k - 1, k)
    return [absent for size in sizes for absent in combinations(sds, size)]


def at_total(problem: Problem, solver: Solver) -> Array:
    """The first start with every standard deviation at the total."""
    x, totals = problem.starts.first.copy(), totals_of(problem)
    sd = ~problem.parameters.fixed & solver.domains.can_vanish
    residual = sd & ~problem.boundary.collapsible | sd & problem.boundary.has_stand_in
    x[sd] = totals[sd]
    x[residual] *= RESIDUAL_SHARE
    return x


def totals_of(problem: Problem) -> Array:
    """Standard deviations (n,) that alone would scatter the responses as they are."""
    return problem.starts.totals if len(problem.starts.totals) else problem.scale


def submodel_maximum(problem: Problem, solver: Solver, start: Array) -> tuple[Array, float]:
    """The maximum (n,) nearest to a start of the submodel without what is zero there, and its height.

    Where a search does not get there it is the start itself, and ``inf``: nobody knows.
    """
    x, pinned = start.copy(), np.zeros(len(start), dtype=bool)
    absent = np.isin(np.arange(len(x)), [i for i in zeroable(problem, solver) if start[i] == 0.0])
    pin(problem, x, pinned, absent)
    free = solver.free & ~pinned
    result = solver.maximise(solver.observed(), x, free, floor=floors(problem, solver))
    if result.status != sqp.CONVERGED:
        return start, np.inf
    x[absent] = 0.0
    return x, result.value


def without(x: Array, absent: tuple[int, ...]) -> Array:
    """The point with some standard deviations at zero, which `climb` takes for absent."""
    point = x.copy()
    point[list(absent)] = 0.0
    return point


def onto_constraints(problem: Problem, solver: Solver, start: Array) -> Array | None:
    """The point of the constraints near a start; None where there is none.

    What is absent stays absent where the other parameters can satisfy the constraints, and is small elsewhere.
    """
    free = ~problem.parameters.fixed
    if len(problem.constraints) == 0:
        return start
    absent = free & solver.domains.can_vanish & problem.boundary.collapsible & (start == 0.0)
    inside = start.copy()
    inside[absent] = NEAR * totals_of(problem)[absent]
    for point, movable in ((start.copy(), free & ~absent), (inside, free)):
        if restore(problem, point, movable) and is_admissible(solver, point, movable):
            return point
    return None


def is_admissible(solver: Solver, x: Array, movable: Array) -> bool:
    """Whether the parameters that were moved are inside their ranges."""
    return bool(np.isfinite(x).all() and np.all(solver.domains.room(x)[movable] > 0.0))
