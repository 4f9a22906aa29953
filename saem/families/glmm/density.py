"""The joint density of outcomes and random effects of a cluster, in jets: see `saem.families.contract.log_complete`.

The random effects are ``theta = L u`` with ``L = diag(sd) K``, ``K`` the Cholesky factor of their correlations. A
standard deviation of zero needs no care: ``L`` is smooth there. At correlations of one ``K`` is not, though the
likelihood is: its pivots, squared, are kept at `SINGULAR` or above, which changes a log-likelihood by about as much and
leaves it its slope.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.glmm.arrays import GlmmArrays
from saem.families.glmm.outcomes import log_density, log_density_slopes
from saem.system.jets import add_composed, add_product, clear, jet_cholesky, jet_variables
from saem.system.jit import kernel, overload

Array = np.ndarray
LOG_2PI = math.log(2.0 * math.pi)
SINGULAR = 1e-8  # of a unit variance: the least that is left of a random effect beside the others


@kernel
def fill_root(sd_index: Array, corr_index: Array, x: Array, root: Array) -> bool:
    """Write ``L`` (q, q, J) of a variance group, given its rows of the indices; whether it has a covariance."""
    q, length = root.shape[0], root.shape[2]
    for j in range(q):
        if not x[sd_index[j]] >= 0.0:
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
def fill_effects(root: Array, effects: Array, theta: Array) -> None:
    """Write ``theta = L u`` (k, q, J)."""
    q = root.shape[0]
    for at in range(effects.shape[0]):
        clear(theta[at])
        for j in range(q):
            for k in range(j + 1):
                add_product(1.0, root[j, k], effects[at, k], theta[at, j])


@kernel
def known_part(arrays: GlmmArrays, row: int, x: Array) -> float:
    """The linear predictor without the random effects."""
    eta = arrays.offset[row]
    for j in range(arrays.design.shape[1]):
        eta += arrays.design[row, j] * x[arrays.mean_index[j]]
    return float(eta)


@kernel
def add_rows(arrays: GlmmArrays, x: Array, cluster: int, theta: Array, values: Array) -> None:
    """Add the log-density of the rows at plain ``theta`` (k, q, 1)."""
    q = theta.shape[1]
    for row in range(arrays.first[cluster], arrays.first[cluster + 1]):
        known = known_part(arrays, row, x)
        for at in range(values.shape[0]):
            eta = known
            for j in range(q):
                eta += arrays.random[row, j] * theta[at, j, 0]
            values[at, 0] += arrays.constant[row] + log_density(arrays.outcome, arrays.y[row], arrays.trials[row], eta)


@kernel
def add_row_jets(arrays: GlmmArrays, x: Array, cluster: int, theta: Array, values: Array) -> None:
    """Add the log-density of the rows in jets: summed over rows in ``(beta, theta)``, then by the chain rule."""
    q, p = theta.shape[1], arrays.design.shape[1]
    size, n = p + q, x.shape[0]
    many = values.shape[0]
    columns, slopes, bends = np.empty(size), np.empty(many), np.empty(many)
    first, second = np.zeros((size, many)), np.zeros((size * (size + 1) // 2, many))
    for row in range(arrays.first[cluster], arrays.first[cluster + 1]):
        known = known_part(arrays, row, x)
        for j in range(p):
            columns[j] = arrays.design[row, j]
        for j in range(q):
            columns[p + j] = arrays.random[row, j]
        for at in range(many):
            eta = known
            for j in range(q):
                eta += columns[p + j] * theta[at, j, 0]
            value, slopes[at], bends[at], _, _ = log_density_slopes(
                arrays.outcome, arrays.y[row], arrays.trials[row], eta
            )
            values[at, 0] += arrays.constant[row] + value
        i = 0
        for j in range(size):
            if columns[j] == 0.0:  # as most columns of a factor are
                i += j + 1
                continue
            for at in range(many):
                first[j, at] += columns[j] * slopes[at]
            for k in range(j + 1):
                weight = columns[j] * columns[k]
                if weight != 0.0:
                    for at in range(many):  # the longest loop, over neighbours in memory
                        second[i, at] += weight * bends[at]
                i += 1
    for at in range(values.shape[0]):
        out, i = values[at], 0
        for j in range(size):
            for k in range(j + 1):
                curvature = second[i, at] if j != k else 0.5 * second[i, at]
                i += 1
                if j < p:
                    a, b = arrays.mean_index[j], arrays.mean_index[k]
                    add_pair(a, b, curvature, n, out)
                elif k < p:
                    add_beside(arrays.mean_index[k], curvature, theta[at, j - p], n, out)
                else:
                    add_outer(curvature, theta[at, j - p], theta[at, k - p], n, out)
            if j < p:
                out[1 + arrays.mean_index[j]] += first[j, at]
            else:
                for m in range(1, out.shape[0]):
                    out[m] += first[j, at] * theta[at, j - p, m]


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
def add_row_slopes(
    arrays: GlmmArrays, x: Array, cluster: int, theta: Array, order: int, value: Array, slope: Array, bend: Array
) -> None:
    """Add the log-density (J,) of the rows, and its derivatives (q, J) and (q, q, J) by ``theta`` (q, J), in jets."""
    q, length = theta.shape
    eta, first, second = np.empty(length), np.empty(length), np.empty(length)
    for row in range(arrays.first[cluster], arrays.first[cluster + 1]):
        for m in range(length):
            eta[m], first[m], second[m] = 0.0, 0.0, 0.0
        eta[0] = known_part(arrays, row, x)
        if length > 1:
            for j in range(arrays.design.shape[1]):
                eta[1 + arrays.mean_index[j]] += arrays.design[row, j]
        for j in range(q):
            for m in range(length):
                eta[m] += arrays.random[row, j] * theta[j, m]
        g0, g1, g2, g3, g4 = log_density_slopes(arrays.outcome, arrays.y[row], arrays.trials[row], eta[0])
        add_composed(eta, 1.0, g0 + arrays.constant[row], g1, g2, value)
        add_composed(eta, 1.0, g1, g2, g3, first)
        if order > 1:
            add_composed(eta, 1.0, g2, g3, g4, second)
        for j in range(q):
            z = arrays.random[row, j]
            for m in range(length):
                slope[j, m] += z * first[m]
            if order > 1:
                for k in range(j + 1):
                    weight = z * arrays.random[row, k]
                    for m in range(length):
                        bend[j, k, m] += weight * second[m]


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


@kernel
def log_complete_glmm(
    arrays: GlmmArrays,
    x: Array,
    cluster: int,
    effects: Array,
    order: int,
    values: Array,
    gradients: Array,
    hessians: Array,
) -> None:
    """See `saem.families.contract.log_complete`."""
    many, q, length = effects.shape
    group = arrays.group[cluster]
    root, theta = np.empty((q, q, length)), np.empty((many, q, length))
    if not fill_root(arrays.sd_index[group], arrays.corr_index[group], x, root):
        for at in range(many):
            values[at, 0] = -math.inf
        return
    fill_effects(root, effects, theta)
    clear(values)
    if order == 0:
        for at in range(many):
            add_normal(effects[at], 0, values[at], effects[at], root)
        if length == 1:
            add_rows(arrays, x, cluster, theta, values)
        else:
            add_row_jets(arrays, x, cluster, theta, values)
        return
    slope, bend = np.empty((q, length)), np.empty((q, q, length))
    for at in range(many):
        clear(slope)
        clear(gradients[at])
        for j in range(q):
            clear(bend[j])
            if order > 1:
                clear(hessians[at, j])
        hessian = hessians[at] if order > 1 else bend
        add_row_slopes(arrays, x, cluster, theta[at], order, values[at], slope, bend)
        through_root(root, order, slope, bend, gradients[at], hessian)
        add_normal(effects[at], order, values[at], gradients[at], hessian)
        if order > 1:
            for j in range(q):
                for k in range(j):
                    hessian[k, j] = hessian[j, k]


@overload(contract.n_effects, inline="always")
def _n_effects(arrays, x, cluster):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, GlmmArrays):
        return lambda arrays, x, cluster: arrays.sd_index.shape[1]
    return None


@overload(contract.log_complete, inline="always")
def _log_complete(arrays, x, cluster, effects, order, values, gradients, hessians):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, GlmmArrays):
        return lambda arrays, x, cluster, effects, order, values, gradients, hessians: log_complete_glmm(
            arrays, x, cluster, effects, order, values, gradients, hessians
        )
    return None


@overload(contract.log_joint, inline="always")
def _log_joint(arrays, x, cluster, effects, values):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, GlmmArrays):
        return lambda arrays, x, cluster, effects, values: contract.log_joint_of_complete(
            arrays, x, cluster, effects, values
        )
    return None


@kernel
def effects_root_glmm(arrays: GlmmArrays, x: Array, cluster: int, root: Array) -> bool:
    """See `saem.families.contract.effects_root`."""
    group, q = arrays.group[cluster], root.shape[0]
    return fill_root(arrays.sd_index[group], arrays.corr_index[group], x, root.reshape((q, q, 1)))


@overload(contract.effects_root, inline="always")
def _effects_root(arrays, x, cluster, root):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, GlmmArrays):
        return lambda arrays, x, cluster, root: effects_root_glmm(arrays, x, cluster, root)
    return None
