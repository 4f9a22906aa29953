"""The joint density of outcomes and random effects of a cluster, in jets: see `saem.families.contract.log_complete`."""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.glmm.arrays import GlmmArrays
from saem.families.glmm.outcomes import log_density, log_density_slopes
from saem.families.normal_root import (
    add_beside,
    add_normal,
    add_outer,
    add_pair,
    fill_effects,
    fill_root,
    through_root,
)
from saem.system.jets import add_composed, clear
from saem.system.jit import kernel, overload

Array = np.ndarray


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
