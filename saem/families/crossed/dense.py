"""A component whose random effects are all treated alike, by dense matrices of them.

With ``S = Z'R^-1Z`` and ``A = Lambda'S Lambda + I``: ``K = Lambda A^-1 Lambda'``, ``M = S (I - K S)``. Nothing
divides by a standard deviation, so that one of zero is nothing special (Bates et al. 2015, section 3).
"""

from __future__ import annotations

import math

import numpy as np

from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.law import Law, root_times, times_root
from saem.families.crossed.totals import (
    Totals,
    add_by_block,
    add_outer_by_block,
    add_shaped_trace,
    add_traces,
    add_unit_products,
    shaped,
)
from saem.system.jit import kernel

Array = np.ndarray


@kernel
def products_of(arrays: CrossedArrays, component: int) -> Array:
    """``Z'W_hZ`` (H, d, d) of the effects of a component that do not lead."""
    groups = arrays.xy.shape[0]
    d = arrays.effect_start[component + 1] - arrays.effect_start[component] - arrays.n_leading[component]
    return arrays.zz[arrays.zz_start[component] : arrays.zz_start[component + 1]].reshape((groups, d, d))


@kernel
def summed_products(arrays: CrossedArrays, component: int, precision: Array) -> Array:
    """``Z'R^-1Z`` (d, d), with the precisions (H,) of the residual groups."""
    products = products_of(arrays, component)
    out: Array = products[0] * precision[0]
    for h in range(1, precision.shape[0]):
        for i in range(out.shape[0]):
            for j in range(out.shape[0]):
                out[i, j] += precision[h] * products[h, i, j]
    return out


@kernel
def conditional_covariance(
    arrays: CrossedArrays, law: Law, first: int, end: int, lead: int, information: Array, log_det: Array
) -> Array:
    """``K = Lambda A^-1 Lambda'`` (d, d) given ``S`` (d, d); adds ``log |A|``."""
    d = information.shape[0]
    half, inner = np.empty((d, d)), np.empty((d, d))
    times_root(arrays, law.root, first, end, lead, information, half)
    root_times(arrays, law.root, first, end, lead, half, inner)
    for i in range(d):
        inner[i, i] += 1.0
    factor, inverse = factor_and_inverse(inner)
    for i in range(d):
        log_det[0] += 2.0 * math.log(factor[i, i])
    # Lambda A^-1 Lambda' = (Lambda (Lambda A^-1)')'
    lower_times(arrays, law.root, first, end, lead, inverse, half)
    lower_times(arrays, law.root, first, end, lead, np.ascontiguousarray(half.T), inner)
    for i in range(d):
        for j in range(i):
            inner[i, j] = inner[j, i] = 0.5 * (inner[i, j] + inner[j, i])
    return inner


@kernel
def factor_and_inverse(matrix: Array) -> tuple[Array, Array]:
    """The Cholesky factor and the inverse of a matrix; nan where it is singular in the numbers of a computer.

    That is where a residual standard deviation is next to nothing beside those of the random effects.
    """
    try:
        factor = np.linalg.cholesky(matrix)
        inverse = np.linalg.inv(matrix)
    except Exception:
        factor = np.full(matrix.shape, np.nan)
        inverse = np.full(matrix.shape, np.nan)
    return factor, np.ascontiguousarray(inverse)


@kernel
def lower_times(arrays: CrossedArrays, root: Array, first: int, end: int, lead: int, matrix: Array, out: Array) -> None:
    """Write ``Lambda matrix`` (d, k)."""
    columns = matrix.shape[1]
    for place in range(first, end):
        b, at = arrays.unit_block[place], arrays.unit_offset[place] - lead
        d = arrays.block_size[b]
        for j in range(d):
            for m in range(columns):
                out[at + j, m] = 0.0
            for k in range(j + 1):
                scale = root[b, j, k]
                for m in range(columns):
                    out[at + j, m] += scale * matrix[at + k, m]


@kernel
def add_dense(
    arrays: CrossedArrays, law: Law, component: int, precision: Array, delta: Array, restricted: bool, totals: Totals
) -> None:
    """Add a component to the totals; ``delta`` (p,) are the means less the reference ones."""
    groups, p = arrays.xy.shape
    first, end = arrays.unit_start[component], arrays.unit_start[component + 1]
    start, stop = arrays.effect_start[component], arrays.effect_start[component + 1]
    d = stop - start
    products = products_of(arrays, component)
    information = summed_products(arrays, component, precision)
    covariance = conditional_covariance(arrays, law, first, end, 0, information, totals.log_det)

    score, design = np.zeros(d), np.zeros((d, p))
    residual = np.empty((groups, d))  # Z'W_h r, then Z'W_h e
    for h in range(groups):
        for i in range(d):
            value = arrays.zy[h, start + i]
            for c in range(p):
                value -= arrays.zx[h, start + i, c] * delta[c]
                design[i, c] += precision[h] * arrays.zx[h, start + i, c]
            residual[h, i] = value
            score[i] += precision[h] * value
    effects = covariance @ score
    gain = covariance @ design  # D
    totals.explained[0] += score @ effects
    for h in range(groups):
        fitted = products[h] @ effects
        for i in range(d):
            totals.shift[h] += effects[i] * (2.0 * residual[h, i] - fitted[i])
            residual[h, i] -= fitted[i]
            for c in range(p):
                totals.shift_means[h, c] += arrays.zx[h, start + i, c] * effects[i]
    w = score - information @ effects
    for c in range(p):
        for i in range(d):
            totals.for_means[c] += design[i, c] * effects[i]
            for a in range(p):
                totals.by_means[c, a] += design[i, c] * gain[i, a]

    spread = np.empty((groups, d, d))  # K S_h
    shrink = np.zeros((d, d))  # E' = I - K S
    for h in range(groups):
        spread[h] = covariance @ products[h]
        for i in range(d):
            totals.spread[h] += spread[h, i, i]
            for j in range(d):
                shrink[i, j] -= precision[h] * spread[h, i, j]
    for i in range(d):
        shrink[i, i] += 1.0
    m = information @ shrink
    for i in range(d):
        for j in range(i):
            m[i, j] = m[j, i] = 0.5 * (m[i, j] + m[j, i])

    add_outer_by_block(arrays, first, end, 0, w, totals.second)
    add_by_block(arrays, first, end, 0, m, totals.precision)
    add_traces(arrays, law, first, end, 0, m, totals.traces)
    bent = shaped(arrays, law, first, end, 0, w)  # G_k w
    straight = bent @ m
    n = design - information @ gain
    slots = bent.shape[0]
    for k in range(slots):
        for t in range(slots):
            for i in range(d):
                totals.squares[k, t] += straight[k, i] * bent[t, i]
        for i in range(d):
            for c in range(p):
                totals.means[k, c] += n[i, c] * bent[k, i]
    blocks = np.zeros(totals.precision.shape)
    pulled = np.empty((groups, d))  # E Z'W_h e
    for h in range(groups):
        for g in range(groups):
            total = 0.0
            for i in range(d):
                for j in range(d):
                    total += spread[h, i, j] * spread[g, j, i]
            totals.spreads[h, g] += total
            totals.pairs[h, g] += residual[h] @ (covariance @ residual[g])
        back = covariance @ residual[h]
        for c in range(p):
            for i in range(d):
                totals.mean_pairs[h, c] += design[i, c] * back[i]
        pulled[h] = residual[h] - information @ back
        for k in range(slots):
            totals.slot_pairs[h, k] += pulled[h] @ bent[k]
        middle = products[h] @ shrink  # S_h E'
        blocks[:] = 0.0
        for place in range(first, end):
            b, at = arrays.unit_block[place], arrays.unit_offset[place]
            for i in range(arrays.block_size[b]):
                for j in range(arrays.block_size[b]):
                    for k in range(d):
                        blocks[b, i, j] += shrink[k, at + i] * middle[k, at + j]
        add_shaped_trace(arrays, law, blocks, totals.slots[h])
    if restricted:
        add_dense_restricted(arrays, law, component, information, covariance, gain, n, m, totals)


@kernel
def shaped_columns(arrays: CrossedArrays, law: Law, first: int, end: int, lead: int, n: Array) -> Array:
    """``G_k N`` (L + 1, d, p)."""
    d, p = n.shape
    out = np.empty((arrays.slot_index.shape[0] + 1, d, p))
    for c in range(p):
        column = shaped(arrays, law, first, end, lead, np.ascontiguousarray(n[:, c]))
        for k in range(out.shape[0]):
            for i in range(d):
                out[k, i, c] = column[k, i]
    return out


@kernel
def add_crossed(a: Array, b: Array, out: Array) -> None:
    """Add ``a'b``."""
    out += np.ascontiguousarray(a.T) @ b


@kernel
def add_dense_restricted(
    arrays: CrossedArrays,
    law: Law,
    component: int,
    information: Array,
    covariance: Array,
    gain: Array,
    n: Array,
    m: Array,
    totals: Totals,
) -> None:
    """Add what the restricted likelihood needs beside."""
    groups, p = arrays.xy.shape
    first, end = arrays.unit_start[component], arrays.unit_start[component + 1]
    start, stop = arrays.effect_start[component], arrays.effect_start[component + 1]
    products = products_of(arrays, component)
    bent = shaped_columns(arrays, law, first, end, 0, n)
    slots = bent.shape[0]
    add_unit_products(arrays, first, end, 0, n, totals.reml_units)
    for k in range(slots):
        straight = m @ bent[k]
        for t in range(slots):
            add_crossed(bent[t], straight, totals.reml_pairs[t, k])
    rows = np.empty((groups, stop - start, p))  # J_h
    for h in range(groups):
        zx = np.ascontiguousarray(arrays.zx[h, start:stop])
        fitted = products[h] @ gain
        rows[h] = zx - fitted
        add_crossed(zx, gain, totals.reml_rows[h])
        add_crossed(gain, zx, totals.reml_rows[h])
        fitted *= -1.0
        add_crossed(gain, fitted, totals.reml_rows[h])
        pulled = rows[h] - information @ (covariance @ rows[h])
        for k in range(slots):
            add_crossed(pulled, bent[k], totals.reml_row_slots[h, k])
    for h in range(groups):
        for g in range(groups):
            add_crossed(rows[h], covariance @ rows[g], totals.reml_row_pairs[h, g])
