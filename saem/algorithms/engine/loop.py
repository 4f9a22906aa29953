"""The compiled loop of stochastic-approximation EM runs a block of iterations between two looks by Python."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from saem.families.contract import CompleteData, draw
from saem.mstep.sqp import CONVERGED, ITERATION_LIMIT, Workspace, maximise
from saem.system.jit import entry

Array = np.ndarray


MAX_NEWTON = 50


class State(NamedTuple):
    """The loop carries this from iteration to iteration, and changes it in place."""

    x: Array  # (n,) current estimate
    statistics: Array  # (s,) stochastic approximation of E[S | y]
    average: Array  # (s,) mean of the statistics since averaging began
    latest: Array  # (s,) statistics of the latest draws


@entry
def run_block(
    drawing: Any,
    arrays: Any,
    constraint: int,
    is_free: Array,
    low: Array,
    high: Array,
    floor: Array,
    rng: np.random.Generator,
    step_sizes: Array,
    draws: Array,
    n_averaged: int,
    averaging_from: int,
    tolerance: float,
    max_newton: int,
    state: State,
    ws: Workspace,
    path: Array,
) -> tuple[int, int]:
    """Iterate ``s += gamma_k (S(y, z) - s)``, ``x = argmax {complete(s, x): c(x) = 0}``.

    Parameters
    ----------
    drawing : NamedTuple
        Arrays by which the latent data are drawn; those of the family, or of another sampler.
    arrays : NamedTuple
        Of the family.
    step_sizes, draws : (K,) ndarray
        The block's part of the schedule.
    n_averaged : int
        Iterations averaged before this block.
    averaging_from : int
        Index into the block from which statistics are averaged.
    tolerance : float
        Of the M-step, in units of the complete-data standard errors.
    max_newton : int
        Newton steps allowed in an M-step. (A literal in the kernel would make Numba compile the solver once more.)
    path : (K, n) ndarray, written
        Estimates.

    Returns
    -------
    completed : int
        Iterations done; fewer than K when the M-step failed.
    status : int
        Of the last M-step (`saem.mstep.sqp`).
    """
    nothing = np.empty((0, state.x.shape[0]))
    size = state.statistics.shape[0]
    status = CONVERGED
    for k in range(step_sizes.shape[0]):
        draw(drawing, state.x, rng, draws[k], state.latest)
        gamma = step_sizes[k]
        for i in range(size):
            state.statistics[i] += gamma * (state.latest[i] - state.statistics[i])
        objective = CompleteData(arrays, state.statistics)
        result = maximise(objective, constraint, state.x, is_free, low, high, floor, tolerance, max_newton, ws, nothing)
        for i in range(state.x.shape[0]):
            path[k, i] = state.x[i]
        status = result.status
        if status != CONVERGED and not (status == ITERATION_LIMIT and result.stationarity < 1e-3):
            return k, status
        if k >= averaging_from:
            n_averaged += 1
            for i in range(size):
                state.average[i] += (state.statistics[i] - state.average[i]) / n_averaged
    return step_sizes.shape[0], CONVERGED
