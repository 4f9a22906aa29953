"""Whether model and table determine the parameters locally, before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saem.identification import describe_direction, null_directions

if TYPE_CHECKING:
    import pandas as pd

    from saem.specification import Model


@dataclass(frozen=True, eq=False)
class Identifiability:
    """What `identifiability` found.

    Attributes
    ----------
    locally_identified : bool
        Whether the parameters are determined in a neighbourhood of almost every point.
    null_directions : tuple of str
        One sentence for each direction in which they are not, in parameter names.
    directions : (k, n) ndarray
        The directions, largest entry 1.
    mean_rank, n_means : int
        Rank of the mean design, and its number of columns.
    solutions : DataFrame
        Parameters of each solution of the constraints with the likelihood of the unconstrained maximum: several rows
        mean that the data cannot tell them apart. Empty where the constraints restrict the likelihood.
    """

    locally_identified: bool
    null_directions: tuple[str, ...]
    directions: np.ndarray
    mean_rank: int
    n_means: int
    solutions: pd.DataFrame


def identifiability(model: Model, table: pd.DataFrame, drop_missing: bool = False) -> Identifiability:
    """Check whether the parameters of a model are determined by the design of a table and the constraints.

    Parameters
    ----------
    model : Model
    table : DataFrame
    drop_missing : bool
        As in `saem.fit`.

    Returns
    -------
    Identifiability
    """
    import pandas as pd

    from saem.data import arrange
    from saem.models import pose
    from saem.mstep.boundary import climb
    from saem.mstep.solver import Solver
    from saem.mstep.starts import solutions_along

    data = arrange(model, table, drop_missing)
    problem = pose(model, data)
    solver = Solver(problem)
    free = ~problem.parameters.fixed
    x, _, _ = climb(problem, solver, problem.starts[0], constrained=False)
    directions = null_directions(problem, x)
    solutions = solutions_along(problem, solver, x, free)
    gram = data.mean_design.T @ data.mean_design
    names = problem.parameters.names
    return Identifiability(
        locally_identified=len(directions) == 0,
        null_directions=tuple(describe_direction(names, direction) for direction in directions),
        directions=directions,
        mean_rank=int(np.linalg.matrix_rank(gram, hermitian=True)),
        n_means=len(gram),
        solutions=pd.DataFrame(np.array(solutions).reshape(-1, len(names)), columns=list(names)),
    )
