"""Rules of integration are put where mean and covariance of the random effects of a cluster are, given its data.

These are found by importance sampling, in a few rounds, each with a t distribution that has the moments of the one
before (adaptive importance sampling: Cappe, Guillin, Marin & Robert 2004).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from saem.estep.integration.marginal import fill_spans, place_points
from saem.estep.integration.placing import Placing
from saem.estep.integration.rules import MOST_EFFECTS, VARIANTS, t_rule
from saem.estep.modes import find_mode
from saem.families.contract import log_complete, n_effects
from saem.system.jit import borrowed, entry, kernel, release
from saem.system.linalg import cholesky
from saem.system.sharing import share_slices

Array = np.ndarray

POINTS, MANY = 1_024, 4_096  # of a round; where the random effects are too many for any product rule
ROUNDS, FOLLOWING = 4, 2  # for parameters that have moved a little
OWN = 4.0  # effective points for each random effect with which the covariance of the round before weighs


@kernel
def shrink(second: Array, mean: Array, effective: float) -> None:
    """Overwrite second moments (d, d) about zero by the covariance that so many effective points tell of.

    They are those in coordinates of what was known before, in which that is the unit matrix. Of few effects it weighs
    as `OWN` points for each; of many, where entries are many more than what they can differ by, as Ledoit & Wolf (2004)
    have it: errors of all entries together, in what they differ by from a multiple of it.
    """
    d = second.shape[0]
    share, size = effective / (effective + OWN * d), 1.0
    for j in range(d):
        for k in range(j + 1):
            second[j, k] -= mean[j] * mean[k]
    if d > MOST_EFFECTS:
        size, off = 0.0, 0.0
        for j in range(d):
            size += second[j, j] / d
        for j in range(d):
            for k in range(j + 1):
                off += (second[j, j] - size) ** 2 if j == k else 2.0 * second[j, k] * second[j, k]
        share = max(0.0, 1.0 - size * size * d * (d + 1) / effective / off) if off > 0.0 else 0.0
    for j in range(d):
        for k in range(j + 1):
            second[j, k] = share * second[j, k] + ((1.0 - share) * size if j == k else 0.0)
            second[k, j] = second[j, k]


@entry
def match_clusters(
    arrays: Any,
    x: Array,
    clusters: Array,
    which: Array,
    rules: Array,
    log_weights: Array,
    rounds: int,
    at_mode: bool,
    shift: Array,
    stretch: Array,
) -> None:
    """Write the shifts (C, d) and stretches (C, d, d) of some clusters; ``rules`` (R, K, d) by their ``which`` (C,)."""
    arrays, x = borrowed(arrays), borrowed(x)
    rules, log_weights = borrowed(rules), borrowed(log_weights)
    shift, stretch = borrowed(shift), borrowed(stretch)
    for cluster in clusters:
        d = n_effects(arrays, x, cluster)
        mode, factor = np.zeros(d), np.eye(d)
        if d == 0 or (at_mode and not math.isfinite(find_mode(arrays, x, cluster, mode, factor))):
            continue
        rule, logs = rules[which[cluster]], log_weights[which[cluster]]
        count = logs.shape[0]
        spans, memory = np.empty((d + 1, d, 1)), np.empty(count * (d + 1))
        points = borrowed(memory)[: count * d].reshape((count, d, 1))
        values = borrowed(memory)[count * d :].reshape((count, 1))
        mean, second, w = np.empty(d), np.empty((d, d)), np.empty(d)
        a, b = shift[cluster], stretch[cluster]
        for _ in range(rounds):
            fill_spans(mode.reshape((1, d, 1)), factor.reshape((d, d, 1)), a, b, spans)
            place_points(rule, 0, spans, points)
            log_complete(arrays, x, cluster, points, 0, values, np.empty((0, d, 1)), np.empty((0, d, d, 1)))
            top = -math.inf
            for at in range(count):
                values[at, 0] += logs[at]
                top = max(top, values[at, 0])
            if not math.isfinite(top):
                break
            total, squares = 0.0, 0.0
            mean[:] = 0.0
            second[:] = 0.0
            for at in range(count):
                weight = math.exp(values[at, 0] - top)
                total += weight
                squares += weight * weight
                for j in range(d):
                    mean[j] += weight * rule[at, j]
                    for k in range(j + 1):
                        second[j, k] += weight * rule[at, j] * rule[at, k]
            for j in range(d):
                mean[j] /= total
            for j in range(d):
                for k in range(j + 1):
                    second[j, k] /= total
            shrink(second, mean, total * total / squares)
            # in coordinates of the round before: a + B (mean + R v), with R R' the covariance, and R upper triangular
            flipped = second[::-1, ::-1].copy()
            if not cholesky(flipped, d, 0.0):
                break
            root = flipped[::-1, ::-1]
            for j in range(d):
                for k in range(j, d):
                    a[j] += b[j, k] * mean[k]
            for j in range(d):
                for k in range(d):
                    w[k] = 0.0
                    for m in range(j, k + 1):
                        w[k] += b[j, m] * root[m, k]
                for k in range(d):
                    b[j, k] = w[k]
        release(memory)


@entry
def hold_clusters(arrays: Any, x: Array, clusters: Array, shift: Array, stretch: Array) -> None:
    """Overwrite shifts and stretches of some clusters at their modes by those of the random effects themselves."""
    arrays, x = borrowed(arrays), borrowed(x)
    for cluster in clusters:
        d = n_effects(arrays, x, cluster)
        mode, factor, spans = np.empty(d), np.empty((d, d)), np.zeros((d + 1, d, 1))
        if d == 0 or not math.isfinite(find_mode(arrays, x, cluster, mode, factor)):
            continue
        fill_spans(mode.reshape((1, d, 1)), factor.reshape((d, d, 1)), shift[cluster], stretch[cluster], spans)
        for j in range(d):
            shift[cluster, j] = spans[0, j, 0]
            for k in range(d):
                stretch[cluster, j, k] = spans[1 + k, j, 0]


def match(arrays: Any, placing: Placing, clusters: Array, x: Array) -> Placing:
    """Put the rules of some clusters (k,) where their random effects are, given the data, at parameters (n,)."""
    return matched(arrays, placing, clusters, x, ROUNDS, True)


def held(arrays: Any, placing: Placing, x: Array) -> Placing:
    """Let the rules of clusters whose integrals have an error stay where they are at parameters (n,), mode or no mode.

    A cluster can have several modes, and which of them is found is an accident.
    """
    mixed = placing.draws > 0
    clusters = np.flatnonzero((placing.variance > 0.0) & ~mixed & ~placing.held)
    shift, stretch = placing.shift.copy(), placing.stretch.copy()
    share_slices(len(clusters), lambda own: hold_clusters(arrays, x, clusters[own], shift, stretch))
    return replace(placing, shift=shift, stretch=stretch, held=placing.held | mixed | (placing.variance > 0.0))


def follow(arrays: Any, placing: Placing, x: Array) -> Placing:
    """The product rules that are held, put where the random effects are at parameters (n,) that are not far."""
    clusters = np.flatnonzero(placing.held & (placing.draws == 0))
    return matched(arrays, placing, clusters, x, FOLLOWING, False) if len(clusters) else placing


def matched(arrays: Any, placing: Placing, clusters: Array, x: Array, rounds: int, at_mode: bool) -> Placing:
    """Shift and stretch the rules of some clusters (k,) in a few rounds."""
    shift, stretch, is_many = placing.shift.copy(), placing.stretch.copy(), placing.is_beyond_products[clusters]
    for some, points in ((clusters[~is_many], POINTS), (clusters[is_many], MANY)):
        found = rules_by_effects(placing, some, points)

        def match_some(own: slice, some: Array = some, found: tuple[Array, Array, Array] = found) -> None:
            which, rules, log_weights = found
            match_clusters(arrays, x, some[own], which, rules, log_weights, rounds, at_mode, shift, stretch)

        share_slices(len(some), match_some)
    return replace(placing, shift=shift, stretch=stretch)


def variant_of(effects: int) -> int:
    """Of the points by which rules are put where they are: of many effects none that any cluster is integrated by.

    A t distribution that was fitted by the very points that it then has makes their error look smaller than it is.
    """
    return VARIANTS if effects > MOST_EFFECTS else 0


def rules_by_effects(placing: Placing, clusters: Array, points: int) -> tuple[Array, Array, Array]:
    """Which (C,) of some rules (R, K, d) of t distributions some clusters (k,) have, with log-weights (R, K)."""
    numbers = np.unique(placing.effects[clusters])
    which = np.searchsorted(numbers, placing.effects)
    rules = np.zeros((len(numbers), points, placing.shift.shape[1]))
    log_weights = np.zeros((len(numbers), points))
    for at, d in enumerate(numbers.tolist()):
        rules[at, :, :d], log_weights[at] = t_rule(points, d, variant_of(d))
    return which, rules, log_weights
