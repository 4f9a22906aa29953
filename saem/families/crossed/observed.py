"""The marginal log-likelihood, restricted or not, with its exact gradient and Hessian.

With the notation of `totals`, and ``V_k`` the derivative of ``V`` by a parameter,

    dl/dk     = -1/2 tr(P V_k) + 1/2 r'P V_k P r
    d2l/dkdl  =  1/2 tr(P V_k P V_l) - r'P V_k P V_l P r - 1/2 tr(P V_kl) + 1/2 r'P V_kl P r,

where ``V_k = Z G_k Z'`` for a slot and ``2 sigma_h W_h^-1`` for a residual standard deviation. What is restricted is
``l - 1/2 log|K| + r/2 log 2 pi`` with ``K = X'PX`` (Patterson & Thompson 1971; Harville 1974), whose derivatives are
``K_k = -X'P V_k P X`` and ``K_kl = X'P (V_k P V_l + V_l P V_k - V_kl) P X``.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.dense import add_dense, factor_and_inverse
from saem.families.crossed.law import Law, is_law, law_at
from saem.families.crossed.leading import add_leading
from saem.families.crossed.totals import Totals, add_shaped_trace, no_totals
from saem.families.normal_covariance import read_group, second_trace
from saem.system.jit import kernel

Array = np.ndarray
LOG_2PI = math.log(2.0 * math.pi)


@kernel
def totals_at(arrays: CrossedArrays, law: Law, precision: Array, delta: Array, restricted: bool) -> Totals:
    """The totals at some parameters."""
    totals = no_totals(arrays, restricted)
    for component in range(arrays.n_leading.shape[0]):
        if arrays.n_leading[component] > 0:
            add_leading(arrays, law, component, precision[0], delta, restricted, totals)
        else:
            add_dense(arrays, law, component, precision, delta, restricted, totals)
    return totals


@kernel
def observed_crossed(arrays: CrossedArrays, x: Array, gradient: Array, hessian: Array) -> float:
    """See `saem.families.contract.observed`."""
    return likelihood(arrays, x, False, gradient, hessian)


@kernel
def restricted_crossed(arrays: CrossedArrays, x: Array, gradient: Array, hessian: Array) -> float:
    """See `saem.families.contract.restricted`."""
    return likelihood(arrays, x, True, gradient, hessian)


@kernel
def likelihood(arrays: CrossedArrays, x: Array, restricted: bool, gradient: Array, hessian: Array) -> float:
    """Either of them."""
    gradient[:] = 0.0
    hessian[:] = 0.0
    if not is_law(arrays, x):
        return -math.inf
    groups, p = arrays.xy.shape
    law = law_at(arrays, x)
    sigma, precision, delta = np.empty(groups), np.empty(groups), np.empty(p)
    for h in range(groups):
        sigma[h] = x[arrays.residual_index[h]]
        precision[h] = 1.0 / (sigma[h] * sigma[h])
    for c in range(p):
        delta[c] = x[arrays.mean_index[c]] - arrays.beta_reference[c]
    totals = totals_at(arrays, law, precision, delta, restricted)
    value = arrays.log_weight + arrays.constants[0] - 0.5 * totals.log_det[0] + 0.5 * totals.explained[0]
    value += add_rows(arrays, sigma, delta, totals, gradient, hessian)
    add_slots(arrays, law, x, totals, gradient, hessian)
    add_between(arrays, sigma, totals, hessian)
    if restricted:
        value += arrays.constants[1] + add_restriction(arrays, law, x, sigma, totals, gradient, hessian)
    return value if value == value else -math.inf


@kernel
def add_rows(
    arrays: CrossedArrays, sigma: Array, delta: Array, totals: Totals, gradient: Array, hessian: Array
) -> float:
    """The part of means and residual standard deviations; returns ``-1/2 (n log 2 pi + log|R| + r'R^-1r)``."""
    groups, p = arrays.xy.shape
    index, value = arrays.mean_index, 0.0
    for c in range(p):
        gradient[index[c]] -= totals.for_means[c]
        for a in range(p):
            hessian[index[c], index[a]] += totals.by_means[c, a]
    for h in range(groups):
        s, n, at = sigma[h], arrays.n_rows[h], arrays.residual_index[h]
        square = s * s
        rest = arrays.yy[h]
        for c in range(p):
            score = arrays.xy[h, c]
            for a in range(p):
                score -= arrays.xx[h, c, a] * delta[a]
                hessian[index[c], index[a]] -= arrays.xx[h, c, a] / square
            gradient[index[c]] += score / square
            rest -= delta[c] * (arrays.xy[h, c] + score)
            cross = 2.0 / (square * s) * (score - totals.shift_means[h, c] - totals.mean_pairs[h, c])
            hessian[index[c], at] -= cross
            hessian[at, index[c]] -= cross
        value -= 0.5 * (n * (LOG_2PI + 2.0 * math.log(s)) + rest / square)
        rss = rest - totals.shift[h]  # e'W_he
        left = n - totals.spread[h] / square  # tr(P R_h)
        gradient[at] += (rss / square - left) / s
        hessian[at, at] += (2.0 * n - 4.0 * totals.spread[h] / square - left - 3.0 * rss / square) / square
        for g in range(groups):
            other = arrays.residual_index[g]
            cubes = square * s * sigma[g] ** 3
            hessian[at, other] += (2.0 * totals.spreads[h, g] + 4.0 * totals.pairs[h, g]) / cubes
    return value


@kernel
def add_slots(arrays: CrossedArrays, law: Law, x: Array, totals: Totals, gradient: Array, hessian: Array) -> None:
    """The part of the random effects' standard deviations and correlations."""
    slots, blocks = arrays.slot_index.shape[0], arrays.block_size.shape[0]
    weight = 0.5 * (totals.second - totals.precision)
    slope = np.zeros(slots + 1)
    add_shaped_trace(arrays, law, weight, slope)
    for k in range(slots):
        gradient[arrays.slot_index[k]] += slope[k]
        for t in range(slots):
            change = 0.5 * totals.traces[k, t] - totals.squares[k, t]
            hessian[arrays.slot_index[k], arrays.slot_index[t]] += change
        for c in range(arrays.mean_index.shape[0]):
            hessian[arrays.slot_index[k], arrays.mean_index[c]] -= totals.means[k, c]
            hessian[arrays.mean_index[c], arrays.slot_index[k]] -= totals.means[k, c]
    for b in range(blocks):
        d = arrays.block_size[b]
        first, end = arrays.slot_start[b], arrays.slot_start[b + 1]
        sd, rho = np.empty(d), np.empty((d, d))
        read_group(arrays.sd_index[b, :d], arrays.corr_index[b, :d, :d], x, sd, rho)
        terms, own = arrays.slot_terms[first:end], np.ascontiguousarray(weight[b, :d, :d])
        for k in range(end - first):
            for t in range(end - first):
                at = arrays.slot_index[first + k], arrays.slot_index[first + t]
                hessian[at] += second_trace(terms, k, t, sd, rho, own)


@kernel
def add_between(arrays: CrossedArrays, sigma: Array, totals: Totals, hessian: Array) -> None:
    """Second derivatives by a residual standard deviation and a slot."""
    for h in range(sigma.shape[0]):
        at = arrays.residual_index[h]
        for k in range(arrays.slot_index.shape[0]):
            change = (totals.slots[h, k] - 2.0 * totals.slot_pairs[h, k]) / sigma[h] ** 3
            hessian[at, arrays.slot_index[k]] += change
            hessian[arrays.slot_index[k], at] += change


@kernel
def chosen(matrix: Array, basis: Array) -> Array:
    """Some rows and columns of a matrix."""
    out = np.empty((basis.shape[0], basis.shape[0]))
    for i in range(basis.shape[0]):
        for j in range(basis.shape[0]):
            out[i, j] = matrix[basis[i], basis[j]]
    return out


@kernel
def trace_of(a: Array, b: Array) -> float:
    """``tr(a b)``."""
    total = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[0]):
            total += a[i, j] * b[j, i]
    return total


@kernel
def add_restriction(
    arrays: CrossedArrays, law: Law, x: Array, sigma: Array, totals: Totals, gradient: Array, hessian: Array
) -> float:
    """Add the derivatives of ``-1/2 log|K|``, and return it with its constant."""
    groups, p = arrays.xy.shape
    slots, basis = arrays.slot_index.shape[0], arrays.basis
    total = np.zeros((p, p))
    rows = np.empty((groups, p, p))  # (X - ZD)'W_h(X - ZD)
    for h in range(groups):
        for i in range(p):
            for j in range(p):
                total[i, j] += arrays.xx[h, i, j] / sigma[h] ** 2
                rows[h, i, j] = arrays.xx[h, i, j] - totals.reml_rows[h, i, j]
    total -= totals.by_means
    information = chosen(total, basis)
    factor, inverse = factor_and_inverse(information)
    value = 0.5 * basis.shape[0] * LOG_2PI
    for i in range(basis.shape[0]):
        value -= math.log(factor[i, i])
    count = slots + groups
    index = np.empty(count, dtype=np.int64)
    first = np.empty((count, basis.shape[0], basis.shape[0]))  # inverse of K times its derivative, less the sign
    for k in range(slots):
        index[k] = arrays.slot_index[k]
        first[k] = inverse @ chosen(slot_product(arrays, law, k, totals.reml_units), basis)
    for h in range(groups):
        index[slots + h] = arrays.residual_index[h]
        first[slots + h] = inverse @ chosen(rows[h], basis) * (2.0 / sigma[h] ** 3)
    for k in range(count):
        for i in range(basis.shape[0]):
            gradient[index[k]] += 0.5 * first[k, i, i]
        for t in range(count):
            hessian[index[k], index[t]] += 0.5 * trace_of(first[k], first[t])
    for k in range(slots):
        for t in range(slots):
            inner = chosen(totals.reml_pairs[k, t], basis)
            hessian[index[k], index[t]] -= trace_of(inverse, inner)
    for h in range(groups):
        at, s = arrays.residual_index[h], sigma[h]
        own = trace_of(inverse, chosen(rows[h], basis))
        hessian[at, at] -= 3.0 * own / s**4
        for g in range(groups):
            pair = trace_of(inverse, chosen(totals.reml_row_pairs[h, g], basis))
            hessian[at, arrays.residual_index[g]] += 4.0 * pair / (s * sigma[g]) ** 3
        for k in range(slots):
            change = trace_of(inverse, chosen(totals.reml_row_slots[h, k], basis)) * 2.0 / s**3
            hessian[at, index[k]] -= change
            hessian[index[k], at] -= change
    for b in range(arrays.block_size.shape[0]):
        add_restricted_bends(arrays, b, x, inverse, totals.reml_units[b], hessian)
    return float(value)


@kernel
def slot_product(arrays: CrossedArrays, law: Law, k: int, units: Array) -> Array:
    """``N'G_kN`` (p, p)."""
    p = units.shape[3]
    out = np.zeros((p, p))
    for b in range(units.shape[0]):
        if arrays.slot_start[b] <= k < arrays.slot_start[b + 1]:
            for i in range(arrays.block_size[b]):
                for j in range(arrays.block_size[b]):
                    out += law.shape[k, i, j] * units[b, i, j]
    return out


@kernel
def add_restricted_bends(arrays: CrossedArrays, b: int, x: Array, inverse: Array, units: Array, hessian: Array) -> None:
    """Add ``1/2 tr(K^-1 N'G_kl N)`` for the slots of a block."""
    d = arrays.block_size[b]
    first, end = arrays.slot_start[b], arrays.slot_start[b + 1]
    sd, rho = np.empty(d), np.empty((d, d))
    read_group(arrays.sd_index[b, :d], arrays.corr_index[b, :d, :d], x, sd, rho)
    terms = arrays.slot_terms[first:end]
    own = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            own[i, j] = trace_of(inverse, chosen(units[i, j], arrays.basis))
    for k in range(end - first):
        for t in range(end - first):
            at = arrays.slot_index[first + k], arrays.slot_index[first + t]
            hessian[at] += 0.5 * second_trace(terms, k, t, sd, rho, own)


supply(contract.observed, CrossedArrays, observed_crossed)


supply(contract.restricted, CrossedArrays, restricted_crossed)
