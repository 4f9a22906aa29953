"""Points of a mixture of t distributions, and their weights."""

from __future__ import annotations

import math

import numpy as np

from saem.estep.integration.rules import FREEDOM
from saem.system.jit import kernel

Array = np.ndarray


@kernel
def height_of_t(point: Array, mean: Array, root: Array, y: Array) -> tuple[float, float]:
    """The density of a t distribution, but for a constant, and the squared distance; ``y`` (d,) is room.

    An odd number of `FREEDOM` leaves a whole or a half power: no logarithm for every point.
    """
    d = point.shape[0]
    distance, volume = 0.0, 1.0
    for i in range(d):
        total = point[i] - mean[i]
        for j in range(i):
            total -= root[i, j] * y[j]
        y[i] = total / root[i, i]
        distance += y[i] * y[i]
        volume *= root[i, i]
    base, power = 1.0 + distance / FREEDOM, int(FREEDOM) + d
    for _ in range(power // 2):
        volume *= base
    if power % 2:
        volume *= math.sqrt(base)
    return 1.0 / volume, distance


@kernel
def mix_points(
    base: Array, parts: int, shares: Array, means: Array, roots: Array, points: Array, log_weights: Array
) -> None:
    """Write points (K, d) of the mixture and the logarithms of their weights, given standard points (K, d).

    Each of the ``parts`` of the points is dealt to the components by their shares, and is a rule of its own.
    """
    (count, d), many = points.shape, shares.shape[0]
    each = count // parts
    ends, dealt, y = np.zeros(many, dtype=np.int64), np.empty(many), np.empty(d)
    total, before = 0.0, 0
    for k in range(many):
        total += shares[k]
        ends[k] = each if k == many - 1 else min(each, math.floor(total * each + 0.5))
        dealt[k] = (ends[k] - before) / each
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
        density = 0.0
        for k in range(many):
            if dealt[k] > 0.0:
                density += dealt[k] * height_of_t(points[row], means[k], roots[k], y)[0]
        log_weights[row] = -constant - math.log(density) - math.log(count)
