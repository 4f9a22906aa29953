"""Draws of the complete-data statistics through the contract alone, many at once, for any family."""

from __future__ import annotations

from typing import Any

import numpy as np

from saem.estep.samplers import own_copy
from saem.estep.score_noise import draw_means
from saem.families.contract import complete_clusters, draw_clusters
from saem.families.problem import Problem
from saem.system.jit import entry


def drawn(problem: Problem, x: Any, n: int, m: int = 1, seed: int = 0) -> np.ndarray:
    """Statistics (n, s): each row the mean over ``m`` draws of all random effects."""
    statistics = np.full((n, problem.latent.n_statistics), np.nan)
    rng = np.random.Generator(np.random.SFC64(seed))
    draw_means(own_copy(problem.arrays), np.array(x, dtype=float), rng, m, statistics)
    return statistics


def expected(problem: Problem, x: Any) -> np.ndarray:
    """``E[S | y; x]`` (s,)."""
    return drawn(problem, x, 1, m=0)[0]


def plausible(problem: Problem, x: Any) -> np.ndarray:
    """Statistics (s,) such as an algorithm meets at ``x``: their expectation, or the mean of many draws."""
    return expected(problem, x) if problem.latent.has_expectation else drawn(problem, x, 1, m=100)[0]


@entry
def call_clusterwise(drawing, one_by_one, arrays, x, rng, m, clusters, statistics, values, gradients, hessian):
    """Draw, in ``statistics`` (N, c, s), the statistics of some clusters (c,) N times; or write their likelihoods.

    All clusters at once, or with a call for each. One function for the four, since compiling takes long.
    """
    if drawing and one_by_one:
        for k in range(statistics.shape[0]):
            for i in range(len(clusters)):
                draw_clusters(arrays, x, rng, m, clusters[i : i + 1], statistics[k, i : i + 1])
    elif drawing:
        for k in range(statistics.shape[0]):
            draw_clusters(arrays, x, rng, m, clusters, statistics[k])
    elif one_by_one:
        own = np.empty_like(hessian)
        hessian[:] = 0.0
        for i in range(len(values)):
            one = slice(i, i + 1)
            complete_clusters(arrays, clusters[one], statistics[0, one], x, values[one], gradients[one], own)
            hessian += own
    else:
        complete_clusters(arrays, clusters, statistics[0], x, values, gradients, hessian)


def drawn_clusters(
    problem: Problem, x: Any, clusters: Any, n: int, m: int = 1, seed: int = 0, one_by_one: bool = False
) -> np.ndarray:
    """Statistics (n, c, s) of some clusters (c,): each row the mean over ``m`` draws of their random effects."""
    assert problem.clusters.clusterwise is not None
    clusters = np.array(clusters, dtype=np.int64)
    statistics = np.full((n, len(clusters), problem.latent.n_statistics), np.nan)
    rng = np.random.Generator(np.random.SFC64(seed))
    unused = np.empty(0), np.empty((0, 0)), np.empty((0, 0))
    x = np.array(x, dtype=float)
    call_clusterwise(True, one_by_one, problem.clusters.clusterwise(), x, rng, m, clusters, statistics, *unused)
    return statistics


def complete_by_cluster(
    problem: Problem, x: Any, statistics: np.ndarray, one_by_one: bool = False
) -> tuple[np.ndarray, ...]:
    """Log-likelihood (C,) of each cluster at its statistics (C, s), its gradient, and the Hessian of the sum."""
    assert problem.clusters.clusterwise is not None
    size, n = len(statistics), len(problem.parameters)
    found = np.full(size, np.nan), np.full((size, n), np.nan), np.full((n, n), np.nan)
    rng, x = np.random.Generator(np.random.SFC64(0)), np.array(x, dtype=float)
    clusters, statistics = np.arange(size), np.ascontiguousarray(statistics)[None]
    call_clusterwise(False, one_by_one, problem.clusters.clusterwise(), x, rng, 0, clusters, statistics, *found)
    return found
