"""The law of the random effects of every cluster given its data, by the points of the marginal likelihood."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from saem.estep.integration.marginal import Quadrature, fill_rule, fill_spans, place_points
from saem.estep.integration.settling import objective_of
from saem.estep.modes import find_mode
from saem.families.contract import effects_root, log_complete, n_effects
from saem.families.estimated import Effects
from saem.families.problem import Problem
from saem.system.jit import borrowed, entry
from saem.system.sharing import share_slices

Array = np.ndarray

STEP = 1e-5  # of a parameter's typical size, for derivatives by differences


@entry
def fill_law(
    objective: Any, x: Array, clusters: Array, modes: Array, means: Array, covariances: Array, marginal: Array
) -> None:
    """Write modes and means (C, d), covariances (C, d, d) and those without the data, of some clusters (k,)."""
    objective, x = borrowed(objective), borrowed(x)
    arrays = objective.arrays
    for cluster in clusters:
        d = n_effects(arrays, x, cluster)
        mode, factor, root = np.empty(d), np.empty((d, d)), np.empty((d, d))
        if d == 0:
            continue
        height = find_mode(arrays, x, cluster, mode, factor)
        if not (math.isfinite(height) and effects_root(arrays, x, cluster, root)):
            modes[cluster] = math.nan
            means[cluster] = math.nan
            covariances[cluster] = math.nan
            marginal[cluster] = math.nan
            continue
        spans, rule = np.zeros((d + 1, d, 1)), objective.which[cluster]
        shift, stretch = objective.shift[cluster], objective.stretch[cluster]
        if objective.held[cluster]:
            fill_spans(np.zeros((1, d, 1)), np.eye(d).reshape((d, d, 1)), shift, stretch, spans)
        else:
            fill_spans(mode.reshape((1, d, 1)), factor.reshape((d, d, 1)), shift, stretch, spans)
        count = objective.begins[rule + 1] - objective.begins[rule]
        points, values, logs = np.empty((count, d, 1)), np.empty((count, 1)), np.empty(count)
        places = np.empty((count, d))
        fill_rule(objective, cluster, places, logs)
        place_points(places, 0, spans, points)
        log_complete(arrays, x, cluster, points, 0, values, np.empty((0, d, 1)), np.empty((0, d, d, 1)))
        top = -math.inf
        for at in range(count):
            logs[at] += values[at, 0]
            top = max(top, logs[at])
        total, first, second = 0.0, np.zeros(d), np.zeros((d, d))
        for at in range(count):
            weight = math.exp(logs[at] - top)
            total += weight
            for j in range(d):
                first[j] += weight * (points[at, j, 0] - mode[j])
                for k in range(d):
                    second[j, k] += weight * (points[at, j, 0] - mode[j]) * (points[at, k, 0] - mode[k])
        for j in range(d):
            first[j] /= total
        for j in range(d):
            for k in range(d):
                second[j, k] = second[j, k] / total - first[j] * first[k]
                if count == 1:  # a point has no spread: Laplace's approximation has, and is exact for normal laws
                    for b in range(d):
                        second[j, k] += spans[1 + b, j, 0] * spans[1 + b, k, 0]
        for j in range(d):
            first[j] += mode[j]
        modes[cluster, :d] = root @ mode
        means[cluster, :d] = root @ first
        covariances[cluster, :d, :d] = root @ second @ root.T
        marginal[cluster, :d, :d] = root @ root.T


def conditional_law(problem: Problem, x: Array) -> tuple[Array, Effects]:
    """Modes (C, d) of the random effects given the data, and their law, at parameters (n,)."""
    objective: Quadrature = objective_of(problem)
    c, d = problem.clusters.count, problem.latent.size // max(1, problem.clusters.count)
    modes, means = np.zeros((2, c, d))
    covariances, marginal = np.zeros((2, c, d, d))
    every, x = np.arange(c), np.array(x, dtype=float)
    share_slices(c, lambda own: fill_law(objective, x, every[own], modes, means, covariances, marginal))
    return modes, Effects(means, covariances, marginal)


def mean_slopes(problem: Problem, x: Array) -> Array:
    """Derivatives (C, d, n) of the conditional means by the parameters, by differences inside their range."""
    found = []
    for i, domain in enumerate(problem.parameters.domains):
        step = STEP * problem.scale[i]
        up, down = x.copy(), x.copy()
        up[i], down[i] = min(x[i] + step, domain.high), max(x[i] - step, domain.low)
        above, below = (conditional_law(problem, point)[1].mean for point in (up, down))
        found.append((above - below) / (up[i] - down[i]))
    return np.moveaxis(np.array(found), 0, -1)
