"""A large component whose leading effects are integrated out one by one; there is one residual group.

The leading effects, independent with the variance ``s^2``, join the residuals: ``V = V_1 + Z_2 G_2 Z_2'`` with
``V_1 = R + s^2 Z_1 Z_1'``, whose inverse ``P_1`` needs divisions only. With ``C = Z_2'P_1Z_2``, ``B = Z_1'P_1Z_2``
(sparse), ``D = Z_1'P_1Z_1`` (diagonal), ``K_2`` the conditional covariance of the other effects and ``F = I - K_2C``,

    M_22 = C F,  M_12 = B F,  M_11 = D - B K_2 B',

so that sums over the entries of ``M`` need ``U = B'B``, never ``M_11`` itself. What the totals have of residuals and
their groups follows from ``R = V - ZGZ'``, where ``G`` counts as one more slot.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.dense import conditional_covariance, products_of
from saem.families.crossed.law import Law
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
def fill_information(
    arrays: CrossedArrays, law: Law, component: int, precision: float, information: Array, log_det: Array
) -> tuple[Array, Array, Array]:
    """Make ``S_22`` (d, d) to ``C``; returns ``s^2 / A`` and ``D`` (k,), and ``1 / A`` of each leading effect."""
    at, end = arrays.leading_start[component], arrays.leading_start[component + 1]
    block = arrays.unit_block[arrays.unit_start[component]]
    variance = law.root[block, 0, 0] ** 2
    gain, weight, shrink = np.empty(end - at), np.empty(end - at), np.empty(end - at)
    for i in range(end - at):
        information_of_it = arrays.leading_zz[at + i] * precision
        inner = 1.0 + variance * information_of_it
        log_det[0] += math.log(inner)
        gain[i], weight[i], shrink[i] = variance / inner, information_of_it / inner, 1.0 / inner
        add_beside(arrays, at + i, -gain[i] * precision * precision, information)
    return gain, weight, shrink


@kernel
def add_beside(arrays: CrossedArrays, leading: int, scale: float, out: Array) -> None:
    """Add ``scale b b'`` (d, d), for the products ``b`` of a leading effect with the others."""
    first, end = arrays.beside_start[leading], arrays.beside_start[leading + 1]
    for i in range(first, end):
        row, value = out[arrays.beside[i]], scale * arrays.beside_zz[i]
        for j in range(first, end):
            row[arrays.beside[j]] += value * arrays.beside_zz[j]


@kernel
def other_rows(
    arrays: CrossedArrays, component: int, precision: float, gain: Array, inner: Array, rows: Array
) -> Array:
    """``Z_2'P_1 t`` (d, m) where ``Z_1'R^-1t`` are ``inner`` (k, m) and ``Z_2'R^-1t`` are ``rows`` (d, m)."""
    at = arrays.leading_start[component]
    out = rows.copy()
    for i in range(inner.shape[0]):
        for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
            scale = gain[i] * precision * arrays.beside_zz[j]
            row = out[arrays.beside[j]]
            for c in range(out.shape[1]):
                row[c] -= scale * inner[i, c]
    return out


@kernel
def leading_rows(
    arrays: CrossedArrays, component: int, precision: float, shrink: Array, inner: Array, solved: Array
) -> Array:
    """``Z_1'P t`` (k, m): of ``inner``, and ``K_2 Z_2'P_1t`` (d, m)."""
    at = arrays.leading_start[component]
    out = np.empty(inner.shape)
    for i in range(inner.shape[0]):
        for c in range(inner.shape[1]):
            out[i, c] = inner[i, c]
        for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
            for c in range(inner.shape[1]):
                out[i, c] -= precision * arrays.beside_zz[j] * solved[arrays.beside[j], c]
        for c in range(inner.shape[1]):
            out[i, c] *= shrink[i]
    return out


@kernel
def times_products(
    arrays: CrossedArrays, component: int, precision: float, products: Array, inner: Array, rows: Array
) -> tuple[Array, Array]:
    """``S v`` in its two parts, for ``v`` of ``inner`` (k, m) and ``rows`` (d, m)."""
    at = arrays.leading_start[component]
    low = products @ rows
    low *= precision
    high = np.empty(inner.shape)
    for i in range(inner.shape[0]):
        for c in range(inner.shape[1]):
            high[i, c] = precision * arrays.leading_zz[at + i] * inner[i, c]
        for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
            value, k = precision * arrays.beside_zz[j], arrays.beside[j]
            for c in range(inner.shape[1]):
                high[i, c] += value * rows[k, c]
                low[k, c] += value * inner[i, c]
    return high, low


@kernel
def add_leading(
    arrays: CrossedArrays, law: Law, component: int, precision: float, delta: Array, restricted: bool, totals: Totals
) -> None:
    """Add a component to the totals."""
    p = arrays.xy.shape[1]
    first, end = arrays.unit_start[component], arrays.unit_start[component + 1]
    start, lead = arrays.effect_start[component], arrays.n_leading[component]
    d = arrays.effect_start[component + 1] - start - lead
    split = first + lead
    block = arrays.unit_block[first]
    slots = arrays.slot_index.shape[0]
    at = arrays.leading_start[component]

    products = products_of(arrays, component)[0]
    information = products * precision
    gain, weight, shrink = fill_information(arrays, law, component, precision, information, totals.log_det)
    others = conditional_covariance(arrays, law, split, end, lead, information, totals.log_det)  # K_2

    # Z'R^-1 of the residuals at the means, and of X
    inner, rows = np.empty((lead, 1 + p)), np.empty((d, 1 + p))
    for i in range(lead + d):
        row = inner[i] if i < lead else rows[i - lead]
        row[0] = arrays.zy[0, start + i]
        for c in range(p):
            row[0] -= arrays.zx[0, start + i, c] * delta[c]
            row[1 + c] = precision * arrays.zx[0, start + i, c]
        row[0] *= precision
    below = other_rows(arrays, component, precision, gain, inner, rows)
    solved = others @ below
    high = leading_rows(arrays, component, precision, shrink, inner, solved)
    low = below - information @ solved
    w = np.concatenate((high[:, 0], low[:, 0]))
    n = np.concatenate((high[:, 1:], low[:, 1:]))
    # t'R^-1Z K Z'R^-1t
    pulled = np.ascontiguousarray(below.T) @ solved
    for c in range(1 + p):
        for a in range(1 + p):
            for i in range(lead):
                pulled[c, a] += gain[i] * inner[i, c] * inner[i, a]
    totals.explained[0] += pulled[0, 0]
    for c in range(p):
        totals.for_means[c] += pulled[1 + c, 0]
        for a in range(p):
            totals.by_means[c, a] += pulled[1 + c, 1 + a]

    # sums over M
    cross, cross_weighted = np.zeros((d, d)), np.zeros((d, d))  # U = B'B, and B'D B
    square = precision * precision
    variance_trace, weight_square = 0.0, 0.0
    for i in range(lead):
        scale = shrink[i] * shrink[i] * square
        add_beside(arrays, at + i, scale, cross)
        add_beside(arrays, at + i, scale * weight[i], cross_weighted)
        variance_trace += weight[i]
        weight_square += weight[i] * weight[i]
    folded = others @ cross  # K_2 U
    leading_square = weight_square
    for i in range(d):
        variance_trace -= folded[i, i]
        for j in range(d):
            leading_square += folded[i, j] * folded[j, i] - 2.0 * others[i, j] * cross_weighted[j, i]
    keep = others @ information
    keep *= -1.0
    for i in range(d):
        keep[i, i] += 1.0  # F
    m = information @ keep
    for i in range(d):
        for j in range(i):
            m[i, j] = m[j, i] = 0.5 * (m[i, j] + m[j, i])
    totals.precision[block, 0, 0] += variance_trace
    add_by_block(arrays, split, end, lead, m, totals.precision)
    traces = np.zeros((slots + 1, slots + 1))
    add_traces(arrays, law, split, end, lead, m, traces)
    own, all_own = law.shape[arrays.slot_start[block], 0, 0], law.shape[slots + block, 0, 0]
    sizes = np.zeros(slots + 1)  # of the leading slot, and of G
    sizes[arrays.slot_start[block]] = own
    sizes[slots] = all_own
    between = cross @ keep  # U F
    blocks = np.zeros(totals.precision.shape)
    for place in range(split, end):
        b, offset = arrays.unit_block[place], arrays.unit_offset[place] - lead
        for i in range(arrays.block_size[b]):
            for j in range(arrays.block_size[b]):
                for k in range(d):
                    blocks[b, i, j] += keep[k, offset + i] * between[k, offset + j]
    beside = np.zeros(slots + 1)
    add_shaped_trace(arrays, law, blocks, beside)
    for k in range(slots + 1):
        for t in range(slots + 1):
            traces[k, t] += sizes[k] * sizes[t] * leading_square + sizes[k] * beside[t] + beside[k] * sizes[t]
            totals.traces[k, t] += traces[k, t]

    add_outer_by_block(arrays, first, end, 0, w, totals.second)
    bent = shaped(arrays, law, first, end, 0, w)
    straight = times_precision(
        arrays, component, precision, products, information, gain, shrink, others, np.ascontiguousarray(bent.T)
    )
    squares, means = np.zeros((slots + 1, slots + 1)), np.zeros((slots + 1, p))
    for k in range(slots + 1):
        for i in range(lead + d):
            for t in range(slots + 1):
                squares[k, t] += bent[t, i] * straight[i, k]
            for c in range(p):
                means[k, c] += n[i, c] * bent[k, i]
    totals.squares[:] += squares
    totals.means[:] += means
    diagonal = np.zeros(slots + 1)  # tr(M G_k)
    own_blocks = np.zeros(totals.precision.shape)
    add_by_block(arrays, split, end, lead, m, own_blocks)
    own_blocks[block, 0, 0] += variance_trace
    add_shaped_trace(arrays, law, own_blocks, diagonal)
    linear = np.zeros(slots + 1)  # w'G_k w
    for k in range(slots + 1):
        for i in range(lead + d):
            linear[k] += w[i] * bent[k, i]

    # what follows from R = V - ZGZ', with S_1 = sigma^2 S, Z'W e = sigma^2 w
    all_of = slots
    r = 1.0 / precision
    totals.spread[0] += r * diagonal[all_of]
    totals.spreads[0, 0] += r * r * traces[all_of, all_of]
    totals.pairs[0, 0] += r * r * (linear[all_of] - squares[all_of, all_of])
    # r'R^-1r - r'Pr = explained, and e'R^-1e = r'Pr - w'Gw
    totals.shift[0] += r * (pulled[0, 0] + linear[all_of])
    for c in range(p):
        # X'R^-1e = X'Pr, for e = R P r
        totals.shift_means[0, c] += r * pulled[1 + c, 0]
        # X'R^-1Z K Z'We = sigma^2 N'G w, for K Z'R^-1 = G Z'P
        totals.mean_pairs[0, c] += r * means[all_of, c]
    for k in range(slots + 1):
        totals.slots[0, k] += r * (diagonal[k] - traces[all_of, k])
        totals.slot_pairs[0, k] += r * (linear[k] - squares[all_of, k])
    if restricted:
        add_leading_restricted(
            arrays, law, component, precision, products, information, gain, shrink, others, n, pulled, totals
        )


@kernel
def times_precision(
    arrays: CrossedArrays,
    component: int,
    precision: float,
    products: Array,
    information: Array,
    gain: Array,
    shrink: Array,
    others: Array,
    v: Array,
) -> Array:
    """``M v`` for some columns (leading + d, m)."""
    lead = gain.shape[0]
    inner, rows = times_products(
        arrays, component, precision, products, np.ascontiguousarray(v[:lead]), np.ascontiguousarray(v[lead:])
    )
    below = other_rows(arrays, component, precision, gain, inner, rows)
    solved = others @ below
    high = leading_rows(arrays, component, precision, shrink, inner, solved)
    return np.concatenate((high, below - information @ solved))


@kernel
def add_leading_restricted(
    arrays: CrossedArrays,
    law: Law,
    component: int,
    precision: float,
    products: Array,
    information: Array,
    gain: Array,
    shrink: Array,
    others: Array,
    n: Array,
    pulled: Array,
    totals: Totals,
) -> None:
    """Add what the restricted likelihood needs beside."""
    first, end = arrays.unit_start[component], arrays.unit_start[component + 1]
    slots, (size, p) = arrays.slot_index.shape[0], n.shape
    add_unit_products(arrays, first, end, 0, n, totals.reml_units)
    bent = np.empty((slots + 1, size, p))
    for c in range(p):
        column = shaped(arrays, law, first, end, 0, np.ascontiguousarray(n[:, c]))
        for k in range(slots + 1):
            bent[k, :, c] = column[k]
    pairs, own = np.empty((slots + 1, slots + 1, p, p)), np.empty((slots + 1, p, p))
    left = np.ascontiguousarray(n.T)
    for k in range(slots + 1):
        own[k] = left @ bent[k]
        straight = times_precision(arrays, component, precision, products, information, gain, shrink, others, bent[k])
        for t in range(slots + 1):
            pairs[t, k] = np.ascontiguousarray(bent[t].T) @ straight
    totals.reml_pairs[:] += pairs
    r = 1.0 / precision
    for c in range(p):
        for a in range(p):
            # (X - ZD)'R^-1(X - ZD) = X'PX - N'GN
            totals.reml_rows[0, c, a] += r * (pulled[1 + c, 1 + a] + own[slots, c, a])
            totals.reml_row_pairs[0, 0, c, a] += r * r * (own[slots, c, a] - pairs[slots, slots, c, a])
            for k in range(slots + 1):
                totals.reml_row_slots[0, k, c, a] += r * (own[k, c, a] - pairs[slots, k, c, a])
