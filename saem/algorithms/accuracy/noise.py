"""Draws at an estimate tell the missing information, and how noisy the score of the complete data is.

They come from a stream of their own, so that looking changes nothing, and do not count as draws of the fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saem.algorithms.engine.chain import Run
from saem.algorithms.engine.iteration import Iteration
from saem.estep.samplers import clusters_of, is_markov, own_copy, renewed
from saem.estep.score_noise import (
    ScoreMoments,
    batch_means,
    draw_each,
    draw_means,
    score_moments,
    score_noise,
    scores_of,
)
from saem.families.problem import Problem
from saem.maxima.information import Information
from saem.system.streams import offshoot

Array = np.ndarray

LEAST_SAMPLE, MOST_SAMPLE = 4_000, 40_000  # draws at the estimate, where there is no closed form
NOISE = "noise_of_score"  # in a chain's memory: where it was measured, missing information, and noise
NEARBY = 0.1  # standard errors
MEANS = 1_000, 4_000  # at least and at most so many means of dependent draws
WARM = 0.1  # share of them before, which are not used
CLUSTER_DRAWS, SWEEPS = 200_000, (250, 4_000)  # of single clusters whose scores are looked at, and of all of them


def sample(iteration: Iteration, run: Run, x: Array) -> Array:
    """Statistics (m, s) of single draws at ``x``, about as many as were averaged."""
    n = int(np.clip(made_by(run), LEAST_SAMPLE, MOST_SAMPLE))
    statistics = np.empty((n + int(WARM * n), iteration.problem.latent.n_statistics))
    draw_each(own_copy(iteration.drawing), x, offshoot(iteration.rng, "precision"), statistics)
    return statistics[-n:]


def made_by(run: Run) -> float:
    """How many draws of all random effects a run is worth."""
    return float(run.draws if np.isfinite(run.draws) else run.made.sum())


def first_look(problem: Problem, chain: Any, x: Array, rng: np.random.Generator, run: Run) -> tuple[ScoreMoments, int]:
    """Moments of the complete-data score at ``x``, and by how many draws: of single clusters where a family has them.

    Without, there are as many as the ``run`` made: the rate of the slowest direction is one less the share of what is
    missing, and a few dependent draws leave it in doubt by half.
    """
    clusters = clusters_of(problem, chain)
    if clusters is not None and is_markov(chain):
        n = int(np.clip(CLUSTER_DRAWS // max(1, problem.clusters.count), *SWEEPS))
        draw_means(chain, x, rng, max(1, int(WARM * n)), np.empty((1, problem.latent.n_statistics)))
        sizes = problem.clusters.count, problem.latent.n_statistics
        return score_moments(clusters, x, rng, n, *sizes), n
    n = int(np.clip(made_by(run), LEAST_SAMPLE, MOST_SAMPLE))
    singles = np.empty((n + int(WARM * n), problem.latent.n_statistics))
    draw_each(chain, x, rng, singles)
    found = scores_of(problem.arrays, singles[-n:], x)
    missing = np.atleast_2d(np.cov(found.scores, rowvar=False))
    moments = ScoreMoments(found.scores.mean(axis=0), found.hessian, missing, batch_means(found.scores))
    return moments, n


def known_noise(
    iteration: Iteration, run: Run, x: Array, information: Information, observed: Array
) -> tuple[Array, Array]:
    """Missing information, and the long-run covariance of the score (n, n), by draws at ``x``.

    They change slowly: those of a look before, which the chain remembers, do where the estimate has hardly moved.

    Parameters
    ----------
    observed : (n, n) ndarray
        Hessian of the log-likelihood, of which that of the complete data differs by what is missing (Louis 1982).
    """
    memory, error = run.chain.memory, np.sqrt(np.sum(information.root**2, axis=1))
    if NOISE in memory:
        before, missing, noise = memory[NOISE][0], *np.split(memory[NOISE][1:], 2)
        if np.all(np.abs(x - before) <= NEARBY * error):
            return missing, noise
    problem, chain, rng = iteration.problem, renewed(iteration.drawing), offshoot(iteration.rng, "precision")
    clusters = clusters_of(problem, chain)
    if clusters is not None and is_markov(chain):
        hessian, noise = score_noise(clusters, x, rng, problem.clusters.count, problem.latent.n_statistics)
        missing = observed - hessian
    else:
        moments, _ = first_look(problem, chain, x, rng, run)
        missing, noise = moments.missing, moments.noise
    memory[NOISE] = np.vstack([x, missing, noise])
    return missing, noise


def noise_of_means(iteration: Iteration, run: Run, x: Array) -> Array:
    """Covariance (n, n) of the score of single draws that gives that of the mean of an iteration's dependent draws."""
    m = int(run.made[-1]) if len(run.made) else 1
    statistics = np.empty((int(np.clip(MOST_SAMPLE // m, *MEANS)), iteration.problem.latent.n_statistics))
    draw_means(iteration.drawing, x, offshoot(iteration.rng, "precision"), m, statistics)
    return np.atleast_2d(m * np.cov(scores_of(iteration.problem.arrays, statistics, x).scores, rowvar=False))
