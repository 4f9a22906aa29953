"""Small dense linear algebra for kernels: a handful of parameters, no allocation, no LAPACK call overhead."""

from __future__ import annotations

import math

import numpy as np

from saem.system.jit import kernel

Array = np.ndarray


@kernel
def cholesky(a: Array, n: int, shift: float) -> bool:
    """Overwrite the lower triangle of ``a[:n, :n]`` by the Cholesky factor of ``a + shift * I``.

    Returns False, with ``a`` partly overwritten, when the shifted matrix is not numerically positive definite.
    """
    for j in range(n):
        total = a[j, j] + shift
        size = abs(total)
        for k in range(j):
            total -= a[j, k] * a[j, k]
        if not total > 1e-13 * size:  # also catches NaN
            return False
        pivot = math.sqrt(total)
        a[j, j] = pivot
        for i in range(j + 1, n):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = total / pivot
    return True


@kernel
def cholesky_solve(factor: Array, n: int, b: Array) -> None:
    """Overwrite ``b[:n]`` by the solution of ``L L' x = b``."""
    for i in range(n):
        total = b[i]
        for k in range(i):
            total -= factor[i, k] * b[k]
        b[i] = total / factor[i, i]
    for i in range(n - 1, -1, -1):
        total = b[i]
        for k in range(i + 1, n):
            total -= factor[k, i] * b[k]
        b[i] = total / factor[i, i]


@kernel
def cholesky_semidefinite(a: Array, out: Array, n: int) -> None:
    """Write to ``out`` a lower-triangular L with ``L L' = a`` for a positive semidefinite ``a``.

    A zero pivot (a random effect whose conditional variance is zero) gives a zero column.
    """
    for j in range(n):
        for i in range(n):
            out[i, j] = 0.0
    for j in range(n):
        total = a[j, j]
        for k in range(j):
            total -= out[j, k] * out[j, k]
        if total > 1e-14 * abs(a[j, j]) and total > 0.0:
            pivot = math.sqrt(total)
            out[j, j] = pivot
            for i in range(j + 1, n):
                total = a[i, j]
                for k in range(j):
                    total -= out[i, k] * out[j, k]
                out[i, j] = total / pivot


@kernel
def invert(a: Array, out: Array, n: int) -> float:
    """Write the inverse of ``a`` (destroyed) to ``out`` by Gauss-Jordan with row pivoting; return the determinant."""
    if n == 1:
        out[0, 0] = 1.0 / a[0, 0]
        return float(a[0, 0])
    for i in range(n):
        for j in range(n):
            out[i, j] = 1.0 if i == j else 0.0
    determinant = 1.0
    for j in range(n):
        pivot = j
        for i in range(j + 1, n):
            if abs(a[i, j]) > abs(a[pivot, j]):
                pivot = i
        if a[pivot, j] == 0.0:
            return 0.0
        if pivot != j:
            determinant = -determinant
            for k in range(n):
                a[j, k], a[pivot, k] = a[pivot, k], a[j, k]
                out[j, k], out[pivot, k] = out[pivot, k], out[j, k]
        determinant *= a[j, j]
        scale = 1.0 / a[j, j]
        for k in range(n):
            a[j, k] *= scale
            out[j, k] *= scale
        for i in range(n):
            if i != j and a[i, j] != 0.0:
                factor = a[i, j]
                for k in range(n):
                    a[i, k] -= factor * a[j, k]
                    out[i, k] -= factor * out[j, k]
    return determinant


@kernel
def factor_jacobian(jacobian: Array, m: int, n: int, reflectors: Array, triangle: Array, order: Array) -> int:
    """Householder QR with column pivoting of the transposed Jacobian of the constraints, ``J' P = Q R``.

    In the coordinates ``Q'v`` the first ``rank`` entries belong to the range of ``J'``, the others to the null space
    of ``J``: Q splits the space into the directions that change the constraints and the tangent directions.

    Parameters
    ----------
    jacobian : (m, n) ndarray
    reflectors : (m, n) ndarray, written
        Vectors ``v_s`` of length ``sqrt(2)`` with ``Q = H_0 H_1 ..``, ``H_s = I - v_s v_s'``.
    triangle : (m, m) ndarray, written
        ``R``, columns in the order of ``order``.
    order : (m,) int64 ndarray, written
        Column ``k`` of R belongs to constraint ``order[k]``.

    Returns
    -------
    int
        The numerical rank.
    """
    columns = np.empty((m, n))
    largest = 0.0
    for k in range(m):
        order[k] = k
        for i in range(n):
            columns[k, i] = jacobian[k, i]
    rank = 0
    for step in range(min(m, n)):
        best, best_norm = step, -1.0
        for k in range(step, m):
            norm = 0.0
            for i in range(step, n):
                norm += columns[k, i] * columns[k, i]
            if norm > best_norm:
                best, best_norm = k, norm
        norm = math.sqrt(best_norm)
        largest = max(largest, norm)
        if not norm > 1e-11 * largest:
            break
        if best != step:
            order[step], order[best] = order[best], order[step]
            for i in range(n):
                columns[step, i], columns[best, i] = columns[best, i], columns[step, i]
        alpha = -norm if columns[step, step] > 0.0 else norm
        square = 0.0
        for i in range(n):
            reflectors[step, i] = 0.0 if i < step else columns[step, i]
        reflectors[step, step] -= alpha
        for i in range(step, n):
            square += reflectors[step, i] * reflectors[step, i]
        scale = math.sqrt(2.0 / square)
        for i in range(step, n):
            reflectors[step, i] *= scale
        for k in range(step, m):
            reflect(reflectors[step], n, columns[k])
        rank += 1
    for s in range(rank):
        for k in range(m):
            triangle[s, k] = columns[k, s]
    return rank


@kernel
def reflect(reflector: Array, n: int, vector: Array) -> None:
    """Overwrite ``vector[:n]`` by ``(I - v v') vector``."""
    total = 0.0
    for i in range(n):
        total += reflector[i] * vector[i]
    for i in range(n):
        vector[i] -= total * reflector[i]


@kernel
def reflect_both_sides(reflector: Array, n: int, matrix: Array, work: Array) -> None:
    """Overwrite a symmetric ``matrix[:n, :n]`` by ``(I - v v') matrix (I - v v')``."""
    total = 0.0
    for i in range(n):
        work[i] = 0.0
        for j in range(n):
            work[i] += matrix[i, j] * reflector[j]
        total += work[i] * reflector[i]
    for i in range(n):
        for j in range(n):
            matrix[i, j] += total * reflector[i] * reflector[j] - work[i] * reflector[j] - reflector[i] * work[j]
