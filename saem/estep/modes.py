"""The mode of a cluster's random effects given the data, and the curvature there, with exact derivatives.

By Newton's method on `saem.families.contract.log_complete`. `saem.estep.integration.quadrature.find_mode` does it by
differences, for families that have no more than `log_joint`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from saem.families.contract import log_complete
from saem.system.jit import kernel
from saem.system.linalg import cholesky, cholesky_solve

Array = np.ndarray

SETTLED = 1e-10  # decrement (twice what is left to gain) after which one more step reaches rounding errors
ROUNDING = 1e-13  # of the log-density, which no move can tell from nothing
NEAR = 1e-3  # a decrement that is small enough where no smaller one is reached
NEARLY = 1e-3  # a decrement that is small enough for where proposals are put
ROUNDS, HALVINGS = 200, 60


@kernel
def is_known(gradient: Array, hessian: Array) -> bool:
    """Whether derivatives (d, 1) and (d, d, 1) are finite: an exponential may overflow in these alone."""
    total = 0.0
    for j in range(gradient.shape[0]):
        total += abs(gradient[j, 0])
        for k in range(gradient.shape[0]):
            total += abs(hessian[j, k, 0])
    return math.isfinite(total)


@kernel
def factor_shifted(hessian: Array, factor: Array) -> float:
    """Write the Cholesky factor of minus the Hessian (d, d, 1) plus a shift, zero if it needs none; return the shift.

    The upper triangle of the factor is zero. Nan where the Hessian is not finite.
    """
    d = factor.shape[0]
    size = 0.0
    for j in range(d):
        for k in range(d):
            size = max(size, abs(hessian[j, k, 0]))
            if not math.isfinite(hessian[j, k, 0]):
                return math.nan
    shift = 0.0
    while True:
        for j in range(d):
            for k in range(d):
                factor[j, k] = -hessian[j, k, 0] if k <= j else 0.0
        if cholesky(factor, d, shift):
            return shift
        shift = max(10.0 * shift, 1e-3 * size, 1e-300)


@kernel
def find_mode(arrays: Any, x: Array, cluster: int, mode: Array, factor: Array) -> float:
    """Write the mode (d,), from zero on, and the Cholesky factor (d, d) of minus the Hessian of the log-density there.

    Returns
    -------
    float
        The log-density at the mode; ``-inf`` outside the domain of the parameters, nan where no mode was found.
    """
    for j in range(mode.shape[0]):
        mode[j] = 0.0
    return climb_to_mode(arrays, x, cluster, SETTLED, mode, factor)


@kernel
def climb_to_mode(arrays: Any, x: Array, cluster: int, settled: float, mode: Array, factor: Array) -> float:
    """`find_mode` from the ``mode`` that is given, up to one more step from where a decrement is below ``settled``.

    A Hessian that is not negative definite is shifted, and a move is halved until the density rises, and is known there
    with its derivatives.
    """
    d = mode.shape[0]
    points, values = np.empty((1, d, 1)), np.empty((1, 1))
    gradients, hessians = np.empty((1, d, 1)), np.empty((1, d, d, 1))
    move = np.empty(d)
    for j in range(d):
        points[0, j, 0] = mode[j]
    log_complete(arrays, x, cluster, points, 2, values, gradients, hessians)
    if d == 0 or not math.isfinite(values[0, 0]):
        return float(values[0, 0])
    for _ in range(ROUNDS):
        value = values[0, 0]
        shift = factor_shifted(hessians[0], factor)
        if not math.isfinite(shift):
            return math.nan
        decrement = 0.0
        for j in range(d):
            move[j] = gradients[0, j, 0]
        cholesky_solve(factor, d, move)
        for j in range(d):
            decrement += move[j] * gradients[0, j, 0]
        if shift == 0.0 and decrement < settled:
            for j in range(d):
                mode[j] += move[j]
                points[0, j, 0] = mode[j]
            log_complete(arrays, x, cluster, points, 2, values, gradients, hessians)
            return float(values[0, 0]) if factor_shifted(hessians[0], factor) == 0.0 else math.nan
        share, rises = 1.0, False
        for _ in range(HALVINGS):
            for j in range(d):
                points[0, j, 0] = mode[j] + share * move[j]
            log_complete(arrays, x, cluster, points, 2, values, gradients, hessians)
            rises = values[0, 0] > value + 1e-4 * share * decrement and is_known(gradients[0], hessians[0])
            if rises:
                break
            share *= 0.5
        if not rises:
            return value if shift == 0.0 and decrement < max(NEAR, ROUNDING * abs(value)) else math.nan
        for j in range(d):
            mode[j] = points[0, j, 0]
    return math.nan


@kernel
def place(mode: Array, factor: Array, point: Array) -> None:
    """Overwrite ``w`` (d,), of unit curvature, by ``u = mode + L'^-1 w`` for the factor ``L`` of the curvature."""
    d = mode.shape[0]
    for j in range(d - 1, -1, -1):
        for k in range(j + 1, d):
            point[j] -= factor[k, j] * point[k]
        point[j] /= factor[j, j]
    for j in range(d):
        point[j] += mode[j]


@kernel
def square_distance(mode: Array, factor: Array, point: Array) -> float:
    """``|w|^2`` of a point ``u`` (d,); see `place`."""
    d = mode.shape[0]
    total = 0.0
    for j in range(d):
        w = 0.0
        for k in range(j, d):
            w += factor[k, j] * (point[k] - mode[k])
        total += w * w
    return total
