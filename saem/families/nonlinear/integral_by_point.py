"""Sums over the points of a rule for clusters with many random effects: the chain rule at every point.

Moments of the derivatives by the entries of ``Z_b``, as `saem.families.nonlinear.integral` forms them, would be those
of all products of some d^2 entries.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.normal_root import LOG_2PI, add_pair
from saem.system.jit import call_row_sums, kernel

Array = np.ndarray


@kernel
def place_point(rule: Array, at: int, basis: Array, squares: Array, c: Array, z: Array) -> float:
    """Write the coefficients (d + 1,) of a point and its coordinates (d,); return the log-density of its effects."""
    d = z.shape[0]
    c[0] = 1.0
    for k in range(d):
        c[1 + k] = rule[at, k]
    for j in range(d):
        z[j] = 0.0
        for b in range(d + 1):
            z[j] += c[b] * basis[b, j, 0]
    height, pair = -0.5 * d * LOG_2PI, 0
    for b in range(d + 1):
        for e in range(b + 1):
            height += c[b] * c[e] * squares[pair, 0]
            pair += 1
    return float(height)


@kernel
def slopes_are_cheaper(n: int, d: int, m: int) -> bool:
    """Whether `add_slopes` takes less for every point than `add_moments`, whose moments are quadratic in d^2."""
    return m * m > 4 * n * ((d + 1) * (d + 2) // 2 + 2 * d * (d + 1))


@kernel
def have_slopes(basis: Array) -> bool:
    """Whether the ``Z_b`` (d + 1, d, J) depend on the parameters: those of rules that are held do not."""
    for b in range(basis.shape[0]):
        for j in range(basis.shape[1]):
            for i in range(1, basis.shape[2]):
                if basis[b, j, i] != 0.0:
                    return True
    return False


@kernel
def add_slopes(
    arrays: NonlinearArrays,
    x: Array,
    cluster: int,
    rule: Array,
    log_weights: Array,
    basis: Array,
    squares: Array,
    total: Array,
) -> float:
    """`add_points_nonlinear` with the chain rule at every point: for many random effects.

    ``total`` (J,) becomes weight, gradient and Hessian; returns the logarithm of the common factor.
    """
    d, length, direct = basis.shape[1], basis.shape[2], arrays.rows.curved
    n, p, most = x.shape[0], direct.shape[0], arrays.sd_index.shape[1]
    size, pairs, moves = p + most, squares.shape[0], have_slopes(basis)
    first, rows = arrays.first[cluster], arrays.first[cluster + 1] - arrays.first[cluster]
    out, c, z = np.empty(1 + size + size * (size + 1) // 2), np.empty(d + 1), np.empty(d)
    slope, along, half = np.empty(n), np.empty((d, n)), np.empty((d, n))
    at_pairs, at_basis = np.zeros(pairs), np.zeros((d + 1, d))
    largest = -math.inf
    for which in range(log_weights.shape[0]):
        height = log_weights[which] + place_point(rule, which, basis, squares, c, z)
        call_row_sums(arrays.rows.curvature, x, z, arrays.columns, first, rows, out)
        height += out[0]
        if not height > -math.inf:
            continue
        if height > largest:
            shrink = math.exp(largest - height)
            for i in range(length):
                total[i] *= shrink
            for a in range(pairs):
                at_pairs[a] *= shrink
            for b in range(d + 1):
                for j in range(d):
                    at_basis[b, j] *= shrink
            largest = height
        weight = math.exp(height - largest)
        total[0] += weight
        slope[:] = 0.0
        for a in range(p):
            slope[direct[a]] += out[1 + a]
        pair = 0
        for b in range(d + 1):
            for e in range(b + 1):
                both = c[b] * c[e]
                at_pairs[pair] += weight * both
                for i in range(n):
                    slope[i] += both * squares[pair, 1 + i]
                pair += 1
        at = 1 + size
        for a in range(p):
            for b in range(a + 1):
                add_pair(direct[a], direct[b], weight * out[at] * (0.5 if a == b else 1.0), n, total)
                at += 1
        if moves:
            along[:, :] = 0.0
            half[:, :] = 0.0
            for b in range(d + 1):
                for j in range(d):
                    at_basis[b, j] += weight * c[b] * out[1 + p + j]
                    for i in range(n):
                        along[j, i] += c[b] * basis[b, j, 1 + i]
            for j in range(d):
                at = 1 + size + (p + j) * (p + j + 1) // 2
                for i in range(n):
                    slope[i] += out[1 + p + j] * along[j, i]
                for a in range(p):
                    for i in range(n):
                        add_pair(direct[a], i, weight * out[at + a] * along[j, i], n, total)
                for k in range(j + 1):
                    bend = out[at + p + k]
                    if bend == 0.0:
                        continue
                    for i in range(n):
                        half[j, i] += bend * along[k, i]
                        if k < j:
                            half[k, i] += bend * along[j, i]
        at = n + 1
        for i in range(n):
            total[1 + i] += weight * slope[i]
            for k in range(i + 1):
                bend = slope[i] * slope[k]
                if moves:
                    for j in range(d):
                        bend += along[j, i] * half[j, k]
                total[at] += weight * bend
                at += 1
    for i in range(n + 1, length):
        for a in range(pairs):
            total[i] += at_pairs[a] * squares[a, i]
        if moves:
            for b in range(d + 1):
                for j in range(d):
                    total[i] += at_basis[b, j] * basis[b, j, i]
    return largest
