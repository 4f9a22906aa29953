"""Random effects as a root of their covariance times standard normals, in jets; for `contract.log_complete`.

The random effects are ``theta = L u`` with ``L = diag(sd) K``, ``K`` the Cholesky factor of their correlations. A
standard deviation of zero needs no care: ``L`` is smooth there. At correlations of one ``K`` is not, though the
likelihood is: its pivots, squared, are kept at `SINGULAR` or above, which changes a log-likelihood by about as much and
leaves it its slope.
"""

from __future__ import annotations

import math

import numpy as np

from saem.system.jets import add_product, clear, jet_cholesky, jet_variables
from saem.system.jit import kernel

Array = np.ndarray
LOG_2PI = math.log(2.0 * math.pi)
SINGULAR = 1e-8  # of a unit variance: the least that is left of a random effect beside the others


@kernel
def fill_root(sd_index: Array, corr_index: Array, x: Array, root: Array) -> bool:
    """Write ``L`` (q, q, J) of a variance group, given its rows of the indices; whether it has a covariance."""
    q, length = root.shape[0], root.shape[2]
    for j in range(q):
        if sd_index[j] >= 0 and not x[sd_index[j]] >= 0.0:
            return False
    for j in range(q):
        clear(root[j])
        root[j, j, 0] = 1.0
    correlated = False
    for j in range(q):
        for k in range(j):
            if corr_index[j, k] >= 0:
                correlated = True
                root[j, k, 0] = x[corr_index[j, k]]
                if length > 1:
                    root[j, k, 1 + corr_index[j, k]] = 1.0
    if correlated and not jet_cholesky(root, SINGULAR):
        return False
    for j in range(q):
        if sd_index[j] < 0:  # the effect is absent
            clear(root[j])
        else:
            scale(x[sd_index[j]], sd_index[j], root[j])
    return True


@kernel
def scale(size: float, index: int, jets: Array) -> None:
    """Multiply jets (k, J) by the parameter of this index, whose value is ``size``."""
    n = jet_variables(jets.shape[1])
    for k in range(jets.shape[0]):
        jet = jets[k]
        if n > 0:
            at = n + 1
            for i in range(1, n + 1):
                for j in range(1, i + 1):
                    jet[at] *= size
                    if i == index + 1:
                        jet[at] += jet[j]
                    if j == index + 1:
                        jet[at] += jet[i]
                    at += 1
            before = jet[0]
            for i in range(1, n + 1):
                jet[i] *= size
            jet[1 + index] += before
        jet[0] *= size


@kernel
def fill_plain_root(sd_index: Array, corr_index: Array, x: Array, root: Array) -> bool:
    """`fill_root` for plain numbers: a root (d, d)."""
    d = root.shape[0]
    for j in range(d):
        if sd_index[j] >= 0 and not x[sd_index[j]] >= 0.0:
            return False
    for j in range(d):
        for k in range(d):
            root[j, k] = 0.0
        for k in range(j + 1):
            total = 1.0 if j == k else (x[corr_index[j, k]] if corr_index[j, k] >= 0 else 0.0)
            for i in range(k):
                total -= root[j, i] * root[k, i]
            if j == k:
                if not total >= -SINGULAR:
                    return False
                root[j, j] = math.sqrt(max(total, SINGULAR))
            else:
                root[j, k] = total / root[k, k]
    for j in range(d):
        for k in range(j + 1):
            root[j, k] *= x[sd_index[j]] if sd_index[j] >= 0 else 0.0
    return True


@kernel
def fill_effects(root: Array, effects: Array, theta: Array) -> None:
    """Write ``theta = L u`` (k, q, J)."""
    q = root.shape[0]
    for at in range(effects.shape[0]):
        clear(theta[at])
        for j in range(q):
            for k in range(j + 1):
                add_product(1.0, root[j, k], effects[at, k], theta[at, j])


@kernel
def add_pair(a: int, b: int, weight: float, n: int, out: Array) -> None:
    """Add ``weight (e_a e_b' + e_b e_a')`` to the Hessian of a jet."""
    low, high = min(a, b), max(a, b)
    out[n + 1 + high * (high + 1) // 2 + low] += 2.0 * weight if low == high else weight


@kernel
def add_beside(a: int, weight: float, jet: Array, n: int, out: Array) -> None:
    """Add ``weight (e_a g' + g e_a')`` to the Hessian of a jet, for the gradient ``g`` of another."""
    for b in range(n):
        add_pair(a, b, weight * jet[1 + b], n, out)


@kernel
def add_outer(weight: float, a: Array, b: Array, n: int, out: Array) -> None:
    """Add ``weight (g h' + h g')`` to the Hessian of a jet, for the gradients of two others."""
    at = n + 1
    for i in range(1, n + 1):
        for j in range(1, i + 1):
            out[at] += weight * (a[i] * b[j] + b[i] * a[j])
            at += 1


@kernel
def through_root(root: Array, order: int, slope: Array, bend: Array, gradient: Array, hessian: Array) -> None:
    """From derivatives by ``theta`` to those by ``u``, in jets: ``L' slope`` and ``L' bend L`` (its lower triangle)."""
    q = root.shape[0]
    for j in range(q):
        for k in range(j, q):
            add_product(1.0, root[k, j], slope[k], gradient[j])
    if order < 2:
        return
    half = np.zeros((q, q, root.shape[2]))  # bend L
    for i in range(q):
        for j in range(q):
            for k in range(j, q):
                add_product(1.0, bend[max(i, k), min(i, k)], root[k, j], half[i, j])
    for i in range(q):
        for j in range(i + 1):
            for k in range(i, q):
                add_product(1.0, root[k, i], half[k, j], hessian[i, j])


@kernel
def add_normal(effects: Array, order: int, value: Array, gradient: Array, hessian: Array) -> None:
    """Add the log-density of independent standard normals (d, J) and its derivatives by them, in jets."""
    d = effects.shape[0]
    value[0] -= 0.5 * d * LOG_2PI
    for j in range(d):
        add_product(-0.5, effects[j], effects[j], value)
        if order > 0:
            for m in range(effects.shape[1]):
                gradient[j, m] -= effects[j, m]
        if order > 1:
            hessian[j, j, 0] -= 1.0
