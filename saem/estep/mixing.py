"""Points of a mixture of t distributions, and their weights."""

from __future__ import annotations

import math

import numpy as np

from saem.estep.rules import FREEDOM
from saem.system.jit import kernel

Array = np.ndarray


@kernel
def log_t(point: Array, mean: Array, root: Array, y: Array) -> tuple[float, float]:
    """The log-density of a t distribution, but for a constant, and the squared distance; ``y`` (d,) is room."""
    d = point.shape[0]
    distance, volume = 0.0, 0.0
    for i in range(d):
        total = point[i] - mean[i]
        for j in range(i):
            total -= root[i, j] * y[j]
        y[i] = total / root[i, i]
        distance += y[i] * y[i]
        volume += math.log(root[i, i])
    return -volume - 0.5 * (FREEDOM + d) * math.log1p(distance / FREEDOM), distance


@kernel
def mix_points(
    base: Array, parts: int, shares: Array, means: Array, roots: Array, points: Array, log_weights: Array
) -> None:
    """Write points (K, d) of the mixture and the logarithms of their weights, given standard points (K, d).

    Each of the ``parts`` of the points is dealt to the components by their shares, and is a rule of its own.
    """
    (count, d), many = points.shape, shares.shape[0]
    each = count // parts
    ends, logs, y = np.zeros(many, dtype=np.int64), np.empty(many), np.empty(d)
    total, before = 0.0, 0
    for k in range(many):
        total += shares[k]
        ends[k] = each if k == many - 1 else min(each, math.floor(total * each + 0.5))
        logs[k] = math.log((ends[k] - before) / each) if ends[k] > before else -math.inf
        before = ends[k]
    constant = math.lgamma(0.5 * (FREEDOM + d)) - math.lgamma(0.5 * FREEDOM) - 0.5 * d * math.log(FREEDOM * math.pi)
    for part in range(parts):
        component = 0
        for at in range(each):
            while at >= ends[component]:
                component += 1
            row = part * each + at
            for i in range(d):
                points[row, i] = means[component, i]
                for j in range(i + 1):
                    points[row, i] += roots[component, i, j] * base[row, j]
    for row in range(count):
        top, density = -math.inf, 0.0
        for k in range(many):
            if logs[k] == -math.inf:
                continue
            height = logs[k] + log_t(points[row], means[k], roots[k], y)[0]
            if height > top:
                density *= math.exp(top - height)
                top = height
            density += math.exp(height - top)
        log_weights[row] = -constant - top - math.log(density) - math.log(count)
