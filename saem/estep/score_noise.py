"""Draws at a given estimate: their statistics, and the complete-data scores that they give."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from saem.estep.samplers import shared
from saem.families.contract import complete, complete_clusters, draw, draw_clusters
from saem.system.jit import entry

Array = np.ndarray

BATCHES, FEWEST_MOST = 2_000, (8, 100)  # of draws of single clusters in all, and of each
SHORTEST, LONGEST = 8, 64  # half a batch, in draws
WARM_UP = 64  # draws that are made before, for a chain that has not arrived
CHANGED = 0.2  # of a variance, by looking at longer batches: then these are taken
ROUNDING = 1e-9  # of a correlation matrix


@entry
def fill_means(arrays: Any, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """`draw_means` with the arrays of `saem.estep.samplers.shared`."""
    for i in range(statistics.shape[0]):
        draw(arrays, x, rng, m, statistics[i])


def draw_means(arrays: Any, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """Write ``k`` means (k, s) of the statistics over ``m`` draws, one by one; for ``m = 0`` the expectation."""
    with shared(arrays) as drawing:
        fill_means(drawing, x, rng, m, statistics)


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
def fill_cluster_scores(
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
    """`cluster_scores` with the arrays of `saem.estep.samplers.shared`."""
    draw_clusters(arrays, x, rng, m, clusters, statistics)
    complete_clusters(arrays, clusters, statistics, x, values, scores, hessian)


def cluster_scores(arrays: Any, x: Array, rng: np.random.Generator, m: int, clusters: Array, *written: Array) -> None:
    """Write statistics (k, s), complete-data scores (k, n) and values (k,) of clusters (k,), and the Hessian (n, n).

    They are means over ``m`` draws.
    """
    with shared(arrays) as drawing:
        fill_cluster_scores(drawing, x, rng, m, clusters, *written)


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


class ScoreMoments(NamedTuple):
    """Moments of the complete-data score at one point, from sweeps of draws of all clusters."""

    gradient: Array  # (n,) its mean
    hessian: Array  # (n, n) the mean of that of the complete-data log-likelihood
    missing: Array  # (n, n) its covariance
    noise: Array  # (n, n) its long-run covariance


@entry
def add_cluster_scores(
    arrays: Any,
    x: Array,
    rng: np.random.Generator,
    sweeps: int,
    size: int,
    statistics: Array,
    scores: Array,
    first: Array,
    second: Array,
    batch: Array,
    batches: Array,
    hessian: Array,
) -> None:
    """Add sums over ``sweeps`` draws of each cluster: of scores, of their products, of products of batch means."""
    count, n = scores.shape
    clusters, values, one = np.arange(count), np.empty(count), np.empty((n, n))
    for sweep in range(sweeps):
        draw_clusters(arrays, x, rng, 1, clusters, statistics)
        complete_clusters(arrays, clusters, statistics, x, values, scores, one)
        full = (sweep + 1) % size == 0
        for i in range(n):
            for j in range(n):
                hessian[i, j] += one[i, j]
        for c in range(count):
            for i in range(n):
                first[c, i] += scores[c, i]
                batch[c, i] += scores[c, i] / size
                for j in range(i + 1):
                    second[i, j] += scores[c, i] * scores[c, j]
            if full:
                for i in range(n):
                    for j in range(i + 1):
                        batches[i, j] += batch[c, i] * batch[c, j]
                for i in range(n):
                    batch[c, i] = 0.0


def score_moments(
    arrays: Any, x: Array, rng: np.random.Generator, sweeps: int, n_clusters: int, n_statistics: int
) -> ScoreMoments:
    """Moments of the complete-data score of clusters whose draws are independent of each other's, given the data.

    Covariances are sums of those of the clusters, which are known much better than from the sum of the scores: where
    most of the information is missing, what is left of it is a small difference.

    Parameters
    ----------
    arrays : NamedTuple
        With `draw_clusters` and `complete_clusters`, and a state of its own.
    x : (n,) ndarray
    rng : Generator
    sweeps : int
        Draws of each cluster; batches have the length of their root.
    n_clusters, n_statistics : int
    """
    size = max(1, int(np.sqrt(sweeps)))
    many = sweeps // size
    n = len(x)
    scores, first, batch = np.zeros((3, n_clusters, n))
    statistics = np.empty((n_clusters, n_statistics))
    second, batches, hessian = np.zeros((3, n, n))
    with shared(arrays) as drawing:
        add_cluster_scores(
            drawing, x, rng, many * size, size, statistics, scores, first, second, batch, batches, hessian
        )
    return moments_of(first, second, batches, hessian, many, size)


def moments_of(first: Array, second: Array, batches: Array, hessian: Array, many: int, size: int) -> ScoreMoments:
    """The moments from the sums over ``many`` batches of ``size`` draws."""
    total = many * size
    mean = first / total
    products = mean.T @ mean
    missing = (whole(second) - total * products) / max(1, total - 1)
    noise = size * (whole(batches) - many * products) / max(1, many - 1)
    return ScoreMoments(mean.sum(axis=0), hessian / total, missing, noise)


def whole(lower: Array) -> Array:
    """A symmetric matrix from its lower triangle."""
    return np.asarray(np.tril(lower) + np.tril(lower, -1).T)


class ScoreNoise(NamedTuple):
    """What draws at one point tell of the complete-data score, where the likelihood is known."""

    hessian: Array  # (n, n) the mean of that of the complete-data log-likelihood
    noise: Array  # (n, n) the long-run covariance of the score of one draw of all clusters


@entry
def add_batches(
    arrays: Any,
    x: Array,
    rng: np.random.Generator,
    batches: int,
    size: int,
    statistics: Array,
    scores: Array,
    first: Array,
    halves: Array,
    wholes: Array,
    hessian: Array,
) -> None:
    """Add sums over batches, of two halves of ``size`` draws of each cluster: of mean scores, of their products."""
    count, n = scores.shape
    clusters, values, one, before = np.arange(count), np.empty(count), np.empty((n, n)), np.empty((count, n))
    for half in range(2 * batches):
        draw_clusters(arrays, x, rng, size, clusters, statistics)
        complete_clusters(arrays, clusters, statistics, x, values, scores, one)
        for i in range(n):
            for j in range(n):
                hessian[i, j] += one[i, j]
        for c in range(count):
            for i in range(n):
                first[c, i] += scores[c, i]
                for j in range(i + 1):
                    halves[i, j] += scores[c, i] * scores[c, j]
            if half % 2 == 0:
                before[c] = scores[c]
                continue
            for i in range(n):
                for j in range(i + 1):
                    wholes[i, j] += 0.25 * (before[c, i] + scores[c, i]) * (before[c, j] + scores[c, j])


def score_noise(arrays: Any, x: Array, rng: np.random.Generator, n_clusters: int, n_statistics: int) -> ScoreNoise:
    """Noise of the complete-data score of clusters whose draws are independent of each other's, given the data.

    By batch means of each cluster, whose covariances add up. A batch that is too short misses part of the dependence
    between draws: what it misses halves where its length doubles, so that twice the one less the other does not miss it
    ("lugsail", Vats & Flegal 2022). Where that changes much, batches become longer.

    Parameters
    ----------
    arrays : NamedTuple
        With `draw_clusters` and `complete_clusters`, and a state of its own.
    x : (n,) ndarray
    rng : Generator
    n_clusters, n_statistics : int
    """
    n, size = len(x), SHORTEST
    draw_means(arrays, x, rng, WARM_UP, np.empty((1, n_statistics)))
    batches = int(np.clip(BATCHES // max(1, n_clusters), *FEWEST_MOST))
    while True:
        scores, first = np.zeros((2, n_clusters, n))
        statistics = np.empty((n_clusters, n_statistics))
        halves, wholes, hessian = np.zeros((3, n, n))
        with shared(arrays) as drawing:
            add_batches(drawing, x, rng, batches, size, statistics, scores, first, halves, wholes, hessian)
        mean = first / (2 * batches)
        products = mean.T @ mean
        half = size * (whole(halves) - 2 * batches * products) / (2 * batches - 1)
        full = 2 * size * (whole(wholes) - batches * products) / (batches - 1)
        longer = 2.0 * full - half
        diagonal = np.diag(full)
        told = diagonal > 0.0
        change = np.max(np.abs(np.diag(longer)[told] / diagonal[told] - 1.0), initial=0.0)
        if change <= CHANGED or size >= LONGEST:
            break
        size *= 2
    scale = 1.0 / np.sqrt(np.where(told, diagonal, 1.0))
    is_covariance = bool(np.linalg.eigvalsh(longer * np.outer(scale, scale)).min(initial=0.0) > -ROUNDING)
    return ScoreNoise(hessian / (2 * batches), longer if is_covariance else full)
