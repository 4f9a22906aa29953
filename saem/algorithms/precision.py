"""The rule to stop: how precise a run is, and more iterations until its Monte Carlo error no longer matters.

For families with a closed-form likelihood.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.algorithms.engine import Engine, Run, conditional_expectation
from saem.errors import MStepError
from saem.information import monte_carlo_covariance, observed_information
from saem.mstep import sqp
from saem.mstep.boundary import climb
from saem.mstep.search import Peak
from saem.schedules import Extendable
from saem.stopping import Target

Array = np.ndarray

UNEXPLAINED = 5.0  # times what the Monte Carlo error explains: a larger deficit is a pass that is not finished
LEAST, MOST = 1.25, 3.0  # factors by which the averaged iterations grow in one step
FRESH = 3  # passes that begin anew where a pass is not finished


class Precision(NamedTuple):
    """How far a run is from the maximum of the likelihood."""

    deficit: float  # log-likelihood below the maximum; estimated to second order where the maximum is not found
    ratio: float  # largest Monte Carlo standard error in units of the standard error; nan where none is valid
    worst: int  # the parameter that has it
    explained: float  # the deficit to be expected from the Monte Carlo error
    top: Peak | None  # the local maximum beside the run


def hilltop(engine: Engine, run: Run) -> Peak | None:
    """The local maximum of the likelihood, on the boundary if need be, of the hill that a run ended on."""
    x, pinned, outcome = climb(engine.problem, engine.solver, run.x)
    return Peak(outcome.value, x, pinned, run.x) if outcome.status == sqp.CONVERGED else None


def assess(engine: Engine, run: Run) -> Precision:
    """Measure a run against the likelihood."""
    problem, solver = engine.problem, engine.solver
    top = hilltop(engine, run)
    beside = top is not None and np.array_equal(top.pinned, run.pinned)
    x = top.x if top is not None and beside else run.x
    information = observed_information(problem, solver, x, run.pinned)
    deficit = information.deficit if top is None else top.loglik - engine.loglik(run.x, run.pinned)
    if not np.isfinite(run.draws) or not problem.has_expectation:
        return Precision(deficit, np.nan, 0, np.nan, top)
    expectation = conditional_expectation(problem, solver, x)
    error = monte_carlo_covariance(problem, solver, x, expectation, information, run.draws)
    variance = np.diag(information.covariance)
    known = np.isfinite(variance) & (variance > 0.0)
    if not known.any():
        return Precision(deficit, np.nan, 0, np.nan, top)
    share = np.zeros(len(variance))
    share[known] = np.sqrt(np.maximum(np.diag(error)[known], 0.0) / variance[known])
    block = np.ix_(known, known)
    explained = 0.5 * float(np.trace(np.linalg.pinv(information.covariance[block], hermitian=True) @ error[block]))
    worst = int(np.argmax(share))
    return Precision(deficit, float(share[worst]), worst, explained, top)


def refine(engine: Engine, run: Run, target: Target) -> tuple[Run, Precision]:
    """Iterate until the target is reached, or the budget is used up."""
    fresh = 0
    precision = assess(engine, run)
    while not reached(precision, target):
        left = target.max_iterations - engine.iterations
        unfinished = not precision.deficit <= max(target.deficit, UNEXPLAINED * precision.explained)
        try:
            if unfinished and fresh < FRESH:
                fresh += 1
                longer = pass_from_above(engine, run, left, fresh)
            else:
                longer = go_on(engine, run, left, precision.ratio / target.mcse)
        except MStepError:
            if unfinished and fresh < FRESH:
                continue
            break
        if longer is None:
            break
        after = assess(engine, longer)
        if unfinished and not after.deficit < precision.deficit:
            if fresh < FRESH:
                continue
            break
        run, precision = longer, after
    return run, precision


def reached(precision: Precision, target: Target) -> bool:
    """Whether both targets are; where no Monte Carlo error is valid, that of the deficit alone."""
    return precision.deficit <= target.deficit and not precision.ratio > target.mcse


def pass_from_above(engine: Engine, run: Run, left: int, attempt: int) -> Run | None:
    """Another pass without the burn-in, from the estimate; None where the budget is too small.

    EM leaves the neighbourhood of a zero variance very slowly: every second pass comes from above.
    """
    problem = engine.problem
    if left < engine.once or not np.isfinite(run.draws):
        return None
    sds = problem.collapsible & ~run.pinned & (engine.solver.kinds == sqp.SD)
    start = np.where(sds, np.maximum(run.x, problem.starts[0]), run.x) if attempt % 2 else run.x
    return engine.pass_through(start, run.pinned, burn_in=False).after(run)


def go_on(engine: Engine, run: Run, left: int, excess: float) -> Run | None:
    """More iterations of the same chain: as many as the excess of the Monte Carlo error asks for, within the budget."""
    if not np.isfinite(run.draws) or not isinstance(engine.schedule, Extendable):
        return None
    averaged = len(run.path) - 2 - run.averaging_from
    factor = min(max(LEAST, 1.1 * excess**2), MOST) if np.isfinite(excess) else LEAST
    more = min(int(np.ceil(averaged * (factor - 1.0))), left)
    return engine.go_on(run, more) if more > 0 else None
