"""How far a run is from the maximum is measured: the likelihood deficit, and every parameter's Monte Carlo error.

With a closed-form likelihood both are evaluated at the maximum beside the run. Without one, draws at the estimate give
the observed score (Fisher's identity), the observed information (Louis 1982) and, by batch means, the long-run
covariance of the score, whose noise is accounted for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from saem.algorithms.accuracy.error import standard_errors
from saem.algorithms.accuracy.noise import MOST_SAMPLE, first_look, known_noise, noise_of_means, sample
from saem.algorithms.course.singularity import at_singularity
from saem.algorithms.engine.chain import Run
from saem.algorithms.engine.iteration import Iteration
from saem.errors import FitError, ModelError
from saem.estep.integration.settling import has_moved
from saem.estep.samplers import own_copy, with_arrays_of
from saem.estep.score_noise import batch_means, draw_means, scores_of
from saem.maxima.boundary import climb
from saem.maxima.information import Information, information_of, observed_information, uphill
from saem.maxima.search import Peak
from saem.maxima.simulated import climb_simulated, deficit_by, error_of, multipliers_of, simulated_at
from saem.mstep import sqp
from saem.mstep.solver import Solver
from saem.system.streams import offshoot

Array = np.ndarray

TOP = "top"  # in a chain's memory: the maximum beside it at the last look, where a look costs much
AT_A_TIME = 10  # draws whose mean is kept, where draws one by one are not needed
DOUBTED = 0.5  # of the deficit that is aimed at: more doubt about a deficit asks for more draws
FAR_OFF = 10.0  # times the deficit that is aimed at, or its noise: of more, that does not matter
AT_THE_TOP = 1e-6  # standard errors: a gradient that is nearly zero


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
    newton : (n,) ndarray or None
        Newton's step from the estimate to the maximum, where draws alone tell of it.
    covariance : (n, n) ndarray or None
        Of the Monte Carlo error.
    loglik_mcse : float
        Monte Carlo standard error of the log-likelihood in ``information``, where it is simulated.
    is_singular : bool
        Whether the deficit is that of the run at the singular covariance matrix that it goes to.
    reason : str
        Why there are none.
    information : Information
    x : (n,) ndarray
        Where these are evaluated: the maximum beside the run, or its estimate.
    missing, noise : (n, n) ndarray
        Missing information, and the long-run covariance of the complete-data score of one draw.
    top : Peak or None
        The local maximum beside the run, where a closed form gives it.
    excess : float
        Variance of the worst parameter in units of that which as many draws have in a long average; nan for a last
        iterate.
    """

    deficit: float
    doubt: float
    ratio: float
    worst: int
    explained: float
    mcse: Array
    reason: str
    information: Information
    x: Array
    missing: Array
    noise: Array
    top: Peak | None = None
    excess: float = 1.0
    newton: Array | None = None
    covariance: Array | None = None
    loglik_mcse: float = 0.0
    is_singular: bool = False


def assess(iteration: Iteration, run: Run) -> Precision:
    """Measure a run against the likelihood."""
    iteration.take_up(run.chain)
    if iteration.problem.likelihood.kind == "quadrature" and has_moved(iteration.problem, run.x):
        iteration.look_closely(run)
    kind = iteration.problem.likelihood.kind
    if kind == "simulated":
        return by_simulation(iteration, run)
    return by_sampling(iteration, run) if kind == "none" else exactly(iteration, run)


def hilltop(iteration: Iteration, run: Run) -> tuple[Peak | None, bool]:
    """The local maximum, on the boundary if need be, of the hill that a run ended on, and whether it is a sharp one.

    Beside a fold of the constraints the hill is so flat that Newton's method gets to the top but slowly. The top of a
    look before is that of a run within a standard error of it.
    """
    memory = run.chain.memory
    start = memory[TOP] if TOP in memory and is_beside(iteration, run, memory[TOP]) else run.x
    x, pinned, result = climb(iteration.problem, iteration.solver, start)
    is_sharp = result.status == sqp.CONVERGED
    if is_sharp and iteration.problem.likelihood.is_local and np.array_equal(pinned, run.pinned):
        memory[TOP] = x.copy()
    slowly = result.status in (sqp.ITERATION_LIMIT, sqp.LINE_SEARCH_FAILED) and result.stationarity <= AT_THE_TOP
    return (Peak(result.value, x, pinned, run.x) if is_sharp or slowly else None), is_sharp


def is_beside(iteration: Iteration, run: Run, top: Array) -> bool:
    """Whether a run is within one standard error, in any direction, of the ``top`` (n,) of a look before."""
    root = observed_information(iteration.problem, iteration.solver, top, run.pinned).root
    steps, *_ = np.linalg.lstsq(root, run.x - top, rcond=None)
    return bool(steps @ steps <= 1.0)


def exactly(iteration: Iteration, run: Run) -> Precision:
    """Measure a run by the likelihood and the maximum beside it."""
    problem, solver = iteration.problem, iteration.solver
    top, is_sharp = hilltop(iteration, run)
    beside = top is not None and is_sharp and np.array_equal(top.pinned, run.pinned)
    x = top.x if top is not None and beside else run.x
    information = observed_information(problem, solver, x, run.pinned)
    end, words = at_singularity(iteration, run, top)
    deficit = information.deficit if top is None else top.loglik - iteration.loglik(end.x)
    if problem.latent.has_expectation:
        missing = noise = iteration.missing(x, run.pinned, information)
        if iteration.is_markov:
            noise = batch_means(scores_of(problem.arrays, sample(iteration, run, x), x).scores)
    else:
        observed = solver.derivatives(solver.observed(), x, solver.free & ~run.pinned).hessian
        missing, noise = known_noise(iteration, run, x, information, observed)
    if iteration.is_paired:
        noise = noise_of_means(iteration, run, x)
    found = measured(iteration, run, deficit, 0.0, information, missing, noise, x, top)
    return replace(found, is_singular=bool(words))


def by_sampling(iteration: Iteration, run: Run) -> Precision:
    """Measure a run by draws at its estimate, where there is no likelihood.

    First come draws whose scores are looked at, cluster by cluster where the family has them so: they tell the missing
    information and the noise. The observed score is the mean of theirs and of those of more draws, made many at a time,
    as long as their noise, and not the run, is what is in doubt.
    """
    problem, solver, drawing = iteration.problem, iteration.solver, iteration.drawing
    if problem.latent.observe is not None:
        problem = replace(problem, arrays=problem.latent.observe(problem.arrays))
        solver, drawing = Solver(problem), with_arrays_of(problem, drawing, iteration.sampler)
    chain, rng = own_copy(drawing), offshoot(iteration.rng, "precision")
    free, target, size = solver.free & ~run.pinned, iteration.spent.target, problem.latent.n_statistics
    moments, n = first_look(problem, chain, run.x, rng, run)
    gradient, noise, mean = moments.gradient, moments.noise, np.zeros(size)
    at = replace(solver.derivatives(solver.complete(mean), run.x, free), gradient=gradient, hessian=moments.hessian)
    while True:
        at, observed = replace(at, gradient=gradient), -moments.hessian - moments.missing
        multipliers = multipliers_of(at, free)
        information = replace(information_of(problem, at, multipliers, observed, free), loglik=np.nan)
        deficit, doubt = deficit_by(information, noise / n)
        far = FAR_OFF * max(target.deficit, doubt if np.isfinite(doubt) else np.inf)
        enough = not (doubt > DOUBTED * target.deficit and (deficit < far or np.isinf(deficit)))
        if enough or 2 * n > MOST_SAMPLE:
            break
        more = np.empty((max(1, n // AT_A_TIME), size))
        draw_means(chain, run.x, rng, AT_A_TIME, more)
        added = AT_A_TIME * len(more)
        new = solver.derivatives(solver.complete(more.mean(axis=0)), run.x, free).gradient
        gradient, n = (n * gradient + added * new) / (n + added), n + added
    found = measured(iteration, run, deficit, doubt, information, moments.missing, noise, run.x, None)
    return replace(found, newton=uphill(problem, at, multipliers, observed, free))


def by_simulation(iteration: Iteration, run: Run) -> Precision:
    """Measure a run by the simulated likelihood at its estimate."""
    free = iteration.solver.free & ~run.pinned
    try:
        found = simulated_at(iteration.problem, iteration.solver, run.x, free)
    except (ModelError, FitError):  # elsewhere it was known
        return by_sampling(iteration, run)
    missing, noise = known_noise(iteration, run, run.x, found.information, found.at.hessian)
    precision = measured(iteration, run, *found.deficit, found.information, missing, noise, run.x, None)
    return replace(precision, loglik_mcse=found.mcse)


def finished(iteration: Iteration, run: Run) -> tuple[Run, Precision, str]:
    """A run at the maximum of the simulated likelihood that it leads to, the precision there, and doubts in words.

    Its Monte Carlo error is that of the points of the likelihood, not of the draws of the iterations before.

    Raises
    ------
    ModelError, FitError
        Where the likelihood cannot be simulated.
    """
    x, found = climb_simulated(iteration.problem, iteration.solver, run.x, run.pinned)
    run = replace(run, x=x, pinned=found.pinned, path=np.vstack([run.path[:-1], x]))
    missing, noise = known_noise(iteration, run, x, found.information, found.at.hessian)
    covariance, fixed = error_of(found), iteration.problem.parameters.fixed
    mcse, share, explained = errors(run, found.information, covariance, np.zeros(len(x)), fixed)
    worst = int(np.argmax(share))
    ratio = float(share[worst])
    precision = Precision(
        *(*found.deficit, ratio, worst, explained, mcse, "", found.information, x, missing, noise),
        covariance=covariance,
        loglik_mcse=found.mcse,
    )
    return run, precision, found.doubts


def measured(
    iteration: Iteration,
    run: Run,
    deficit: float,
    doubt: float,
    information: Information,
    missing: Array,
    noise: Array,
    x: Array,
    top: Peak | None,
) -> Precision:
    """The precision at the maximum ``x``, with the Monte Carlo error as the iteration has it."""
    n, fixed = len(run.x), iteration.problem.parameters.fixed
    precision = Precision(
        deficit, doubt, np.nan, 0, np.nan, np.full(n, np.nan), "", information, x, missing, noise, top
    )
    if np.isinf(run.draws):  # nothing was drawn
        return replace(precision, ratio=0.0, explained=0.0, mcse=np.zeros(n))
    if np.isnan(missing).any():
        return precision
    if len(run.made) == 0:
        return replace(precision, reason="No Monte Carlo error is given: the fit ended before its first iteration.")
    covariance, reason = iteration.error(run, information, missing, noise, x)
    if covariance is None:
        return replace(precision, reason=reason)
    left = bias_left(run, x)
    precision = replace(precision, covariance=covariance + np.outer(left, left))
    mcse, share, explained = errors(run, information, covariance, left, fixed)
    if not share.any():
        return replace(precision, mcse=mcse, ratio=0.0 if np.isfinite(mcse).any() else np.nan, explained=explained)
    worst = int(np.argmax(share))
    root = information.root
    settled = root[worst] @ (root.T @ noise @ root) @ root[worst] / run.draws  # of a long average
    return replace(
        precision,
        mcse=mcse,
        ratio=float(share[worst]),
        worst=worst,
        explained=explained,
        excess=float(covariance[worst, worst] / settled),
    )


def bias_left(run: Run, x: Array) -> Array:
    """The bias (n,) that may be left; where no correction was made, the distance to the maximum ``x`` if known."""
    known = x is not run.x
    return run.x - x if known and not run.correction.is_believed else run.correction.left


def errors(
    run: Run, information: Information, covariance: Array, left: Array, fixed: Array
) -> tuple[Array, Array, float]:
    """Monte Carlo standard errors (n,), their shares (n,) of the standard errors, and the deficit that noise explains.

    ``covariance`` (n, n) is to the first order; ``left`` (n,) is a bias of the second.
    """
    variance = np.diag(information.covariance)
    known = np.isfinite(variance) & ~fixed
    draws = run.draws if np.isfinite(run.draws) else float(run.made[-1:].sum())
    mcse = standard_errors(covariance + np.outer(left, left), known, variance, draws)
    mcse[fixed] = 0.0
    moves = known & (variance > 0.0)
    share = np.zeros(len(variance))
    share[moves] = mcse[moves] / np.sqrt(variance[moves])
    block = np.ix_(moves, moves)
    inverse = np.linalg.pinv(information.covariance[block], hermitian=True) if moves.any() else np.zeros((0, 0))
    return mcse, share, 0.5 * float(np.trace(inverse @ covariance[block]))
