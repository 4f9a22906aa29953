"""Where chains start: around the maxima of the likelihood, more widely spread than the posterior."""

from __future__ import annotations

import numpy as np

from saem.algorithms.bayes.target import LogPosterior, Target
from saem.errors import FitError
from saem.families.problem import Problem
from saem.maxima.identification import FEASIBLE, towards_feasible
from saem.maxima.search import find_maxima
from saem.maxima.starts import infeasible
from saem.mstep.solver import Solver

Array = np.ndarray

NEARLY = 3.0  # where the log density is lower by less than that may be a part of the posterior worth visiting
WIDER = 2.0  # times the standard deviation of the posterior's normal approximation
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
    x, violation = towards_feasible(problem, problem.starts.first)
    if len(problem.constraints) and not violation < FEASIBLE:
        raise infeasible(problem, 1, violation)
    return [x]


def likely(density: LogPosterior, centres: list[Array]) -> list[Array]:
    """Those of the points (d,) whose density is nearly as high as the highest: priors may tell solutions apart."""
    heights = np.array([density(u)[0] for u in centres])
    return [u for u, height in zip(centres, heights, strict=True) if height >= heights.max() - NEARLY]


def scattered_start(density: Target, rng: np.random.Generator) -> Array:
    """A point (dimension,) more widely spread than the posterior, in standardised coordinates, with a finite density.

    Raises
    ------
    FitError
        When there is none.
    """
    for trial in range(TRIALS):
        point = WIDER * 0.7**trial * rng.standard_normal(density.dimension)
        if np.isfinite(density(point)[0]):
            return np.asarray(point)
    raise FitError(
        "the posterior density is zero, or not finite, around the maximum of the likelihood: look for a prior that "
        "excludes what the data say, or for a constraint that cannot be solved there"
    )
