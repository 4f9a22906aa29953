"""The maxima of a likelihood seen from all sides: their curvature, the link between them, profiles without an end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import SaemError
from saem.maxima.information import Information, observed_information
from saem.maxima.starts import flat_directions
from saem.mstep.solver import Solver

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.problem import Problem
    from saem.fitting.result import Fit

Array = np.ndarray

BEYOND, N_LINK = 3.0, 301  # typical sizes on either side of a single solution, and points of the curve
LOOSE = 0.3  # a standard error, as a part of a parameter's size, from which a profile may have no end
SINGULAR_MATRIX = 1e-6  # smallest eigenvalue of a correlation matrix


def link_along(problem: Problem, solver: Solver, x: Array, solutions: list[Array]) -> pd.DataFrame:
    """One equation along the only flat direction from ``x``, over its solutions and some typical sizes beyond."""
    import pandas as pd

    names = list(problem.parameters.names)
    directions = flat_directions(problem, solver, x, ~problem.parameters.fixed) if solutions else np.empty((0, len(x)))
    if len(directions) != 1 or len(problem.constraints) != 1:
        return pd.DataFrame(columns=["residual", "loglik", *names], dtype=float)
    direction = directions[0]
    at = [float((point - x) @ direction / (direction @ direction)) for point in solutions]
    beyond = max(at) - min(at) if len(at) > 1 else BEYOND
    points = x + np.linspace(min(at) - beyond, max(at) + beyond, N_LINK)[:, None] * direction
    residuals = [problem.constraints.evaluate(point)[0][0] for point in points]
    loglik = solver.height(x)
    columns = {"residual": residuals, "loglik": loglik}
    columns |= dict(zip(names, problem.coordinates.to_user(points).T, strict=True))
    return pd.DataFrame(columns)


def information_beside(problem: Problem, values: Array) -> Information:
    """The observed information at a solution (n,) as a fit shows it, with what is at the boundary taken as known."""
    x = np.where((values == 0.0) & problem.boundary.has_stand_in, problem.boundary.at_zero, values)
    return observed_information(problem, Solver(problem), x, pinned_at(problem, x))


def pinned_at(problem: Problem, x: Array) -> Array:
    """Which parameters (n,) are at the boundary at ``x`` (n,), and the correlations that have lost their meaning."""
    values = np.where(problem.boundary.has_stand_in & (x == problem.boundary.at_zero), 0.0, x)
    pinned = problem.parameters.domains.at_end(values)
    for i in np.flatnonzero(pinned):
        pinned[list(problem.boundary.dependents.get(int(i), ()))] = True
    for corr in singular_blocks(problem, values):
        pinned[corr[corr >= 0]] = True
    return np.asarray(pinned & ~problem.parameters.fixed)


def singular_blocks(problem: Problem, values: Array) -> list[Array]:
    """Correlation parameters (q, q) of the blocks of three or more random effects whose matrix is singular."""
    found = []
    for sd, corr in problem.boundary.blocks:
        matrix = np.where(corr >= 0, values[corr], 0.0) + np.eye(len(sd))
        if len(sd) > 2 and np.linalg.eigvalsh(matrix)[0] < SINGULAR_MATRIX:
            found.append(corr)
    return found


def loose(problem: Problem, best: Fit) -> list[str]:
    """Parameters with a standard error that is large beside their size, or half of their range."""
    domains, typical = best.parameters.domains, problem.coordinates.sizes(problem.scale)
    size = np.where(domains.is_positive, np.abs(best.values), np.maximum(np.abs(best.values), typical))
    with np.errstate(invalid="ignore"):
        size = np.where(domains.is_between, 0.5 * (domains.high - domains.low), size)
        is_loose = ~best.parameters.fixed & ~(best.se <= LOOSE * size)
    names = [name for name, is_one in zip(best.parameters.names, is_loose, strict=True) if is_one]
    return [name for name in names if name not in best.at_boundary]


def profile_ends(problem: Problem, best: Fit) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parameters whose 95 % profile interval is endless on a side, and notes on what was not found.

    Where each point of a profile is an integral for every cluster, only those of parameters that are not known well are
    followed.
    """
    from saem.inference.profile_likelihood import profile

    if best.status == "several_solutions":  # the curve from one leads over the others
        return (), ()
    if singular_blocks(problem, best.inner if len(best.inner) else best.values):
        return (), ("Profiles were left out: the correlations of the random effects are singular at the maximum.",)
    names = loose(problem, best) if problem.likelihood.is_local else None
    if names == []:
        return (), ()
    try:
        intervals = profile(best, names).intervals
    except SaemError as error:
        return (), (f"The profiles could not be followed: {error}",)
    endless = np.isinf(intervals["lower"]) | np.isinf(intervals["upper"])
    return tuple(intervals.index[endless]), ()
