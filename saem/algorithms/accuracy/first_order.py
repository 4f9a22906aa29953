"""The Monte Carlo error of a run by the first-order law, or in words why it is not known."""

from __future__ import annotations

import numpy as np

from saem.algorithms.accuracy.error import BIAS_OF_AVERAGE, BIAS_OF_ITERATE, REMEMBERED, Directions, law
from saem.algorithms.engine.chain import Run
from saem.families.problem import Problem

Array = np.ndarray

BIASED = (
    "No Monte Carlo error is given: it is known for averages over decreasing step sizes and for last iterates, but an "
    "average at step size one is biased."
)
NOT_AVERAGED = (
    "No Monte Carlo error is given: the step sizes have not averaged out the start and the burn-in along the slow "
    "direction of {}."
)


def square_of(
    problem: Problem, run: Run, along: Directions, weights: Array, top: Array, is_mean: bool
) -> tuple[Array | None, str]:
    """Mean square (n, n) of the Monte Carlo error of a run, or None and the reason why it is not known.

    Parameters
    ----------
    along : Directions
        Of EM's rate.
    weights : (K + 1, d) ndarray
        Of the start and of the draws of every iteration in the estimate.
    top : (n,) ndarray
        The maximum, or the estimate where it is not known.
    is_mean : bool
        Whether a last iterate is by itself the mean of many steps.
    """
    is_mean = is_mean or run.averaging_from > 0
    bias = BIAS_OF_AVERAGE if is_mean else BIAS_OF_ITERATE
    found = law(along, weights, run.made, run.chain.paths[0][0] - top, run.burn_in, top is run.x, bias)
    if found.is_settled and (is_mean or not np.any(found.early > REMEMBERED)):
        return found.square, ""
    worst = int(np.argmax(found.early)) if found.is_settled else int(np.argmax(found.bias))
    slowest = found.vectors[:, worst] / problem.scale
    return None, NOT_AVERAGED.format(problem.parameters.names[int(np.argmax(np.abs(slowest)))])
