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
from saem.estep.integration.rules import t_rule
from saem.estep.modes import find_mode
from saem.families.contract import log_complete, n_effects
from saem.system.jit import borrowed, entry, release
from saem.system.linalg import cholesky
from saem.system.sharing import share_slices

Array = np.ndarray

POINTS = 1_024
ROUNDS, FOLLOWING = 4, 2  # for parameters that have moved a little
OWN = 4.0  # effective points for each random effect with which the covariance of the round before weighs


@entry
def match_clusters(
    arrays: Any,
    x: Array,
    clusters: Array,
    rules: Array,
    log_weights: Array,
    rounds: int,
    at_mode: bool,
    shift: Array,
    stretch: Array,
) -> None:
    """Write the shifts (C, d) and stretches (C, d, d) of some clusters; ``rules`` (d + 1, K, d) are by the effects."""
    arrays, x = borrowed(arrays), borrowed(x)
    rules, log_weights = borrowed(rules), borrowed(log_weights)
    shift, stretch = borrowed(shift), borrowed(stretch)
    for cluster in clusters:
        d = n_effects(arrays, x, cluster)
        mode, factor = np.zeros(d), np.eye(d)
        if d == 0 or (at_mode and not math.isfinite(find_mode(arrays, x, cluster, mode, factor))):
            continue
        rule, logs = rules[d], log_weights[d]
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
            effective = total * total / squares
            share = effective / (effective + OWN * d)
            for j in range(d):
                mean[j] /= total
            for j in range(d):
                for k in range(j + 1):
                    known = share * (second[j, k] / total - mean[j] * mean[k])
                    second[j, k] = known + (1.0 - share if j == k else 0.0)
                    second[k, j] = second[j, k]
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
    shift, stretch = placing.shift.copy(), placing.stretch.copy()
    most = shift.shape[1]
    rules, log_weights = np.zeros((most + 1, POINTS, most)), np.zeros((most + 1, POINTS))
    for d in np.unique(placing.effects[clusters]).tolist():
        rules[d, :, :d], log_weights[d] = t_rule(POINTS, d)
    share_slices(
        len(clusters),
        lambda own: match_clusters(arrays, x, clusters[own], rules, log_weights, rounds, at_mode, shift, stretch),
    )
    return replace(placing, shift=shift, stretch=stretch)
