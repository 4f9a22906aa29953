"""The E-step in closed form: the loop without draws."""

from __future__ import annotations

import numpy as np

from saem.algorithms.loop import MAX_NEWTON, State, run_block
from saem.models.contract import Problem
from saem.mstep.solver import Solver

Array = np.ndarray


def conditional_expectation(problem: Problem, solver: Solver, x: Array) -> Array:
    """``E[S | y; x]`` (s,): the statistics of one iteration of the loop without draws."""
    state = State(x.copy(), *np.zeros((3, problem.n_statistics)))
    run_block(
        problem.arrays,
        problem.arrays,
        problem.constraints.address,
        np.zeros(len(x), dtype=bool),
        solver.kinds,
        solver.no_floor,
        np.random.Generator(np.random.SFC64(0)),
        np.ones(1),
        np.zeros(1, dtype=np.int64),
        0,
        1,
        1.0,
        MAX_NEWTON,
        state,
        solver.constrained,
        np.empty((1, len(x))),
    )
    return state.drawn
