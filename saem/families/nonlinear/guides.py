"""Coordinates of random effects that hardly depend on the parameters, given the data, with derivatives in reverse.

Say that the rows of a cluster tell of its coordinates ``z = m(x) + L(x) u`` what a normal law with precision ``H``
would that is highest where ``H z = b``. Then ``u`` given data and parameters is normal, with

    precision A = 1 + L'HL = F F',    mean M = A^-1 L'(b - H m),

and ``u = M + F'^-1 w`` makes ``w`` standard normal whatever the parameters are. Rich data thus hold ``z`` in place
while parameters move, poor data ``u`` (``H = 0``), and all between has its share of both, cluster by cluster: there is
no funnel either way where the standard deviations of random effects change (Papaspiliopoulos, Roberts & Sköld 2007, on
the choice between both). The rows are not normal, and the map is exact whatever ``H`` and ``b`` are.
"""

from __future__ import annotations

import math

import numpy as np

from saem.system.jit import kernel
from saem.system.linalg import cholesky

Array = np.ndarray


@kernel
def solve_factor(factor: Array, b: Array) -> None:
    """Overwrite ``b`` (d,) by ``F^-1 b``."""
    for i in range(b.shape[0]):
        for k in range(i):
            b[i] -= factor[i, k] * b[k]
        b[i] /= factor[i, i]


@kernel
def solve_transposed(factor: Array, b: Array) -> None:
    """Overwrite ``b`` (d,) by ``F'^-1 b``."""
    for i in range(b.shape[0] - 1, -1, -1):
        for k in range(i + 1, b.shape[0]):
            b[i] -= factor[k, i] * b[k]
        b[i] /= factor[i, i]


@kernel
def lead_back_cholesky(factor: Array, bar: Array, floor: float) -> None:
    """Turn derivatives (d, d) by a Cholesky factor into those by the lower triangle of the matrix.

    The steps of the factorisation in reverse order. Pivots at the ``floor``, squared, are held there.
    """
    for j in range(factor.shape[0] - 1, -1, -1):
        for k in range(j, -1, -1):
            total = bar[j, k] / factor[k, k]
            if j == k:
                if factor[j, j] * factor[j, j] <= floor:
                    total = 0.0
                for i in range(k):
                    bar[j, i] -= factor[j, i] * total
                bar[j, j] = 0.5 * total
                continue
            bar[k, k] -= factor[j, k] * total
            for i in range(k):
                bar[j, i] -= factor[k, i] * total
                bar[k, i] -= factor[j, i] * total
            bar[j, k] = total


@kernel
def guide(precision: Array, pull: Array, root: Array, centre: Array, half: Array, left: Array, factor: Array) -> bool:
    """Write ``H L`` (d, d), ``b - H m`` (d,) and ``F`` (d, d); whether there is one."""
    d = pull.shape[0]
    for i in range(d):
        left[i] = pull[i]
        for j in range(d):
            left[i] -= precision[i, j] * centre[j]
            total = 0.0
            for k in range(j, d):
                total += precision[i, k] * root[k, j]
            half[i, j] = total
            factor[i, j] = 0.0
    for j in range(d):
        for k in range(j + 1):
            total = 1.0 if j == k else 0.0
            for i in range(j, d):
                total += root[i, j] * half[i, k]
            factor[j, k] = total
    return cholesky(factor, d, 0.0)


@kernel
def follow_guide(root: Array, left: Array, factor: Array, w: Array, middle: Array, u: Array) -> float:
    """Write ``g = F^-1 L'(b - H m)`` (d,) and ``u = F'^-1 (g + w)`` (d,); return the logarithm of the Jacobian."""
    d, size = w.shape[0], 0.0
    for j in range(d):
        middle[j] = 0.0
        for i in range(j, d):
            middle[j] += root[i, j] * left[i]
        size -= math.log(factor[j, j])
    solve_factor(factor, middle)
    for j in range(d):
        u[j] = middle[j] + w[j]
    solve_transposed(factor, u)
    return size


@kernel
def lead_back_guide(
    half: Array,
    left: Array,
    factor: Array,
    middle: Array,
    u: Array,
    by_w: Array,
    work: Array,
    by_factor: Array,
    by_root: Array,
    by_centre: Array,
) -> None:
    """Turn derivatives by ``u`` into those by ``w``, in place, and add those by the root and the centre.

    The logarithm of the Jacobian is differentiated with them. ``work`` (d,) and ``by_factor`` (d, d) are room.
    """
    d = u.shape[0]
    solve_factor(factor, by_w)
    for j in range(d):
        work[j] = by_w[j]
    solve_transposed(factor, work)  # derivatives by L'(b - H m)
    for j in range(d):
        for k in range(j + 1):
            by_factor[j, k] = -u[j] * by_w[k] - work[j] * middle[k]
        by_factor[j, j] -= 1.0 / factor[j, j]
    lead_back_cholesky(factor, by_factor, 0.0)
    for i in range(d):
        for k in range(i + 1):
            total = left[i] * work[k]
            for j in range(d):
                total += half[i, j] * (by_factor[j, k] if j > k else by_factor[k, j])
            by_root[i, k] += total + half[i, k] * by_factor[k, k]
        for k in range(d):
            by_centre[i] -= half[i, k] * work[k]
