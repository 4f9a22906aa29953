"""Where chains start: around the maxima of the likelihood, more widely spread than the posterior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from saem.algorithms.bayes.density import IDENTITY, Space
from saem.errors import FitError
from saem.identification import FEASIBLE, towards_feasible
from saem.models.contract import Problem
from saem.mstep.search import find_maxima
from saem.mstep.solver import Solver
from saem.mstep.starts import infeasible

Array = np.ndarray
Density = Callable[[Array], tuple[float, Array]]

NEARLY = 3.0  # where the log density is lower by less than that may be a part of the posterior worth visiting
WIDER = 2.0  # times the standard deviation of the posterior's normal approximation
WIDEST = 2.0  # typical sizes, or units of a logarithm, where the posterior is flat
STEP = 1e-4  # of differences, in the same units
TRIALS = 40


def maxima(problem: Problem, solver: Solver) -> list[Array]:
    """Maxima of the likelihood under the constraints, the highest first; else a point that satisfies them.

    Raises
    ------
    ConstraintError
        When no such point is found.
    FitError
        When the likelihood is unbounded, so that the posterior may have no finite integral.
    """
    peaks, _ = find_maxima(problem, solver)
    if peaks:
        return [peak.x for peak in peaks]
    x, violation = towards_feasible(problem, problem.starts[0])
    if len(problem.constraints) and not violation < FEASIBLE:
        raise infeasible(problem, 1, violation)
    return [x]


def likely(density: Density, centres: list[Array]) -> list[Array]:
    """Those of the points (d,) whose density is nearly as high as the highest: priors may tell solutions apart."""
    heights = np.array([density(u)[0] for u in centres])
    return [u for u, height in zip(centres, heights, strict=True) if height >= heights.max() - NEARLY]


def spread_root(density: Density, problem: Problem, space: Space, u: Array) -> Array:
    """A root (d, d) of a covariance matrix like that of the posterior around ``u``, from the curvature there."""
    size = np.where(space.transform == IDENTITY, problem.scale[space.free], 1.0)
    bend = np.array([density(u + step)[1] - density(u - step)[1] for step in STEP * np.diag(size)]) / (2.0 * STEP)
    bend = 0.5 * (bend * size + (bend * size).T)
    if not np.isfinite(bend).all():
        return np.diag(0.1 * size)
    values, vectors = np.linalg.eigh(-bend)
    return np.asarray(size[:, None] * vectors / np.sqrt(np.maximum(np.abs(values), WIDEST**-2)))


def scattered_start(density: Density, u: Array, root: Array, rng: np.random.Generator) -> Array:
    """A point (d,) around ``u`` where the density is finite.

    Raises
    ------
    FitError
        When there is none.
    """
    for trial in range(TRIALS):
        point = u + WIDER * 0.7**trial * root @ rng.standard_normal(len(u))
        if np.isfinite(density(point)[0]):
            return np.asarray(point)
    raise FitError(
        "the posterior density is zero, or not finite, around the maximum of the likelihood: look for a prior that "
        "excludes what the data say, or for a constraint that cannot be solved there"
    )
