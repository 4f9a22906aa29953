"""Coordinates in which a posterior is nearly standard normal, compiled.

The coordinates ``u`` of `density` are those of means ``a`` and of all else ``z`` (logarithms of standard deviations,
..). Few data are hard to sample because of how the means hang on the standard deviations: where these are large the
means vary more (a funnel), and where a mean is determined by variances the others move to make up for it (a curved
ridge). Given ``z`` both are nearly known, as the likelihood is then nearly normal in the means. So with ``w = root v``

    y = y0 + w_y,    z = z(y),    a = a0 + A (c(z) - c(z0)) + L(z) w_a,    L(z) L(z)' = C0 + sum_k sd_k(z)^2 C_k,

where ``z(y)`` is linear in large standard deviations, ``c(z)`` what the constraints determine at frozen means, ``A``
how the means make up for it, and ``L L'`` their covariance given the standard deviations, linearised. Whatever the
numbers are this is a one-to-one map with the Jacobian ``|root| prod z_k'(y_k) prod L_ii``, so they change the work of
the sampler and not the posterior.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from saem.algorithms.bayes.density import Space, carry_over, determine, log_posterior, transformed
from saem.system.jit import entry, kernel

Array = np.ndarray


class Frame(NamedTuple):
    """The numbers of the map: d coordinates, q of them means that are standardised, m determined parameters."""

    centre: Array  # (d,) means and y where v = 0
    root: Array  # (d, d)
    means: Array  # (q,) int64, which coordinates are standardised means
    others: Array  # (d - q,) int64
    frozen: Array  # (n,) parameters at the centre
    shear: Array  # (q, m), A
    base: Array  # (q, q), C0
    spreads: Array  # (d - q, q, q), C_k; zero for what is no standard deviation
    size: Array  # (d - q,) where the logarithm of a standard deviation turns into itself; 0 for what is none


@kernel
def bent(size: float, y: float) -> tuple[float, float, float]:
    """The coordinate ``u`` of ``y``, its derivative, and the derivative of the logarithm of that.

    For a standard deviation ``exp(u) = size log(1 + exp(y))``: small ones on a logarithmic scale, large ones on their
    own, so that a wall on their right is not as steep as on a logarithmic one.
    """
    if size == 0.0:
        return y, 1.0, 0.0
    tail = math.exp(-abs(y))
    share = 1.0 / (1.0 + tail) if y > 0.0 else tail / (1.0 + tail)  # of the logistic distribution, below y
    soft = max(y, 0.0) + math.log1p(tail)
    if y < -30.0:
        return math.log(size) + y, 1.0, 0.0
    slope = share / soft
    return math.log(size) + math.log(soft), slope, 1.0 - share - slope


@kernel
def follow(space: Space, address: int, frame: Frame, u: Array, drift: Array, slopes: Array) -> None:
    """Write how the determined parameters move when the means are frozen.

    Parameters
    ----------
    u : (d,) ndarray
        Coordinates; those of standardised means are not looked at.
    drift : (m,) ndarray
        Written: the determined parameters minus those at the centre; 0 where there is no solution.
    slopes : (m, d - q) ndarray
        Written: its derivatives by the other coordinates.
    """
    n, m = space.base.shape[0], space.constraint.shape[0]
    x, slope = frame.frozen.copy(), np.empty(frame.others.shape[0])
    c, jac, hess, by_x = np.empty(m), np.zeros((m, n)), np.zeros((m, n, n)), np.empty(n)
    for j, k in enumerate(frame.others):
        x[space.free[k]], slope[j], _, _ = transformed(space, k, u[k])
    drift[:] = 0.0
    slopes[:, :] = 0.0
    if not determine(space, address, x, c, jac, hess):
        return
    for s in range(m):
        by_x[:] = 0.0
        by_x[space.parameter[s]] = 1.0
        carry_over(space, address, x, c, jac, hess, by_x)
        drift[s] = x[space.parameter[s]] - frame.frozen[space.parameter[s]]
        for j, k in enumerate(frame.others):
            slopes[s, j] = by_x[space.free[k]] * slope[j]
    if not (np.all(np.isfinite(drift)) and np.all(np.isfinite(slopes))):
        drift[:] = 0.0
        slopes[:, :] = 0.0


@kernel
def spread(space: Space, frame: Frame, u: Array, root: Array, bends: Array) -> bool:
    """Write ``L(z)`` (q, q) and its derivatives by the other coordinates (d - q, q, q); False where there is none.

    With ``dC = L X L'``, ``dL = L low(X)``, where ``low`` keeps what is below the diagonal and half of the diagonal.
    """
    q, others = frame.means.shape[0], frame.others.shape[0]
    rate = np.zeros(others)
    matrix, work = frame.base.copy(), np.empty((q, q))
    for j in range(others):
        k = frame.others[j]
        sd, slope, _, _ = transformed(space, k, u[k])
        rate[j] = 2.0 * sd * slope
        for a in range(q):
            for b in range(q):
                matrix[a, b] += sd * sd * frame.spreads[j, a, b]
    for a in range(q):
        for b in range(a + 1):
            total = matrix[a, b]
            for i in range(b):
                total -= root[a, i] * root[b, i]
            if a == b:
                if not (total > 0.0 and math.isfinite(total)):
                    return False
                root[a, a] = math.sqrt(total)
            else:
                root[a, b] = total / root[b, b]
                root[b, a] = 0.0
    for j in range(others):
        for a in range(q):  # L^-1 C_k, column by column
            for b in range(q):
                total = frame.spreads[j, a, b]
                for i in range(a):
                    total -= root[a, i] * work[i, b]
                work[a, b] = total / root[a, a]
        for a in range(q):  # X = L^-1 C_k L^-T, row by row
            for b in range(q):
                total = work[a, b]
                for i in range(b):
                    total -= work[a, i] * root[b, i]
                work[a, b] = total / root[b, b]
        for a in range(q):
            for b in range(q):
                total = 0.0
                for i in range(b, a + 1):
                    total += root[a, i] * work[i, b] * (0.5 if i == b else 1.0)
                bends[j, a, b] = rate[j] * total
    return True


@kernel
def place(
    space: Space,
    address: int,
    frame: Frame,
    v: Array,
    w: Array,
    u: Array,
    rate: Array,
    turn: Array,
    root: Array,
    slopes: Array,
    bends: Array,
) -> bool:
    """Write ``w`` and ``u`` (d,) of ``v`` (d,), with what their derivatives need; False where there is no point."""
    d, m = v.shape[0], space.constraint.shape[0]
    for k in range(d):
        total = 0.0
        for j in range(d):
            total += frame.root[k, j] * v[j]
        w[k] = total
    for j, k in enumerate(frame.others):
        u[k], rate[j], turn[j] = bent(frame.size[j], frame.centre[k] + w[k])
    drift = np.empty(m)
    follow(space, address, frame, u, drift, slopes)
    if not spread(space, frame, u, root, bends):
        return False
    for a, k in enumerate(frame.means):
        u[k] = frame.centre[k]
        for s in range(m):
            u[k] += frame.shear[a, s] * drift[s]
        for b in range(a + 1):
            u[k] += root[a, b] * w[frame.means[b]]
    return True


@kernel
def turned_back(
    frame: Frame,
    w: Array,
    by_u: Array,
    rate: Array,
    turn: Array,
    root: Array,
    slopes: Array,
    bends: Array,
    gradient: Array,
) -> float:
    """Write the gradient by ``v`` (d,) of that by ``u`` (d,); return the logarithm of the Jacobian."""
    d, m, q = w.shape[0], frame.shear.shape[1], frame.means.shape[0]
    size, by_w = 0.0, np.empty(d)
    for b in range(q):
        size += math.log(root[b, b])
        total = 0.0
        for a in range(b, q):
            total += root[a, b] * by_u[frame.means[a]]
        by_w[frame.means[b]] = total
    for j, k in enumerate(frame.others):
        total = by_u[k]
        for a in range(q):
            move = 0.0
            for s in range(m):
                move += frame.shear[a, s] * slopes[s, j]
            for b in range(a + 1):
                move += bends[j, a, b] * w[frame.means[b]]
            total += by_u[frame.means[a]] * move + bends[j, a, a] / root[a, a]
        size += math.log(rate[j])
        by_w[k] = total * rate[j] + turn[j]
    for j in range(d):
        total = 0.0
        for k in range(d):
            total += frame.root[k, j] * by_w[k]
        gradient[j] = total
    return size


@kernel
def standardised(objective: Any, space: Space, address: int, frame: Frame, v: Array, gradient: Array) -> float:
    """Log posterior density and its gradient (d,) in the coordinates ``v`` (d,), up to a constant."""
    d, m, q, others = v.shape[0], space.constraint.shape[0], frame.means.shape[0], frame.others.shape[0]
    w, u, by_u = np.empty(d), np.empty(d), np.empty(d)
    root, slopes, bends = np.empty((q, q)), np.empty((m, others)), np.empty((others, q, q))
    rate, turn = np.empty(others), np.empty(others)
    gradient[:] = math.nan
    if not place(space, address, frame, v, w, u, rate, turn, root, slopes, bends):
        return -math.inf
    value = log_posterior(objective, space, address, u, by_u)
    value += turned_back(frame, w, by_u, rate, turn, root, slopes, bends, gradient)
    if not (math.isfinite(value) and np.all(np.isfinite(gradient))):
        return -math.inf
    return value


@entry
def standardised_density(objective: Any, space: Space, address: int, frame: Frame, v: Array, gradient: Array) -> float:
    """The density that `standardised` computes, for calls from Python."""
    return float(standardised(objective, space, address, frame, v, gradient))


@entry
def coordinates_of(space: Space, address: int, frame: Frame, v: Array, u: Array) -> None:
    """Write the coordinates ``u`` (k, d) of standardised ones ``v`` (k, d)."""
    d, m, q, others = v.shape[1], space.constraint.shape[0], frame.means.shape[0], frame.others.shape[0]
    w, root, slopes, bends = np.empty(d), np.empty((q, q)), np.empty((m, others)), np.empty((others, q, q))
    rate, turn = np.empty(others), np.empty(others)
    for row in range(v.shape[0]):
        if not place(space, address, frame, v[row], w, u[row], rate, turn, root, slopes, bends):
            u[row, :] = math.nan
