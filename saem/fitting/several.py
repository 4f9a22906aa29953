"""A fit from several starts: which maxima they lead to, and the highest of them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from saem.algorithms.course.outcome import Outcome
from saem.algorithms.registry import Algorithm, declaration_of
from saem.errors import ModelError, SaemError
from saem.families.problem import Problem
from saem.fitting.progress import Callback
from saem.fitting.running import run
from saem.maxima.search import TIE
from saem.maxima.several import several_starts
from saem.mstep.solver import Solver
from saem.stopping import Status
from saem.system.display import count, method_name

Array = np.ndarray

SHOWN = 3  # other maxima that a message lists
NEAR = 1e-3  # of typical sizes: exact maxima nearer than this are one ..
UNSURE = 0.1  # .. and estimates beside which no exact one is known


class Basin(NamedTuple):
    """A maximum that some starts lead to.

    Attributes
    ----------
    outcome : Outcome
        Of the first of these starts.
    loglik : float
        Of its estimate.
    peak : (n,) ndarray
        The exact maximum beside it, if it is known, else the estimate.
    starts : int
        How many.
    """

    outcome: Outcome
    loglik: float
    peak: Array
    starts: int


def check_starts(starts: object) -> None:
    """Refuse what is no number of starts.

    Raises
    ------
    ModelError
    """
    if isinstance(starts, bool) or not hasattr(starts, "__index__") or starts.__index__() < 1:
        raise ModelError(f"starts must be a whole number, 1 or larger; got {starts!r:.40}")


def run_from_several(
    algorithm: Algorithm, problem: Problem, seed: int, starts: int, callback: Callback | None = None
) -> Outcome:
    """Run an algorithm from several starts; the outcome is that of the highest maximum, and tells of the others.

    Raises
    ------
    ModelError
        When the method looks at several starts of its own, or heights cannot be compared without a likelihood.
    SaemError
        Of the first start, when none leads to an estimate.
    """
    name = method_name(algorithm)
    if declaration_of(algorithm).gives_posterior:
        raise ModelError(f"the method {name!r} gives a posterior, not a maximum: leave starts out")
    if not problem.likelihood.is_available:
        raise ModelError("without a likelihood the maxima that several starts lead to cannot be compared")
    basins: list[Basin] = []
    failures: list[SaemError] = []
    for start in several_starts(problem, starts):
        here = replace(problem, starts=replace(problem.starts, values=(start,)))
        try:
            outcome = run(algorithm, here, seed, callback)
        except SaemError as error:  # as where the quadrature does not settle
            failures.append(error)
            continue
        if outcome.likelihood in ("simulated", "none"):
            raise ModelError(
                "the likelihood at an estimate is not known well enough, so that the maxima of several starts cannot "
                f"be compared: {outcome.message}"
            )
        add_to(basins, problem, outcome)
    if not basins:
        raise failures[0]
    return told(sorted(basins, key=lambda basin: -basin.loglik), problem, starts, len(failures))


def add_to(basins: list[Basin], problem: Problem, outcome: Outcome) -> None:
    """Count an outcome to the basin that it lies in, or as a new one; of one basin the better outcome is kept."""
    loglik = height(problem, outcome.x)
    is_exact = outcome.maximum is not None or outcome.mcse is None
    peak = outcome.x if outcome.maximum is None else outcome.maximum
    near = NEAR if is_exact else UNSURE
    for k, basin in enumerate(basins):
        if np.max(np.abs(peak - basin.peak) / np.maximum(problem.scale, np.abs(peak))) < near:
            if loglik > basin.loglik + TIE * (1.0 + abs(loglik)):
                basin = basin._replace(outcome=outcome, loglik=loglik)
            basins[k] = basin._replace(starts=basin.starts + 1)
            return
    basins.append(Basin(outcome, loglik, peak, 1))


def height(problem: Problem, x: Array) -> float:
    """The log-likelihood at parameters (n,)."""
    solver = Solver(problem)
    return float(solver.derivatives(solver.observed(), x).value)


def told(basins: list[Basin], problem: Problem, starts: int, failed: int) -> Outcome:
    """The outcome of the highest basin, with all of them in its solutions and message."""
    best = basins[0]
    tops = [height(problem, basin.peak) for basin in basins]
    is_tied = len(basins) > 1 and tops[0] - tops[1] <= TIE * (1.0 + abs(tops[0]))
    words = f"Of {count(starts, 'start')} {best.starts} led here"
    for basin in basins[1 : 1 + SHOWN]:
        by = best.loglik - basin.loglik
        words += f", {basin.starts} to another maximum " + (f"lower by {by:.3g}" if by > 0.0 else "as high")
    if len(basins) > 1 + SHOWN:
        words += f", the others to {len(basins) - 1 - SHOWN} more"
    words += f"; {failed} led to none" if failed else ""
    words += ": see `Fit.solutions`." if len(basins) > 1 else "."
    status = Status.SEVERAL_SOLUTIONS if is_tied and best.outcome.status.converged else best.outcome.status
    return replace(
        best.outcome,
        status=status,
        message=f"{words} {best.outcome.message}".strip(),
        solutions=np.array([basin.outcome.x for basin in basins]),
        solution_logliks=np.array([basin.loglik for basin in basins]),
    )
