"""What a design and the constraints determine, whatever the response: at random parameter points, without data.

A Gaussian model is the pair of its means and covariance matrices. At each point the rank tells whether the parameters
are determined in its neighbourhood, and where the mean design leaves directions to the constraints, the roots along
these tell how many sets of parameters have the very same law of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.maxima.identification import FEASIBLE, Look, null_directions_at, towards_feasible
from saem.maxima.starts import solutions_along
from saem.mstep.solver import Solver

if TYPE_CHECKING:
    import pandas as pd

    from saem.families.problem import Problem

Array = np.ndarray

ATTEMPTS = 4  # for each point that is asked for
SPREAD_OF_MEANS, SPREAD_OF_SDS, LARGEST_CORRELATION = 2.0, 0.7, 0.8


@dataclass(frozen=True, eq=False)
class Structure:
    """What was found at random points that satisfy the constraints.

    Attributes
    ----------
    points : DataFrame
        A row for each: `n_null`, the number of directions that are left free there; `n_solutions`, the number of
        parameter sets with the same law of the data (the `MAX_ROOTS` nearest at most; nan where directions are free),
        and the parameters.
    n_attempts : int
        Points that were tried: the others are not near parameters that satisfy the constraints.
    """

    points: pd.DataFrame
    n_attempts: int

    @property
    def share_identified(self) -> float:
        """Of the points, those at which no direction is free; nan where there is no point."""
        return float((self.points["n_null"] == 0).mean()) if len(self.points) else float("nan")

    @property
    def share_several(self) -> float:
        """Of the points, those that share their law with other parameters."""
        return float((self.points["n_solutions"] > 1).mean()) if len(self.points) else float("nan")


def structure_of(problem: Problem, around: Array, n_points: int, seed: int = 0, look: Look | None = None) -> Structure:
    """Examine random points.

    Parameters
    ----------
    around : (n,) ndarray
        Means are drawn with two typical sizes around it, standard deviations by some factor of two from it (or from a
        third of their typical size, if that is more), correlations from -0.8 to 0.8, and as far in other
        intervals.
    look : Look, optional
        See `saem.maxima.identification.null_directions`.
    """
    import pandas as pd

    rng = np.random.default_rng([20261, seed])
    domains = problem.parameters.domains
    solver, free = Solver(problem), ~problem.parameters.fixed
    lines: list[list[float]] = []
    attempts = 0
    while len(lines) < n_points and attempts < ATTEMPTS * n_points:
        attempts += 1
        normal = rng.standard_normal(len(domains))
        positive = np.maximum(around, problem.scale / 3.0) * np.exp(SPREAD_OF_SDS * normal)
        between = rng.uniform(-LARGEST_CORRELATION, LARGEST_CORRELATION, len(domains))
        mean = around + SPREAD_OF_MEANS * problem.scale * normal
        with np.errstate(invalid="ignore"):
            inside = 0.5 * (domains.low + domains.high) + 0.5 * (domains.high - domains.low) * between
        x = np.select([domains.is_real, domains.is_positive], [mean, positive], inside)
        x, violation = towards_feasible(problem, np.where(free, x, problem.parameters.fixed_values))
        is_inside = domains.room(x) > 0.0
        directions = null_directions_at(problem, x, free, look) if violation < FEASIBLE else None
        if directions is None or not np.all(is_inside | ~free):
            continue
        n_solutions = np.nan if len(directions) else float(max(1, len(solutions_along(problem, solver, x, free))))
        lines.append([float(len(directions)), n_solutions, *problem.coordinates.to_user(x)])
    columns = ["n_null", "n_solutions", *problem.parameters.names]
    points = pd.DataFrame(np.array(lines).reshape(-1, len(columns)), columns=columns)
    return Structure(points.astype({"n_null": int}), attempts)
