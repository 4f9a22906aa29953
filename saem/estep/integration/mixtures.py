"""Mixtures of t distributions as proposals of importance sampling, for random effects that lie along a curved ridge.

They are fitted to the conditional distribution of the random effects of a cluster in rounds of population Monte Carlo
(Cappe, Douc, Guillin, Marin & Robert 2008, section 3.3): points of the mixture so far are weighted by the density, and
shares, means and covariances updated as by EM, each point belonging to each component as far as its density says.
Weights are those of the whole mixture, and points are dealt to the components by their shares (Owen & Zhou 2000).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from saem.estep.integration.marginal import fill_spans
from saem.estep.integration.matching import MANY, POINTS, follow, shrink, variant_of
from saem.estep.integration.mixing import height_of_t, mix_points
from saem.estep.integration.placing import Placing
from saem.estep.integration.rules import FREEDOM, t_rule
from saem.estep.modes import find_mode
from saem.families.contract import log_complete, n_effects
from saem.system.jit import borrowed, entry, kernel, release
from saem.system.linalg import cholesky
from saem.system.sharing import share_slices

Array = np.ndarray

ROUNDS = 12
FOLLOWING = 2  # rounds for parameters that have moved a little
BETTER = 16_384, 4  # points and rounds for a cluster whose mixture is poor: of few points none may be in a narrow mode
OWN = 4.0  # effective points for each random effect with which the covariance of the round before weighs
NARROWER = 1.0 / 3.0  # variance of the first components, in that of the distribution
SINGLE = 0.1  # of its points that one t distribution must be worth to be enough where no product rule was possible
LEAST = 0.05  # share that the components have together, whatever they are worth
UNCONDITIONAL = 0.1  # share of the last one, as wide as random effects are without data: no weight is beyond bounds


@kernel
def lower_root(matrix: Array, root: Array) -> bool:
    """Write the lower Cholesky factor of a symmetric matrix (d, d), whose lower triangle counts; whether it has one."""
    d = root.shape[0]
    trial = np.empty((d, d))
    for j in range(d):
        for k in range(d):
            trial[j, k] = matrix[j, k] if k <= j else 0.0
    if not cholesky(trial, d, 0.0):
        return False
    for j in range(d):
        for k in range(d):
            root[j, k] = trial[j, k]
    return True


@kernel
def weigh(arrays: Any, x: Array, cluster: int, points: Array, logs: Array) -> float:
    """Write the weights (K,) of points (K, d), which sum to one; return how many points they are worth, or 0."""
    (count, d), values = points.shape, np.empty((points.shape[0], 1))
    places = points.reshape((count, d, 1))
    log_complete(arrays, x, cluster, places, 0, values, np.empty((0, d, 1)), np.empty((0, d, d, 1)))
    top = -math.inf
    for at in range(count):
        logs[at] += values[at, 0]
        top = max(top, logs[at])
    if not math.isfinite(top):
        return 0.0
    total, squares = 0.0, 0.0
    for at in range(count):
        logs[at] = math.exp(logs[at] - top)
        total += logs[at]
        squares += logs[at] * logs[at]
    for at in range(count):
        logs[at] /= total
    return total * total / squares


@kernel
def spread_out(points: Array, weights: Array, effective: float, shares: Array, means: Array, roots: Array) -> None:
    """Begin with all components but the last at points dealt by their weights, and narrow."""
    count, d = points.shape
    mean, second = np.zeros(d), np.zeros((d, d))
    for at in range(count):
        for j in range(d):
            mean[j] += weights[at] * points[at, j]
    for at in range(count):
        for j in range(d):
            for k in range(j + 1):
                second[j, k] += NARROWER * weights[at] * (points[at, j] - mean[j]) * (points[at, k] - mean[k])
    many, share = shares.shape[0] - 1, effective / (effective + OWN * d)
    for j in range(d):
        for k in range(j + 1):
            before = 0.0
            for m in range(k + 1):
                before += roots[0, j, m] * roots[0, k, m]
            second[j, k] = share * second[j, k] + (1.0 - share) * NARROWER * before
    if not lower_root(second, roots[0]):
        return
    component, total = 0, 0.0
    for at in range(count):
        total += weights[at]
        while component < many and total >= (component + 0.5) / many:
            shares[component] = (1.0 - UNCONDITIONAL) / many
            for j in range(d):
                means[component, j] = points[at, j]
                for k in range(d):
                    roots[component, j, k] = roots[0, j, k]
            component += 1


@kernel
def update(points: Array, weights: Array, shares: Array, means: Array, roots: Array) -> None:
    """One step of EM for the mixture, with weighted points (K, d); the last component stays."""
    (count, d), many = points.shape, shares.shape[0]
    heights, distances = np.empty(many), np.empty(many)
    sums, squares, pulls = np.zeros(many), np.zeros(many), np.zeros(many)
    first, second, y = np.zeros((many, d)), np.zeros((many, d, d)), np.empty(d)
    for at in range(count):
        if weights[at] == 0.0:
            continue
        total = 0.0
        for k in range(many):
            heights[k], distances[k] = height_of_t(points[at], means[k], roots[k], y)
            heights[k] *= shares[k]
            total += heights[k]
        if not total > 0.0:
            continue
        for k in range(many):
            own = weights[at] * heights[k] / total
            pull = own * (FREEDOM + d) / (FREEDOM + distances[k])
            sums[k] += own
            squares[k] += own * own
            pulls[k] += pull
            for i in range(d):
                away = points[at, i] - means[k, i]
                first[k, i] += pull * away
                for j in range(i + 1):
                    second[k, i, j] += pull * away * (points[at, j] - means[k, j])
    matrix, own = np.empty((d, d)), 0.0
    for k in range(many - 1):
        own += sums[k]
    for k in range(many - 1):
        if not sums[k] > 1e-6:
            shares[k] = LEAST / (many - 1)
            continue
        effective = sums[k] * sums[k] / squares[k]
        share = effective / (effective + OWN * d)
        for i in range(d):
            for j in range(i + 1):
                before = 0.0
                for m in range(j + 1):
                    before += roots[k, i, m] * roots[k, j, m]
                about = second[k, i, j] / sums[k] - first[k, i] * first[k, j] / (pulls[k] * sums[k])
                matrix[i, j] = share * about + (1.0 - share) * before
        lower_root(matrix, roots[k])
        for i in range(d):
            means[k, i] += first[k, i] / pulls[k]
        shares[k] = (1.0 - LEAST) * sums[k] / own + LEAST / (many - 1)
    total = 0.0
    for k in range(many - 1):
        total += shares[k]
    for k in range(many - 1):
        shares[k] *= (1.0 - UNCONDITIONAL) / total


@kernel
def follow_single(points: Array, weights: Array, effective: float, mean: Array, root: Array) -> None:
    """Give a single component mean (d,) and covariance, ``root`` (d, d), of weighted points (K, d)."""
    count, d = points.shape
    first, second, w = np.zeros(d), np.zeros((d, d)), np.empty(d)
    for at in range(count):
        if weights[at] == 0.0:
            continue
        for i in range(d):
            total = points[at, i] - mean[i]
            for j in range(i):
                total -= root[i, j] * w[j]
            w[i] = total / root[i, i]
        for i in range(d):
            first[i] += weights[at] * w[i]
            for j in range(i + 1):
                second[i, j] += weights[at] * w[i] * w[j]
    shrink(second, first, effective)
    own = np.empty((d, d))
    if not lower_root(second, own):
        return
    for i in range(d):
        for j in range(i + 1):
            mean[i] += root[i, j] * first[j]
    for i in range(d - 1, -1, -1):
        for j in range(i + 1):
            total = 0.0
            for k in range(j, i + 1):
                total += root[i, k] * own[k, j]
            w[j] = total
        for j in range(i + 1):
            root[i, j] = w[j]


@entry
def fit_clusters(
    arrays: Any,
    x: Array,
    clusters: Array,
    which: Array,
    bases: Array,
    rounds: int,
    is_new: bool,
    simple: Array,
    shift: Array,
    stretch: Array,
    shares: Array,
    means: Array,
    roots: Array,
) -> None:
    """Write mixtures of some clusters, new or better ones; ``bases`` (R, rounds * K, d) are standard points.

    Where ``simple`` (C,), that is one component beside the last, as long as it is good enough.
    """
    arrays, x, bases = borrowed(arrays), borrowed(x), borrowed(bases)
    shares, means, roots = borrowed(shares), borrowed(means), borrowed(roots)
    for cluster in clusters:
        d = n_effects(arrays, x, cluster)
        if d == 0:
            continue
        count, standard = bases.shape[1] // rounds, bases[which[cluster]]
        own, mean, root = shares[cluster], means[cluster, :, :d], roots[cluster, :, :d, :d]
        if is_new:
            mode, factor, spans = np.empty(d), np.empty((d, d)), np.empty((d + 1, d, 1))
            if not math.isfinite(find_mode(arrays, x, cluster, mode, factor)):
                continue
            fill_spans(mode.reshape((1, d, 1)), factor.reshape((d, d, 1)), shift[cluster], stretch[cluster], spans)
            own[:] = 0.0
            own[0], own[-1] = 1.0 - UNCONDITIONAL, UNCONDITIONAL
            mean[0], mean[-1], root[-1] = spans[0, :, 0], 0.0, np.eye(d)
            matrix = np.zeros((d, d))
            for k in range(d):
                for i in range(d):
                    for j in range(d):
                        matrix[i, j] += spans[1 + k, i, 0] * spans[1 + k, j, 0]
            if not lower_root(matrix, root[0]):
                continue
        one = simple[cluster] and (is_new or own[0] == 1.0 - UNCONDITIONAL)
        memory = np.empty(count * (d + 1))
        points, logs = borrowed(memory)[: count * d].reshape((count, d)), borrowed(memory)[count * d :]
        for turn in range(rounds):
            mix_points(standard[turn * count : (turn + 1) * count], 1, own, mean, root, points, logs)
            effective = weigh(arrays, x, cluster, points, logs)
            if not effective > 0.0:
                break
            if turn == 0:
                one = one and effective > SINGLE * count
            if one:
                follow_single(points, logs, effective, mean[0], root[0])
            elif is_new and turn == 0:
                spread_out(points, logs, effective, own, mean, root)
            else:
                update(points, logs, own, mean, root)
        release(memory)


def fit_mixtures(arrays: Any, placing: Placing, clusters: Array, x: Array) -> Placing:
    """Give some clusters (k,), whose rules match mean and covariance, mixtures in place of these at parameters (n,)."""
    found = fitted(arrays, placing, clusters, x, ROUNDS, True)
    found.shift[clusters], found.stretch[clusters] = 0.0, np.eye(placing.shift.shape[1])
    return found


def better(arrays: Any, placing: Placing, clusters: Array, x: Array) -> Placing:
    """The mixtures of some clusters (k,) after rounds of many points."""
    points, rounds = BETTER
    return fitted(arrays, placing, clusters, x, rounds, False, points)


def moved(arrays: Any, placing: Placing, x: Array) -> Placing:
    """The same rules, where those that are held follow the random effects to parameters (n,) that are not far."""
    placing, clusters = follow(arrays, placing, x), np.flatnonzero(placing.draws)
    return fitted(arrays, placing, clusters, x, FOLLOWING, False) if len(clusters) else placing


def fitted(
    arrays: Any, placing: Placing, clusters: Array, x: Array, rounds: int, is_new: bool, points: int = 0
) -> Placing:
    """Mixtures of some clusters (k,) after some rounds of so many points, or of as many as their effects ask for."""
    placing, is_many = placing.with_room(), placing.is_beyond_products[clusters]
    shares, means, roots = placing.shares.copy(), placing.means.copy(), placing.roots.copy()
    shift, stretch, simple = placing.shift.copy(), placing.stretch.copy(), placing.is_beyond_products
    for some, count in ((clusters[~is_many], points or POINTS), (clusters[is_many], points or MANY)):
        which, bases = standard_points(placing, some, count * rounds)

        def fit(own: slice, some: Array = some, bases: tuple[Array, Array] = (which, bases)) -> None:
            fit_clusters(arrays, x, some[own], *bases, rounds, is_new, simple, shift, stretch, shares, means, roots)

        share_slices(len(some), fit)
    return replace(placing, shift=shift, stretch=stretch, shares=shares, means=means, roots=roots)


def standard_points(placing: Placing, clusters: Array, points: int) -> tuple[Array, Array]:
    """Which (C,) of so many standard points (R, K, d) some clusters (k,) have, by their effects."""
    numbers = np.unique(placing.effects[clusters])
    bases = np.zeros((len(numbers), points, placing.shift.shape[1]))
    for at, d in enumerate(numbers.tolist()):
        bases[at, :, :d] = t_rule(2 ** math.ceil(math.log2(points)), d, variant_of(d)).points[:points]
    return np.searchsorted(numbers, placing.effects), bases
