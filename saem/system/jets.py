"""Numbers with their exact first and second derivatives, for kernels: jets.

A jet of n variables is an array (J,) of the value, the gradient (n,) and the lower triangle of the Hessian, row by row:
``J = (n + 1)(n + 2) / 2``. With n = 0 it is a plain number, and every function here does plain arithmetic: a density
that is written in jets serves for its values and for its derivatives.
"""

from __future__ import annotations

import math

import numpy as np

from saem.system.jit import kernel

Array = np.ndarray


@kernel
def jet_length(n: int) -> int:
    """Numbers in a jet of ``n`` variables."""
    return (n + 1) * (n + 2) // 2


@kernel
def jet_variables(length: int) -> int:
    """Variables of a jet of so many numbers."""
    return int(math.sqrt(2.0 * length + 0.25) - 1.0)


@kernel
def clear(jets: Array) -> None:
    """Set a (k, J) array to zero; assigning to a slice takes longer to compile."""
    for i in range(jets.shape[0]):
        for j in range(jets.shape[1]):
            jets[i, j] = 0.0


@kernel
def compose(a: Array, value: float, slope: float, bend: float, out: Array) -> None:
    """``out = f(a)``, given f and its first two derivatives at the value of ``a``; ``out`` may be ``a``."""
    n = jet_variables(a.shape[0])
    at = n + 1
    for i in range(1, n + 1):
        for j in range(1, i + 1):
            out[at] = slope * a[at] + bend * a[i] * a[j]
            at += 1
    for i in range(1, n + 1):
        out[i] = slope * a[i]
    out[0] = value


@kernel
def add_composed(a: Array, weight: float, value: float, slope: float, bend: float, out: Array) -> None:
    """``out += weight * f(a)``, as `compose`."""
    out[0] += weight * value
    if a.shape[0] == 1:
        return
    n = jet_variables(a.shape[0])
    at = n + 1
    slope, bend = weight * slope, weight * bend
    for i in range(1, n + 1):
        out[i] += slope * a[i]
        half = bend * a[i]
        for j in range(1, i + 1):
            out[at] += slope * a[at] + half * a[j]
            at += 1


@kernel
def add_product(weight: float, a: Array, b: Array, out: Array) -> None:
    """``out += weight * a * b``; ``out`` is neither of them."""
    left, right = weight * b[0], weight * a[0]
    out[0] += left * a[0]
    if a.shape[0] == 1:
        return
    n = jet_variables(a.shape[0])
    at = n + 1
    for i in range(1, n + 1):
        out[i] += left * a[i] + right * b[i]
        first, second = weight * a[i], weight * b[i]
        for j in range(1, i + 1):
            out[at] += left * a[at] + right * b[at] + first * b[j] + second * a[j]
            at += 1


@kernel
def divide(a: Array, b: Array) -> None:
    """``a := a / b``."""
    n = jet_variables(a.shape[0])
    a[0] /= b[0]
    for i in range(1, n + 1):
        a[i] = (a[i] - a[0] * b[i]) / b[0]
    at = n + 1
    for i in range(1, n + 1):
        for j in range(1, i + 1):
            a[at] = (a[at] - a[0] * b[at] - a[i] * b[j] - a[j] * b[i]) / b[0]
            at += 1


@kernel
def take_root(a: Array) -> None:
    """``a := sqrt(a)``, of a positive number."""
    root = math.sqrt(a[0])
    compose(a, root, 0.5 / root, -0.25 / (root * a[0]), a)


@kernel
def add_logarithm(weight: float, a: Array, out: Array) -> None:
    """``out += weight * log(a)``, of a positive number."""
    add_composed(a, weight, math.log(a[0]), 1.0 / a[0], -1.0 / (a[0] * a[0]), out)


@kernel
def jet_cholesky(a: Array, least: float) -> bool:
    """Overwrite the lower triangle of ``a`` (d, d, J) by its Cholesky factor, and the rest by zero.

    A pivot below ``least`` is raised to it. Returns False, with ``a`` partly overwritten, where the matrix is not
    positive definite beyond that: where a pivot is below ``-least``, not positive after all, or nan.
    """
    d = a.shape[0]
    for j in range(d):
        clear(a[:j, j])
        for k in range(j):
            add_product(-1.0, a[j, k], a[j, k], a[j, j])
        if not a[j, j, 0] >= -least:
            return False
        a[j, j, 0] = max(a[j, j, 0], least)
        if not a[j, j, 0] > 0.0:
            return False
        take_root(a[j, j])
        for i in range(j + 1, d):
            for k in range(j):
                add_product(-1.0, a[i, k], a[j, k], a[i, j])
            divide(a[i, j], a[j, j])
    return True


@kernel
def jet_back_substitute(factor: Array, b: Array) -> None:
    """Overwrite ``b`` (d, J) by the solution of ``L' x = b``, for a Cholesky factor ``L`` (d, d, J)."""
    d = factor.shape[0]
    for i in range(d - 1, -1, -1):
        for k in range(i + 1, d):
            add_product(-1.0, factor[k, i], b[k], b[i])
        divide(b[i], factor[i, i])


@kernel
def add_derivatives(jet: Array, gradient: Array, hessian: Array) -> float:
    """Add a jet's derivatives to a gradient (n,) and a Hessian (n, n); return its value."""
    n = jet_variables(jet.shape[0])
    at = n + 1
    for i in range(n):
        gradient[i] += jet[i + 1]
        for j in range(i + 1):
            hessian[i, j] += jet[at]
            if j < i:
                hessian[j, i] += jet[at]
            at += 1
    return float(jet[0])
