"""How far a run is from the maximum: the likelihood deficit, and the Monte Carlo error of every parameter.

With a closed-form likelihood both are evaluated at the maximum beside the run. Without one, draws at the estimate give
the observed score (Fisher's identity), the observed information (Louis 1982) and, by batch means, the long-run
covariance of the score, whose noise is accounted for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saem.algorithms import error
from saem.algorithms.chain import Run
from saem.algorithms.engine import Engine, conditional_expectation, own_copy
from saem.algorithms.sampling import batch_means, draw_each, scores_of
from saem.information import Information, information_of, missing_information, observed_information
from saem.mstep import sqp
from saem.mstep.boundary import climb
from saem.mstep.search import Peak
from saem.streams import offshoot

Array = np.ndarray

LEAST_SAMPLE, MOST_SAMPLE = 4_000, 40_000  # draws at the estimate, where there is no closed form
WARM = 0.1  # share of them before, which are not used
NORMAL_95 = 1.645


@dataclass(frozen=True, eq=False)
class Precision:
    """How far a run is from the maximum of the likelihood.

    Attributes
    ----------
    deficit : float
        Log-likelihood below the maximum; to second order, less what its noise adds, where it is estimated.
    doubt : float
        What the deficit may be larger by, given its own noise (95 %, one-sided); 0 where it is exact.
    ratio : float
        Largest Monte Carlo standard error in units of the standard error; nan where none is valid.
    worst : int
        The parameter that has it.
    explained : float
        The deficit to be expected from the Monte Carlo error.
    mcse : (n,) ndarray
        Monte Carlo standard errors; nan where none is valid.
    reason : str
        Why there are none.
    information : Information
    top : Peak or None
        The local maximum beside the run, where a closed form gives it.
    """

    deficit: float
    doubt: float
    ratio: float
    worst: int
    explained: float
    mcse: Array
    reason: str
    information: Information
    top: Peak | None = None


def assess(engine: Engine, run: Run) -> Precision:
    """Measure a run against the likelihood."""
    return exactly(engine, run) if engine.problem.has_observed else by_sampling(engine, run)


def hilltop(engine: Engine, run: Run) -> Peak | None:
    """The local maximum of the likelihood, on the boundary if need be, of the hill that a run ended on."""
    x, pinned, outcome = climb(engine.problem, engine.solver, run.x)
    return Peak(outcome.value, x, pinned, run.x) if outcome.status == sqp.CONVERGED else None


def exactly(engine: Engine, run: Run) -> Precision:
    """By the closed-form likelihood."""
    problem, solver = engine.problem, engine.solver
    top = hilltop(engine, run)
    beside = top is not None and np.array_equal(top.pinned, run.pinned)
    x = top.x if top is not None and beside else run.x
    information = observed_information(problem, solver, x, run.pinned)
    deficit = information.deficit if top is None else top.loglik - engine.loglik(run.x, run.pinned)
    if not problem.has_expectation:
        return without_error(run, deficit, 0.0, information, "", top)
    missing = missing_information(problem, solver, x, conditional_expectation(problem, solver, x))
    return with_error(engine, run, deficit, 0.0, information, missing, missing, top)


def by_sampling(engine: Engine, run: Run) -> Precision:
    """By draws at the estimate, from a stream of their own, so that looking changes nothing."""
    problem, solver = engine.problem, engine.solver
    wanted = run.draws if np.isfinite(run.draws) else run.drawn.sum()
    n = int(np.clip(wanted, LEAST_SAMPLE, MOST_SAMPLE))
    statistics = np.empty((n + int(WARM * n), problem.n_statistics))
    rng = offshoot(engine.rng, "precision")
    draw_each(own_copy(engine.arrays), run.x, rng, statistics)
    engine.drawn += len(statistics)
    statistics = statistics[-n:]
    scores = scores_of(engine.arrays, statistics, run.x)
    free = solver.free & ~run.pinned
    at = solver.derivatives(solver.complete(statistics.mean(axis=0)), run.x, free)
    missing = np.atleast_2d(np.cov(scores.scores, rowvar=False))
    information = information_of(problem, at, solver.multipliers, -at.hessian - missing, free)
    noise = batch_means(scores.scores)
    # the square of the score's own noise would count as deficit
    spread = np.linalg.eigvalsh(information.root.T @ noise @ information.root) / n
    deficit = max(0.0, information.deficit - 0.5 * float(spread.sum()))
    doubt = NORMAL_95 * float(np.sqrt(0.5 * np.sum(spread**2) + 2.0 * deficit * spread.max(initial=0.0)))
    return with_error(engine, run, deficit, doubt, information, missing, noise, None)


def with_error(
    engine: Engine,
    run: Run,
    deficit: float,
    doubt: float,
    information: Information,
    missing: Array,
    noise: Array,
    top: Peak | None,
) -> Precision:
    """The precision with the Monte Carlo error, as the engine's iteration has it."""
    if np.isinf(run.draws):  # nothing was drawn
        return Precision(deficit, doubt, 0.0, 0, 0.0, np.zeros(len(run.x)), "", information, top)
    covariance, reason = engine.error(run, information, missing, noise)
    if covariance is None:
        return without_error(run, deficit, doubt, information, reason, top)
    variance = np.diag(information.covariance)
    known = np.isfinite(variance) & ~engine.problem.parameters.fixed
    draws = run.draws if np.isfinite(run.draws) else float(run.drawn[-1:].sum())
    mcse = error.standard_errors(covariance, known, variance, draws)
    mcse[engine.problem.parameters.fixed] = 0.0
    moves = known & (variance > 0.0)
    if not moves.any():
        return Precision(deficit, doubt, np.nan, 0, np.nan, mcse, "", information, top)
    share = np.zeros(len(variance))
    share[moves] = mcse[moves] / np.sqrt(variance[moves])
    block = np.ix_(moves, moves)
    explained = 0.5 * float(np.trace(np.linalg.pinv(information.covariance[block], hermitian=True) @ covariance[block]))
    worst = int(np.argmax(share))
    return Precision(deficit, doubt, float(share[worst]), worst, explained, mcse, "", information, top)


def without_error(
    run: Run, deficit: float, doubt: float, information: Information, reason: str, top: Peak | None
) -> Precision:
    """The precision of a run whose Monte Carlo error is not known."""
    nothing = np.full(len(run.x), np.nan)
    return Precision(deficit, doubt, np.nan, 0, np.nan, nothing, reason, information, top)
