"""Draws at a given estimate: their statistics, and the complete-data scores that they give."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from saem.families.contract import complete, complete_clusters, draw, draw_clusters
from saem.system.jit import entry

Array = np.ndarray


@entry
def draw_means(arrays: Any, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """Write ``k`` means (k, s) of the statistics over ``m`` draws, one by one; for ``m = 0`` the expectation."""
    for i in range(statistics.shape[0]):
        draw(arrays, x, rng, m, statistics[i])


def draw_mean(arrays: Any, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """Write the mean (s,) of the statistics over ``m`` draws, or for ``m = 0`` their expectation."""
    draw_means(arrays, x, rng, m, statistics[None])


def draw_each(arrays: Any, x: Array, rng: np.random.Generator, statistics: Array) -> None:
    """Write the statistics (k, s) of ``k`` draws, one by one."""
    draw_means(arrays, x, rng, 1, statistics)


@entry
def evaluate_each(arrays: Any, statistics: Array, x: Array, values: Array, scores: Array, hessian: Array) -> None:
    """Write the complete-data log-likelihoods (m,) of single draws, their scores (m, n) and mean Hessian (n, n)."""
    m, n = scores.shape
    one = np.zeros((n, n))
    hessian[:] = 0.0
    for i in range(m):
        values[i] = complete(arrays, statistics[i], x, scores[i], one)
        for j in range(n):
            for k in range(n):
                hessian[j, k] += one[j, k] / m


@entry
def cluster_scores(
    arrays: Any,
    x: Array,
    rng: np.random.Generator,
    m: int,
    clusters: Array,
    statistics: Array,
    scores: Array,
    values: Array,
    hessian: Array,
) -> None:
    """Write statistics (C, s) and complete-data scores (C, n) of clusters, means over ``m`` draws."""
    draw_clusters(arrays, x, rng, m, clusters, statistics)
    complete_clusters(arrays, clusters, statistics, x, values, scores, hessian)


class Scores(NamedTuple):
    """Complete-data log-likelihoods of ``m`` single draws at one point, with their derivatives."""

    values: Array  # (m,)
    scores: Array  # (m, n)
    hessian: Array  # (n, n), their mean


def scores_of(arrays: Any, statistics: Array, x: Array) -> Scores:
    """The complete-data likelihood of each row of statistics (m, s) at ``x``."""
    m, n = len(statistics), len(x)
    out = Scores(np.empty(m), np.zeros((m, n)), np.empty((n, n)))
    evaluate_each(arrays, statistics, x, *out)
    return out


def batch_means(series: Array) -> Array:
    """Long-run covariance (n, n) of a stationary series (m, n), by the means of ``sqrt(m)`` batches.

    ``m`` times the covariance of its mean; for independent rows it is their covariance (Flegal & Jones 2010).
    """
    size = max(1, int(np.sqrt(len(series))))
    count = len(series) // size
    means = series[len(series) - count * size :].reshape(count, size, -1).mean(axis=1)
    return np.atleast_2d(size * np.cov(means, rowvar=False))
