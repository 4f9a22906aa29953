"""The joint density of responses and random effects of a cluster, in jets; see `contract.log_complete`.

Plain values and derivatives of the rows come from compiled functions of the model. Derivatives of the third and fourth
order, which only the movement of a mode needs, are had by running the model's expressions in jets.
"""

from __future__ import annotations

import math

import numpy as np

from saem.expressions.program import run
from saem.families import contract
from saem.families.contract import supply
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.prepared import log_complete_of_rows, place_coordinates, prepare_cluster, prepared_length
from saem.families.normal_root import (
    add_beside,
    add_normal,
    add_outer,
    add_pair,
    fill_effects,
    fill_root,
    through_root,
)
from saem.system.jets import clear
from saem.system.jit import borrowed, call_row_sums, inlined, kernel, release

Array = np.ndarray


@kernel
def set_parameters(x: Array, inputs: Array) -> None:
    """Write the parameters (n,) into the first jets (n, J) of the inputs of a program."""
    clear(inputs)
    for i in range(x.shape[0]):
        inputs[i, 0] = x[i]
        if inputs.shape[1] > 1:
            inputs[i, 1 + i] = 1.0


@kernel
def fill_terms(arrays: NonlinearArrays, x: Array, a: Array) -> None:
    """Write the values of the terms (K,)."""
    if a.shape[0] > 0:
        call_row_sums(arrays.term_values, x, x, arrays.columns, 0, 1, a)  # they read no column


@kernel
def fill_term_jets(arrays: NonlinearArrays, x: Array, a: Array) -> None:
    """Write the terms (K, J), in jets."""
    length = a.shape[1]
    if a.shape[0] == 0:
        return
    inputs, work = np.empty((x.shape[0], length)), np.empty((arrays.terms.ops.shape[0], length))
    set_parameters(x, inputs)
    run(arrays.terms, inputs, np.empty(0), work)
    for k in range(a.shape[0]):
        for m in range(length):
            a[k, m] = work[arrays.terms.targets[k], m]


@kernel
def fill_centres(arrays: NonlinearArrays, x: Array, cluster: int, centres: Array) -> None:
    """Write the centres (d, J) of the coordinates of a cluster."""
    length = centres.shape[1]
    clear(centres)
    count = arrays.term_effect.shape[0]
    if length == 1:
        values = np.empty(count)
        fill_terms(arrays, x, values)
        for k in range(count):
            centres[arrays.term_effect[k], 0] += arrays.basis[cluster, k] * values[k]
        return
    jets = np.empty((count, length))
    fill_term_jets(arrays, x, jets)
    for k in range(count):
        weight = arrays.basis[cluster, k]
        for m in range(length):
            centres[arrays.term_effect[k], m] += weight * jets[k, m]


@kernel
def fill_plain(arrays: NonlinearArrays, x: Array, cluster: int, effects: Array, values: Array) -> None:
    """`log_complete_nonlinear` at plain effects (k, d, 1), without derivatives."""
    memory = np.empty(prepared_length(arrays))
    prepared = borrowed(memory)
    known = prepare_cluster(arrays, x, cluster, -1, prepared)
    for at in range(values.shape[0]):
        values[at, 0] = -math.inf
        if known:
            first, end = arrays.first[cluster], arrays.first[cluster + 1]
            point, value = effects[at : at + 1], values[at : at + 1]
            log_complete_of_rows(arrays.rows.value, arrays.columns, first, end, x, prepared, point, value)
    release(memory)


@kernel
def add_row_jets(arrays: NonlinearArrays, x: Array, cluster: int, z: Array, values: Array) -> None:
    """Add the log-density of the rows in jets, from its derivatives by parameters and coordinates."""
    d, n = z.shape[1], x.shape[0]
    first, rows = arrays.first[cluster], arrays.first[cluster + 1] - arrays.first[cluster]
    direct = arrays.rows.curved
    p = direct.shape[0]
    size, most = p + d, p + arrays.sd_index.shape[1]
    out, point = np.empty(1 + most + most * (most + 1) // 2), np.empty(d)
    for at in range(values.shape[0]):
        for j in range(d):
            point[j] = z[at, j, 0]
        call_row_sums(arrays.rows.curvature, x, point, arrays.columns, first, rows, out)
        value, i = values[at], 1 + most
        value[0] += out[0]
        for j in range(size):
            for k in range(j + 1):
                bend = out[i] if j != k else 0.5 * out[i]
                i += 1
                if bend == 0.0:
                    continue
                if j < p:
                    add_pair(direct[j], direct[k], bend, n, value)
                elif k < p:
                    add_beside(direct[k], bend, z[at, j - p], n, value)
                else:
                    add_outer(bend, z[at, j - p], z[at, k - p], n, value)
            if j < p:
                value[1 + direct[j]] += out[1 + j]
            else:
                for m in range(1, value.shape[0]):
                    value[m] += out[1 + j] * z[at, j - p, m]


@kernel
def fill_plain_slopes(
    arrays: NonlinearArrays,
    x: Array,
    cluster: int,
    effects: Array,
    order: int,
    values: Array,
    gradients: Array,
    hessians: Array,
) -> None:
    """`log_complete_nonlinear` at plain effects (k, d, 1), with derivatives."""
    d, p = effects.shape[1], arrays.rows.curved.shape[0]
    size, length = p + arrays.sd_index.shape[1], prepared_length(arrays)
    memory = np.empty(length + d * d + 1 + size + size * (size + 1) // 2)  # one allocation
    room = borrowed(memory)
    prepared, half, out = room[:length], room[length : length + d * d], room[length + d * d :]
    z, slope, bend = prepared[d * d + d : d * d + 2 * d], out[1 + p :], out[1 + size :]
    first, end = arrays.first[cluster], arrays.first[cluster + 1]
    known = prepare_cluster(arrays, x, cluster, -1, prepared)
    for at in range(effects.shape[0]):
        values[at, 0] = -math.inf
        if not known:
            continue
        height = place_coordinates(prepared, effects[at : at + 1], d)
        call_row_sums(arrays.rows.curvature, x, z, arrays.columns, first, end - first, out)
        height += out[0]
        values[at, 0] = height if height == height else -math.inf  # nan: no density there
        for j in range(d):
            total = -effects[at, j, 0]
            for k in range(j, d):
                total += prepared[k * d + j] * slope[k]
            gradients[at, j, 0] = total
        if order < 2:
            continue
        for i in range(d):
            for j in range(d):
                total = 0.0
                for k in range(j, d):
                    high, low = p + max(i, k), p + min(i, k)
                    total += bend[high * (high + 1) // 2 + low] * prepared[k * d + j]
                half[i * d + j] = total
        for i in range(d):
            for j in range(i + 1):
                total = -1.0 if i == j else 0.0
                for k in range(i, d):
                    total += prepared[k * d + i] * half[k * d + j]
                hessians[at, i, j, 0] = hessians[at, j, i, 0] = total
    release(memory)


@kernel
def fill_slope_jets(
    arrays: NonlinearArrays, x: Array, cluster: int, order: int, z: Array, value: Array, slope: Array, bend: Array
) -> None:
    """Add the log-density (J,) of the rows, and its derivatives (d, J) and (d, d, J) by coordinates (d, J), in jets."""
    (d, length), n = z.shape, x.shape[0]
    program = arrays.slopes if order < 2 else arrays.bends
    read = arrays.read.shape[1]
    count = read if read > 0 else d
    inputs, work = np.empty((n + count, length)), np.empty((program.ops.shape[0], length))
    set_parameters(x, inputs)
    where = np.arange(count)
    for row in range(arrays.first[cluster], arrays.first[cluster + 1]):
        for j in range(count):
            if read > 0:
                where[j] = arrays.read[row, j]
            for m in range(length):
                inputs[n + j, m] = z[where[j], m]
        run(program, inputs, arrays.columns[row], work)
        for m in range(length):
            value[m] += work[program.targets[0], m]
        at = 1 + count
        for j in range(count):
            target = program.targets[1 + j]
            for m in range(length):
                slope[where[j], m] += work[target, m]
            for k in range(j + 1):
                if order > 1:
                    target, high, low = program.targets[at], max(where[j], where[k]), min(where[j], where[k])
                    for m in range(length):
                        bend[high, low, m] += work[target, m]
                at += 1


@kernel
def log_complete_nonlinear(
    arrays: NonlinearArrays,
    x: Array,
    cluster: int,
    effects: Array,
    order: int,
    values: Array,
    gradients: Array,
    hessians: Array,
) -> None:
    """See `saem.families.contract.log_complete`."""
    arrays, x = borrowed(arrays), borrowed(x)
    effects, values = borrowed(effects), borrowed(values)
    gradients, hessians = borrowed(gradients), borrowed(hessians)
    many, d, length = effects.shape
    if order == 0 and length == 1:
        fill_plain(arrays, x, cluster, effects, values)
        return
    if length == 1:
        fill_plain_slopes(arrays, x, cluster, effects, order, values, gradients, hessians)
        return
    group = arrays.group[cluster]
    root, z, centres = np.empty((d, d, length)), np.empty((many, d, length)), np.empty((d, length))
    if not fill_root(arrays.sd_index[group], arrays.corr_index[group], x, root):
        for at in range(many):
            values[at, 0] = -math.inf
        return
    fill_effects(root, effects, z)
    fill_centres(arrays, x, cluster, centres)
    for at in range(many):
        for j in range(d):
            for m in range(length):
                z[at, j, m] += centres[j, m]
    clear(values)
    if order == 0:
        for at in range(many):
            add_normal(effects[at], 0, values[at], effects[at], root)
        add_row_jets(arrays, x, cluster, z, values)
    else:
        slope, bend = np.empty((d, length)), np.empty((d, d, length))
        for at in range(many):
            clear(slope)
            clear(gradients[at])
            for j in range(d):
                clear(bend[j])
                if order > 1:
                    clear(hessians[at, j])
            hessian = hessians[at] if order > 1 else bend
            fill_slope_jets(arrays, x, cluster, order, z[at], values[at], slope, bend)
            through_root(root, order, slope, bend, gradients[at], hessian)
            add_normal(effects[at], order, values[at], gradients[at], hessian)
            if order > 1:
                for j in range(d):
                    for k in range(j):
                        hessian[k, j] = hessian[j, k]
    for at in range(many):
        if math.isnan(values[at, 0]):
            values[at, 0] = -math.inf


@kernel
def effects_root_nonlinear(arrays: NonlinearArrays, x: Array, cluster: int, root: Array) -> bool:
    """See `saem.families.contract.effects_root`."""
    group, d = arrays.group[cluster], root.shape[0]
    return fill_root(arrays.sd_index[group], arrays.corr_index[group], x, root.reshape((d, d, 1)))


@inlined
def n_effects_nonlinear(arrays: NonlinearArrays, x: Array, cluster: int) -> int:
    """See `saem.families.contract.n_effects`: up to the last that is there, whatever the parameters."""
    return int(arrays.n_effects[arrays.group[cluster]])


supply(contract.n_effects, NonlinearArrays, n_effects_nonlinear)


supply(contract.log_complete, NonlinearArrays, log_complete_nonlinear)


supply(contract.effects_root, NonlinearArrays, effects_root_nonlinear)
