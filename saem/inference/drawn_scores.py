"""Scores of the complete data from draws of the random effects at an estimate, in batches for their Monte Carlo error.

The parameters stay where they are, so the stochastic approximation of these means has the step sizes 1/k: it is the
plain mean over all draws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from saem.estep.samplers import clusters_of, drawing_of, is_markov
from saem.estep.score_noise import cluster_scores, draw_each, scores_of
from saem.families.problem import Problem
from saem.system.streams import stream

Array = np.ndarray

BATCHES = 20  # of draws, of which the jackknife leaves out one at a time
FORGOTTEN = 0.1  # of the draws of a Markov kernel, before those that count


def louis_moments(problem: Problem, x: Array, draws: int, seed: int) -> Array:
    """Means (`BATCHES`, s + n * n + n) of batches of draws: of statistics, of products of scores, and of scores."""
    rng = stream(seed, "information", "louis")
    arrays = drawing_of(problem)
    if is_markov(arrays):
        draw_each(arrays, x, rng, np.empty((max(1, int(FORGOTTEN * draws)), problem.latent.n_statistics)))
    found = []
    size = draws // BATCHES
    for _ in range(BATCHES):
        statistics = np.empty((size, problem.latent.n_statistics))
        draw_each(arrays, x, rng, statistics)
        scores = scores_of(arrays, statistics, x).scores
        products = (scores.T @ scores).ravel() / size
        found.append(np.concatenate([statistics.mean(axis=0), products, scores.mean(axis=0)]))
    return np.array(found)


def expected_scores(problem: Problem, x: Array, draws: int, seed: int) -> Array:
    """Conditional expectations (B, C, n) of the clusters' complete-data scores: exact (B = 1), or means of batches."""
    arrays = clusters_of(problem, drawing_of(problem))
    count, n_statistics = problem.clusters.count, problem.latent.n_statistics
    rng = stream(seed, "information", "score")
    everyone, n = np.arange(count), len(x)
    found = []
    for _ in range(BATCHES if draws else 1):
        statistics = np.empty((count, n_statistics))
        scores, values = np.zeros((count, n)), np.empty(count)
        cluster_scores(arrays, x, rng, draws // BATCHES, everyone, statistics, scores, values, np.empty((n, n)))
        found.append(scores)
    return np.array(found)


def jackknife(batches: Array, seen: Callable[[Array], tuple[Array, Array]]) -> tuple[Array, Array, Array]:
    """Information, covariance and Monte Carlo errors of the standard errors, by leaving out one batch of draws.

    Products of means that are estimated from the same draws have a bias of the order 1 / draws, which the jackknife
    removes from the covariance.

    Parameters
    ----------
    batches : (B, ..) ndarray
        Means of batches of draws.
    seen : callable
        From the mean over all draws (..) to information and covariance (n, n).
    """
    count = len(batches)
    matrix, covariance = seen(batches.mean(axis=0))
    without = [seen(np.delete(batches, b, axis=0).mean(axis=0)) for b in range(count)]
    matrix = count * matrix - (count - 1) * np.mean([pair[0] for pair in without], axis=0)
    unbiased = count * covariance - (count - 1) * np.mean([pair[1] for pair in without], axis=0)
    with np.errstate(invalid="ignore"):
        ses = np.sqrt(np.array([np.diag(pair[1]) for pair in without]))
        mcse = np.sqrt((count - 1) * np.mean((ses - ses.mean(axis=0)) ** 2, axis=0))
    proper = np.all(np.diag(np.nan_to_num(unbiased)) >= 0.0)
    return matrix, unbiased if proper else covariance, mcse
