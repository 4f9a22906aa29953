"""Draws of the complete-data statistics through the contract alone, many at once, for any family."""

from __future__ import annotations

from typing import Any

import numpy as np

from saem.jit import entry
from saem.models.contract import Problem, complete_cluster, complete_clusters, draw, draw_cluster, draw_clusters


@entry
def fill_draws(arrays, x, rng, m, statistics):
    """Write in each row of ``statistics`` (N, s) the mean of the statistics over ``m`` draws."""
    for k in range(statistics.shape[0]):
        draw(arrays, x, rng, m, statistics[k])


def own_chain(arrays: Any) -> Any:
    """The arrays, with a state of their own where the family is drawn by a chain."""
    return arrays._replace(
        **{name: getattr(arrays, name).copy() for name in ("latent", "acceptance") if hasattr(arrays, name)}
    )


def drawn(problem: Problem, x: Any, n: int, m: int = 1, seed: int = 0) -> np.ndarray:
    """Statistics (n, s): each row the mean over ``m`` draws of all random effects."""
    statistics = np.full((n, problem.n_statistics), np.nan)
    rng = np.random.Generator(np.random.SFC64(seed))
    fill_draws(own_chain(problem.arrays), np.array(x, dtype=float), rng, m, statistics)
    return statistics


def expected(problem: Problem, x: Any) -> np.ndarray:
    """``E[S | y; x]`` (s,)."""
    return drawn(problem, x, 1, m=0)[0]


def plausible(problem: Problem, x: Any) -> np.ndarray:
    """Statistics (s,) such as an algorithm meets at ``x``: their expectation, or the mean of many draws."""
    return expected(problem, x) if problem.has_expectation else drawn(problem, x, 1, m=100)[0]


@entry
def fill_cluster_draws(arrays, x, rng, m, clusters, statistics):
    """Write in ``statistics`` (N, c, s) the statistics of some clusters (c,), N times."""
    for k in range(statistics.shape[0]):
        draw_clusters(arrays, x, rng, m, clusters, statistics[k])


@entry
def fill_one_by_one(arrays, x, rng, m, clusters, statistics):
    """`fill_cluster_draws` with a call for each cluster."""
    for k in range(statistics.shape[0]):
        for i in range(len(clusters)):
            draw_cluster(arrays, x, rng, m, clusters[i], statistics[k, i])


@entry
def fill_complete(arrays, clusters, statistics, x, values, gradients, hessian):
    """Write the complete-data log-likelihoods (c,) of clusters at their statistics (c, s), and their derivatives."""
    complete_clusters(arrays, clusters, statistics, x, values, gradients, hessian)


@entry
def fill_complete_one_by_one(arrays, clusters, statistics, x, values, gradients, hessian):
    """`fill_complete` with a call for each cluster."""
    own = np.empty_like(hessian)
    hessian[:] = 0.0
    for i in range(len(values)):
        values[i] = complete_cluster(arrays, clusters[i], statistics[i], x, gradients[i], own)
        hessian += own


def drawn_clusters(
    problem: Problem, x: Any, clusters: Any, n: int, m: int = 1, seed: int = 0, fill=fill_cluster_draws
) -> np.ndarray:
    """Statistics (n, c, s) of some clusters (c,): each row the mean over ``m`` draws of their random effects."""
    assert problem.clusterwise is not None
    clusters = np.array(clusters, dtype=np.int64)
    statistics = np.full((n, len(clusters), problem.n_statistics), np.nan)
    rng = np.random.Generator(np.random.SFC64(seed))
    fill(problem.clusterwise(), np.array(x, dtype=float), rng, m, clusters, statistics)
    return statistics


def complete_by_cluster(problem: Problem, x: Any, statistics: np.ndarray, fill=fill_complete) -> tuple[np.ndarray, ...]:
    """Log-likelihood (C,) of each cluster at its statistics (C, s), its gradient, and the Hessian of the sum."""
    assert problem.clusterwise is not None
    size, n = len(statistics), len(problem.parameters)
    found = np.full(size, np.nan), np.full((size, n), np.nan), np.full((n, n), np.nan)
    fill(problem.clusterwise(), np.arange(size), statistics, np.array(x, dtype=float), *found)
    return found
