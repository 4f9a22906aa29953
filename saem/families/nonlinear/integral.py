"""Sums over the points of a rule of integration, for a cluster; see `saem.families.contract.add_points`.

The points are ``u = m + sum_k w_k s_k``, so that the coordinates of the individual parameters are
``z = sum_b c_b Z_b`` with ``c = (1, w)``, and the log-density is a function of ``c``, of the parameters of the rows and
of the ``Z_b``. Sums over the points are formed of its derivatives by these; the chain rule through the ``Z_b``, which
depend on the parameters, comes once for the cluster, and not for every point; but where random effects are many
(`integral_by_point`).
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.density import fill_centres
from saem.families.nonlinear.integral_by_point import add_slopes, place_point, slopes_are_cheaper
from saem.families.normal_root import fill_root
from saem.system.jets import add_logarithm, add_product, clear, divide
from saem.system.jit import borrowed, call_row_sums, kernel

Array = np.ndarray


@kernel
def is_there(jet: Array) -> bool:
    """Whether a jet is not zero: most of a root is, where effects are independent of each other."""
    for i in range(jet.shape[0]):
        if jet[i] != 0.0:
            return True
    return False


@kernel
def fill_basis(arrays: NonlinearArrays, x: Array, cluster: int, spans: Array, basis: Array, squares: Array) -> bool:
    """Write ``Z_b`` (d + 1, d, J), and the terms of ``-|u|^2 / 2`` in products ``c_b c_e`` (pairs, J), in jets.

    ``spans`` (d + 1, d, J) are the mode and the ``s_k``. Returns whether there is a covariance.
    """
    d, length = basis.shape[1], basis.shape[2]
    group = arrays.group[cluster]
    root = np.empty((d, d, length))
    if not fill_root(arrays.sd_index[group], arrays.corr_index[group], x, root):
        return False
    fill_centres(arrays, x, cluster, basis[0])
    for b in range(d + 1):
        if b > 0:
            clear(basis[b])
        for j in range(d):
            for k in range(j + 1):
                if k == j or is_there(root[j, k]):
                    add_product(1.0, root[j, k], spans[b, k], basis[b, j])
    clear(squares)
    at = 0
    for b in range(d + 1):
        for e in range(b + 1):
            for j in range(d):
                add_product(-0.5 if b == e else -1.0, spans[b, j], spans[e, j], squares[at])
            at += 1
    return True


@kernel
def hold_coordinates(arrays: NonlinearArrays, x: Array, cluster: int, spans: Array, out: Array) -> None:
    """See `saem.families.contract.hold`: the coordinates ``z = c + L u`` stay, where the covariance has an inverse."""
    d, length = spans.shape[1], spans.shape[2]
    group = arrays.group[cluster]
    root, centres = np.empty((d, d, length)), np.empty((d, length))
    if length == 1 or not fill_root(arrays.sd_index[group], arrays.corr_index[group], x, root):
        return
    for j in range(d):
        if not root[j, j, 0] > 0.0:
            return
    fill_centres(arrays, x, cluster, centres)
    z = np.empty((d, length))
    for b in range(d + 1):
        clear(z)
        for j in range(d):
            for k in range(j + 1):
                z[j, 0] += root[j, k, 0] * spans[b, k, 0]
            if b == 0:
                for i in range(1, length):
                    z[j, i] = -centres[j, i]
        for j in range(d):
            for k in range(j):
                if is_there(root[j, k]):
                    add_product(-1.0, root[j, k], z[k], z[j])
            divide(z[j], root[j, j])
            for i in range(length):
                spans[b, j, i] = z[j, i]
    for j in range(d):
        add_logarithm(-1.0, root[j, j], out)
        out[0] += math.log(root[j, j, 0])


supply(contract.hold, NonlinearArrays, hold_coordinates)


@kernel
def add_plain(
    arrays: NonlinearArrays,
    x: Array,
    cluster: int,
    rule: Array,
    log_weights: Array,
    basis: Array,
    squares: Array,
    total: Array,
) -> float:
    """`add_points_nonlinear` without derivatives."""
    d = basis.shape[1]
    first, rows = arrays.first[cluster], arrays.first[cluster + 1] - arrays.first[cluster]
    out, z, c = np.empty(1), np.empty(d), np.empty(d + 1)
    largest = -math.inf
    for which in range(log_weights.shape[0]):
        height = log_weights[which] + place_point(rule, which, basis, squares, c, z)
        call_row_sums(arrays.rows.value, x, z, arrays.columns, first, rows, out)
        height += out[0]
        if not height > -math.inf:  # nan, too: no density there
            continue
        if height > largest:
            total[0] *= math.exp(largest - height)
            largest = height
        total[0] += math.exp(height - largest)
    return largest


@kernel
def add_moments(
    arrays: NonlinearArrays,
    x: Array,
    cluster: int,
    rule: Array,
    log_weights: Array,
    basis: Array,
    squares: Array,
    first_moments: Array,
    second_moments: Array,
) -> tuple[float, float]:
    """Sum over the points; return the sum of weights and the logarithm of their common factor.

    Variables are the p parameters of the rows, the entries of ``Z_b`` (b by b), and the terms of the squares. Of the
    log-density, weighted, ``first_moments`` (m,) are the sums of its derivatives by them, and ``second_moments`` (m, m)
    those of their products and of the second derivatives (the lower triangle).
    """
    d, direct = basis.shape[1], arrays.rows.curved
    p = direct.shape[0]
    size, m = p + arrays.sd_index.shape[1], first_moments.shape[0]
    first, rows = arrays.first[cluster], arrays.first[cluster + 1] - arrays.first[cluster]
    out = np.empty(1 + size + size * (size + 1) // 2)
    z, c, slope = np.empty(d), np.empty(d + 1), np.empty(m)
    largest, weights = -math.inf, 0.0
    for which in range(log_weights.shape[0]):
        height = log_weights[which] + place_point(rule, which, basis, squares, c, z)
        i = p + (d + 1) * d
        for b in range(d + 1):
            for e in range(b + 1):
                slope[i] = c[b] * c[e]
                i += 1
        call_row_sums(arrays.rows.curvature, x, z, arrays.columns, first, rows, out)
        height += out[0]
        if not height > -math.inf:
            continue
        if height > largest:
            shrink = math.exp(largest - height)
            weights *= shrink
            for a in range(m):
                first_moments[a] *= shrink
                for b in range(a + 1):
                    second_moments[a, b] *= shrink
            largest = height
        weight = math.exp(height - largest)
        weights += weight
        for a in range(p):
            slope[a] = out[1 + a]
        for b in range(d + 1):
            for j in range(d):
                slope[p + b * d + j] = c[b] * out[1 + p + j]
        for a in range(m):
            moved = weight * slope[a]
            first_moments[a] += moved
            for b in range(a + 1):
                second_moments[a, b] += moved * slope[b]
        at = 1 + size
        for a in range(p):
            for b in range(a + 1):
                second_moments[a, b] += weight * out[at]
                at += 1
        for j in range(d):
            at = 1 + size + (p + j) * (p + j + 1) // 2
            for b in range(d + 1):
                bend = weight * c[b]
                row = p + b * d + j
                for a in range(p):
                    second_moments[row, a] += bend * out[at + a]
                for e in range(b + 1):
                    for k in range(d):
                        column = p + e * d + k
                        if column > row:
                            continue
                        low, high = min(j, k), max(j, k)
                        where = 1 + size + (p + high) * (p + high + 1) // 2 + p + low
                        second_moments[row, column] += bend * c[e] * out[where]
    return weights, largest


@kernel
def through_basis(
    arrays: NonlinearArrays, basis: Array, squares: Array, first_moments: Array, second_moments: Array, total: Array
) -> None:
    """Add gradient and Hessian of the sums by the parameters to ``total`` (J,): the chain rule, once for a cluster."""
    basis, squares = borrowed(basis), borrowed(squares)
    d, length = basis.shape[1], basis.shape[2]
    direct = arrays.rows.curved
    p, m = direct.shape[0], first_moments.shape[0]
    n = int(math.sqrt(2.0 * length + 0.25) - 1.0)
    slopes, along = np.zeros((m, n)), np.empty(n)
    for a in range(p):
        slopes[a, direct[a]] = 1.0
    for b in range(d + 1):
        for j in range(d):
            row, jet = p + b * d + j, basis[b, j]
            for i in range(n):
                slopes[row, i] = jet[1 + i]
            for i in range(n + 1, length):
                total[i] += first_moments[row] * jet[i]
    begin = p + (d + 1) * d
    for a in range(squares.shape[0]):
        for i in range(n):
            slopes[begin + a, i] = squares[a, 1 + i]
        for i in range(n + 1, length):
            total[i] += first_moments[begin + a] * squares[a, i]
    for a in range(m):
        for i in range(n):
            total[1 + i] += first_moments[a] * slopes[a, i]
            along[i] = 0.0
        for b in range(m):
            weight = second_moments[max(a, b), min(a, b)]
            for i in range(n):
                along[i] += weight * slopes[b, i]
        at = n + 1
        for i in range(n):
            for k in range(i + 1):
                total[at] += slopes[a, i] * along[k]
                at += 1


@kernel
def add_points_nonlinear(
    arrays: NonlinearArrays,
    x: Array,
    cluster: int,
    rule: Array,
    log_weights: Array,
    spans: Array,
    total: Array,
) -> float:
    """See `saem.families.contract.add_points`."""
    d, length = spans.shape[1], spans.shape[2]
    pairs = (d + 1) * (d + 2) // 2
    basis, squares = np.empty((d + 1, d, length)), np.empty((pairs, length))
    if not fill_basis(arrays, x, cluster, spans, basis, squares):
        return -math.inf
    if length == 1:
        return add_plain(arrays, x, cluster, rule, log_weights, basis, squares, total)
    m = arrays.rows.curved.shape[0] + (d + 1) * d + pairs
    if slopes_are_cheaper(x.shape[0], d, m):
        return add_slopes(arrays, x, cluster, rule, log_weights, basis, squares, total)
    first_moments, second_moments = np.zeros(m), np.zeros((m, m))
    weights, largest = add_moments(arrays, x, cluster, rule, log_weights, basis, squares, first_moments, second_moments)
    total[0] += weights
    through_basis(arrays, basis, squares, first_moments, second_moments, total)
    return largest


supply(contract.add_points, NonlinearArrays, add_points_nonlinear)
