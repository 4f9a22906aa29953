"""Estimates whose covariance matrix goes to a singular one, where the complete data have no density.

No iteration gets there, and each gets less far. Where the closed-form likelihood has its maximum there, the run is put
there: its correlations are those of that maximum, all else is its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saem.algorithms.engine.chain import Run
from saem.algorithms.engine.iteration import Iteration
from saem.errors import listing
from saem.maxima.search import Peak

Array = np.ndarray

LOSS = 0.01  # log-likelihood: an estimate that is put there loses no more
INSIDE = 0.9  # of the correlations of a singular matrix: where a path towards it can begin


def new_correlations(iteration: Iteration, run: Run, top: Peak | None) -> Array | None:
    """The correlations (bool) in which a maximum is singular and the run is not, if they are all that differs."""
    if top is None:
        return None
    new = top.pinned & ~run.pinned
    return new if new.any() and bool(np.all(iteration.solver.domains.is_correlation[new])) else None


def at_singularity(iteration: Iteration, run: Run, top: Peak | None) -> tuple[Run, str]:
    """A run with the correlations of the singular maximum beside it, and this in words.

    The run as it is, and no words, where there is no such maximum or where that is not as likely.
    """
    problem, new = iteration.problem, new_correlations(iteration, run, top)
    if top is None or new is None:
        return run, ""
    if len(problem.constraints) and np.any(problem.constraints.evaluate(run.x)[1][:, new]):
        return run, ""
    x, pinned = np.where(new, top.x, run.x), run.pinned | new
    if not iteration.loglik(x) >= iteration.loglik(run.x) - LOSS:
        return run, ""
    return replace(run, x=x, pinned=pinned), describe(iteration, x, new)


def describe(iteration: Iteration, x: Array, new: Array) -> str:
    """What was done to the correlations, in words."""
    labels = [iteration.problem.label(int(i)) for i in np.flatnonzero(new)]
    if np.all(np.abs(x[new]) == 1.0):
        verb, what = ("goes", "it is") if len(labels) == 1 else ("go", "they are")
        return f"{' and '.join(labels)} {verb} to -1 or 1, which no path reaches: {what} put there."
    return f"The covariance matrix goes to a singular one, which no path reaches: {listing(labels)} are put there."


def inside(iteration: Iteration, top: Peak) -> tuple[Array, Array]:
    """A maximum ``(x, pinned)`` as a start: with smaller correlations where they make a covariance matrix singular."""
    sd, corr = iteration.solver.domains.can_vanish, iteration.solver.domains.is_correlation
    singular = top.pinned & corr & (top.x != 0.0)
    return np.where(singular, INSIDE * top.x, top.x), top.pinned & (sd | ~singular)
