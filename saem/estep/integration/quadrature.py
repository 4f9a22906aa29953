"""The integral of the joint density over the random effects of each cluster, compiled for any family with `log_joint`.

Both ways are centred at the mode of the random effects given the data, and scaled by the curvature there: with
``-f''(mode) = (S S')^-1`` for ``f(u) = log p(y_c, u)``, everything is a function of ``w = S^-1 (u - mode)``.

* Adaptive Gauss-Hermite quadrature (Liu & Pierce 1994, eq. 2; Pinheiro & Bates 1995, section 2.4), by the product rule
  for several random effects. One node is Laplace's approximation.
* Importance sampling with multivariate t proposals for ``w``. There are no antithetic pairs: where the density is
  close to symmetric the weights of ``w`` and ``-w`` are nearly equal, and a pair is worth one draw only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from saem.families.contract import log_joint, n_effects
from saem.system.jit import entry, kernel
from saem.system.linalg import cholesky, cholesky_solve

Array = np.ndarray

FREEDOM = 5.0  # of the t proposals, as in saemix and Monolix
STEP = 0.05  # of the differences, in conditional standard deviations
SHORTEST = 1e-3  # step that is tried before a point near the mode is taken for it
SETTLED = 0.5  # change of the curvature by the last step, below which the step of the differences was the right one
DECREMENT = 1e-12  # of Newton's method: twice the log-density that is left to gain
ROUNDING = 1e-13  # of the log-density, which no move can tell from nothing
NEAR = 1e-3  # a decrement that is small enough where no smaller one is reached: the integral is right for every centre
ROUNDS, HALVINGS = 100, 20


@kernel
def place(mode: Array, scale: Array, points: Array) -> None:
    """Overwrite ``w`` (k, d) by ``u = mode + S w``, with an upper triangular ``S``."""
    d = mode.shape[0]
    for at in range(points.shape[0]):
        for j in range(d):
            value = mode[j]
            for k in range(j, d):
                value += scale[j, k] * points[at, k]
            points[at, j] = value


@kernel
def rescale(factor: Array, scale: Array) -> None:
    """``S := S C^-T`` for a Cholesky factor ``C``."""
    d = scale.shape[0]
    for j in range(d):
        for k in range(j, d):
            for i in range(j, k):
                scale[j, k] -= factor[k, i] * scale[j, i]
            scale[j, k] /= factor[k, k]


@kernel
def differentiate(
    arrays: Any,
    x: Array,
    cluster: int,
    mode: Array,
    scale: Array,
    step: float,
    points: Array,
    values: Array,
    gradient: Array,
    hessian: Array,
) -> bool:
    """Write gradient and Hessian in ``w`` at the mode by differences of order four; ``values[0]`` is the value there.

    In these coordinates the curvature is about one, so that a step suits every cluster: with `STEP` the truncation
    error is some 1e-7 (nothing for a Gaussian density), and rounding errors are 1e-13 times the value. Returns whether
    all values are finite.
    """
    d = mode.shape[0]
    points[:] = 0.0
    at = 1
    for j in range(d):
        for move in (step, -step, 2.0 * step, -2.0 * step):
            points[at, j] = move
            at += 1
    for j in range(d):
        for k in range(j):
            for move in (step, 2.0 * step):
                for a, b in ((move, move), (-move, -move), (move, -move), (-move, move)):
                    points[at, j], points[at, k] = a, b
                    at += 1
    place(mode, scale, points)
    log_joint(arrays, x, cluster, points, values)
    for value in values:
        if not math.isfinite(value):
            return False
    at = 1
    for j in range(d):
        near, far = values[at] - values[0], values[at + 2] - values[0]
        other_near, other_far = values[at + 1] - values[0], values[at + 3] - values[0]
        gradient[j] = (8.0 * (near - other_near) - (far - other_far)) / (12.0 * step)
        hessian[j, j] = (16.0 * (near + other_near) - (far + other_far)) / (12.0 * step * step)
        at += 4
    for j in range(d):
        for k in range(j):
            near = values[at] + values[at + 1] - values[at + 2] - values[at + 3]
            far = values[at + 4] + values[at + 5] - values[at + 6] - values[at + 7]
            hessian[j, k] = (16.0 * near - far) / (48.0 * step * step)
            hessian[k, j] = hessian[j, k]
            at += 8
    return True


@kernel
def factor_curvature(hessian: Array, factor: Array) -> float:
    """Write the Cholesky factor of minus the Hessian plus a shift, zero if it needs none; return the shift."""
    d = hessian.shape[0]
    size = 0.0
    for j in range(d):
        for k in range(d):
            size = max(size, abs(hessian[j, k]))
    shift = 0.0
    while True:
        for j in range(d):
            for k in range(d):
                factor[j, k] = -hessian[j, k]
        if cholesky(factor, d, shift):
            return shift
        shift = max(10.0 * shift, 1e-3 * size, 1e-300)


@kernel
def find_mode(arrays: Any, x: Array, cluster: int, mode: Array, scale: Array) -> float:
    """Newton's method for the mode, from zero on, and ``S`` from the curvature there.

    A Hessian that is not negative definite is shifted, and a move is halved until the density rises. The coordinates
    of the differences are scaled anew after every move. Where none helps, the differences are too coarse (for a density
    with bends on a smaller scale than that of its curvature): they are made finer.

    Returns
    -------
    float
        ``f`` at the mode; ``-inf`` outside the domain of the parameters, nan where no mode was found.
    """
    d = mode.shape[0]
    n = 1 + 4 * d + 4 * d * (d - 1)
    points, values = np.empty((n, d)), np.empty(n)
    trial, trial_value = np.empty((1, d)), np.empty(1)
    gradient, move = np.empty(d), np.empty(d)
    hessian, factor = np.empty((d, d)), np.empty((d, d))
    mode[:] = 0.0
    scale[:] = 0.0
    for j in range(d):
        scale[j, j] = 1.0
    trial[:] = 0.0
    log_joint(arrays, x, cluster, trial, trial_value)
    if d == 0 or not math.isfinite(trial_value[0]):
        return float(trial_value[0])
    step = STEP
    for _ in range(ROUNDS):
        if not differentiate(arrays, x, cluster, mode, scale, step, points, values, gradient, hessian):
            for j in range(d):
                for k in range(d):
                    scale[j, k] *= 0.5
            continue
        value = values[0]
        shift = factor_curvature(hessian, factor)
        decrement, change = 0.0, 0.0
        for j in range(d):
            move[j] = gradient[j]
            for k in range(d):
                change = max(change, abs(hessian[j, k] + (1.0 if j == k else 0.0)))
        cholesky_solve(factor, d, move)
        for j in range(d):
            decrement += move[j] * gradient[j]
        if shift == 0.0 and change < SETTLED and decrement < DECREMENT + ROUNDING * abs(value):
            rescale(factor, scale)
            return float(value)
        share = 1.0
        for _ in range(HALVINGS):
            for j in range(d):
                trial[0, j] = share * move[j]
            place(mode, scale, trial)
            log_joint(arrays, x, cluster, trial, trial_value)
            if trial_value[0] > value + 1e-4 * share * decrement:
                break
            share *= 0.5
        if not trial_value[0] > value + 1e-4 * share * decrement:
            if step > SHORTEST:
                step *= 0.25
                continue
            if shift == 0.0 and decrement < NEAR:
                rescale(factor, scale)
                return float(value)
            return math.nan
        for j in range(d):
            mode[j] = trial[0, j]
        rescale(factor, scale)
    return math.nan


@kernel
def log_determinant(scale: Array) -> float:
    """``log |S|``."""
    value = 0.0
    for j in range(scale.shape[0]):
        value += math.log(scale[j, j])
    return value


@kernel
def by_quadrature(
    arrays: Any, x: Array, cluster: int, mode: Array, scale: Array, nodes: Array, log_weights: Array
) -> float:
    """Log of the integral by the product rule, with nodes and logarithms of weights for ``int g(w) dw``."""
    d, n = mode.shape[0], nodes.shape[0]
    points, logs = np.empty((n**d, d)), np.zeros(n**d)
    values = np.empty(n**d)
    for at in range(n**d):
        rest = at
        for j in range(d):
            points[at, j] = nodes[rest % n]
            logs[at] += log_weights[rest % n]
            rest //= n
    place(mode, scale, points)
    log_joint(arrays, x, cluster, points, values)
    largest, total = -math.inf, 0.0
    for at in range(n**d):
        logs[at] += values[at]
        largest = max(largest, logs[at])
    for at in range(n**d):
        total += math.exp(logs[at] - largest)
    return largest + math.log(total) + log_determinant(scale)


@kernel
def by_importance(
    arrays: Any, x: Array, cluster: int, mode: Array, scale: Array, draws: int, rng: np.random.Generator, part: Array
) -> None:
    """Write the log of the mean weight, its variance by the delta method, effective draws and the largest share."""
    d = mode.shape[0]
    points, logs, values = np.empty((draws, d)), np.empty(draws), np.empty(draws)
    constant = math.lgamma(0.5 * (FREEDOM + d)) - math.lgamma(0.5 * FREEDOM)
    constant -= 0.5 * d * math.log(FREEDOM * math.pi) + log_determinant(scale)
    for at in range(draws):
        stretch = math.sqrt(0.5 * FREEDOM / rng.standard_gamma(0.5 * FREEDOM))
        square = 0.0
        for j in range(d):
            points[at, j] = stretch * rng.standard_normal()
            square += points[at, j] * points[at, j]
        logs[at] = constant - 0.5 * (FREEDOM + d) * math.log1p(square / FREEDOM)
    place(mode, scale, points)
    log_joint(arrays, x, cluster, points, values)
    largest, first, second = -math.inf, 0.0, 0.0
    for at in range(draws):
        logs[at] = values[at] - logs[at]
        largest = max(largest, logs[at])
    for at in range(draws):
        weight = math.exp(logs[at] - largest)
        first += weight
        second += weight * weight
    part[0] = largest + math.log(first / draws)
    part[1] = max(0.0, draws * second / (first * first) - 1.0) / (draws - 1)
    part[2] = first * first / second
    part[3] = 1.0 / first


@entry
def integrate(
    arrays: Any,
    x: Array,
    nodes: Array,
    log_weights: Array,
    most: int,
    draws: int,
    rng: np.random.Generator,
    parts: Array,
) -> int:
    """Integrate every cluster, by importance sampling with ``draws`` draws, or for 0 by quadrature.

    Parameters
    ----------
    arrays : NamedTuple
        Those of `Clusters.joint`.
    x : (n,) ndarray
        Parameters.
    nodes, log_weights : (k,) ndarray
        Of the rule for ``int g(w) dw``.
    most : int
        Points of a product rule at most.
    draws : int
    rng : Generator
    parts : (C, 5) ndarray, written
        Log of the integral (nan where no mode was found), its Monte Carlo variance, effective draws and the largest
        share of a weight (nan where there are none), and the number of random effects.

    Returns
    -------
    int
        The cluster whose product rule has too many points, before which the work was left; -1 if there is none.
    """
    for cluster in range(parts.shape[0]):
        d = n_effects(arrays, x, cluster)
        part = parts[cluster]
        part[1], part[2], part[3], part[4] = 0.0, math.nan, math.nan, d
        if draws == 0 and float(nodes.shape[0]) ** d > most:
            return cluster
        mode, scale = np.empty(d), np.empty((d, d))
        part[0] = find_mode(arrays, x, cluster, mode, scale)
        if d == 0 or not math.isfinite(part[0]):
            continue
        if draws > 0:
            by_importance(arrays, x, cluster, mode, scale, draws, rng, part)
        else:
            part[0] = by_quadrature(arrays, x, cluster, mode, scale, nodes, log_weights)
    return -1
