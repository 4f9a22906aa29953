"""Exact draws of all random effects given the data, reduced to statistics.

With ``A = L L'`` (see `dense`) the random effects given the data are ``Lambda L'^-1 (L^-1 Lambda'Z'R^-1r + z)`` for
standard normals ``z``; leading ones (see `leading`) are drawn given the others. What of the means is centred (see
`centring`) is then added: the statistics are those of ``phi = u + W delta``.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.dense import conditional_covariance, products_of, summed_products
from saem.families.crossed.law import Law, from_standard, law_at, root_times, times_root, to_standard
from saem.families.crossed.leading import fill_information
from saem.system.jit import kernel

Array = np.ndarray


@kernel
def solve_lower(factor: Array, v: Array) -> None:
    """Overwrite ``v`` by ``L^-1 v``."""
    for i in range(v.shape[0]):
        total, row = v[i], factor[i]
        for k in range(i):
            total -= row[k] * v[k]
        v[i] = total / row[i]


@kernel
def solve_upper(factor: Array, v: Array) -> None:
    """Overwrite ``v`` by ``L'^-1 v``."""
    for i in range(v.shape[0] - 1, -1, -1):
        row = factor[i]
        v[i] /= row[i]
        for k in range(i):
            v[k] -= row[k] * v[i]


@kernel
def residual_score(arrays: CrossedArrays, component: int, precision: Array, delta: Array) -> Array:
    """``Z'R^-1r`` of all effects of a component."""
    start, stop = arrays.effect_start[component], arrays.effect_start[component + 1]
    out = np.zeros(stop - start)
    for h in range(precision.shape[0]):
        for i in range(stop - start):
            value = arrays.zy[h, start + i]
            for c in range(delta.shape[0]):
                value -= arrays.zx[h, start + i, c] * delta[c]
            out[i] += precision[h] * value
    return out


@kernel
def add_statistics(
    arrays: CrossedArrays, component: int, delta: Array, u: Array, share: float, fitted: Array, statistics: Array
) -> None:
    """Add what a draw ``u`` of a component's effects changes of the statistics; ``fitted`` (H, d) are ``Z'W_hZ u``.

    Makes the two to ``phi`` and ``Z'W_hZ phi``.
    """
    groups, p = arrays.xy.shape
    start = arrays.effect_start[component]
    if arrays.is_centred.any():
        for i in range(u.shape[0]):
            for c in range(p):
                u[i] += arrays.location[start + i, c] * delta[c]
                for h in range(groups):  # Z'W_hZ W
                    fitted[h, i] += (arrays.zx[h, start + i, c] - arrays.left_zx[h, start + i, c]) * delta[c]
    for h in range(groups):
        for i in range(u.shape[0]):
            for c in range(p):
                statistics[h * p + c] -= share * arrays.left_zx[h, start + i, c] * u[i]
            statistics[groups * p + h] += share * u[i] * (fitted[h, i] - 2.0 * arrays.zy[h, start + i])
    add_moments(arrays, component, u, share, statistics)


@kernel
def moment_places(arrays: CrossedArrays) -> Array:
    """Where the moments of each block (B,) stand among the statistics."""
    groups, p = arrays.xy.shape
    places = np.empty(arrays.block_size.shape[0], dtype=np.int64)
    at = groups * (p + 1)
    for b in range(places.shape[0]):
        places[b] = at
        at += arrays.block_size[b] ** 2
    return places


@kernel
def add_moments(arrays: CrossedArrays, component: int, u: Array, share: float, statistics: Array) -> None:
    """Add ``u u'``, unit by unit, and the products of ``u`` with ``W`` where it is centred."""
    places = moment_places(arrays)
    for place in range(arrays.unit_start[component], arrays.unit_start[component + 1]):
        b, offset = arrays.unit_block[place], arrays.unit_offset[place]
        d = arrays.block_size[b]
        for i in range(d):
            for j in range(d):
                statistics[places[b] + i * d + j] += share * u[offset + i] * u[offset + j]
    if not arrays.is_centred.any():
        return
    p, start, before = arrays.mean_index.shape[0], arrays.effect_start[component], places[0]
    behind = before + np.sum(arrays.block_size**2)
    for place in range(arrays.unit_start[component], arrays.unit_start[component + 1]):
        b, offset = arrays.unit_block[place], arrays.unit_offset[place]
        if not arrays.is_centred[b]:
            continue
        d, first = arrays.block_size[b], behind + (places[b] - before) * p
        for i in range(d):
            for j in range(d):
                for c in range(p):
                    value = share * u[offset + i] * arrays.location[start + offset + j, c]
                    statistics[first + (i * d + j) * p + c] += value


@kernel
def factor_of(arrays: CrossedArrays, law: Law, first: int, end: int, lead: int, information: Array) -> Array:
    """The Cholesky factor of ``A`` given ``S`` (d, d)."""
    d = information.shape[0]
    half, inner = np.empty((d, d)), np.empty((d, d))
    times_root(arrays, law.root, first, end, lead, information, half)
    root_times(arrays, law.root, first, end, lead, half, inner)
    for i in range(d):
        inner[i, i] += 1.0
    return np.linalg.cholesky(inner)


@kernel
def draw_component(
    arrays: CrossedArrays, law: Law, component: int, precision: Array, delta: Array, rng: np.random.Generator, m: int,
    statistics: Array,
) -> None:  # fmt: skip
    """Add the mean of the statistics over ``m`` draws of a component's effects."""
    groups = arrays.xy.shape[0]
    first, end = arrays.unit_start[component], arrays.unit_start[component + 1]
    lead = arrays.n_leading[component]
    at, split = arrays.leading_start[component], first + lead
    score = residual_score(arrays, component, precision, delta)
    products = products_of(arrays, component)
    information = summed_products(arrays, component, precision)
    gain = np.empty(0)
    size = score.shape[0]
    rest = score[lead:].copy()
    if lead > 0:
        gain, _, _ = fill_information(arrays, law, component, precision[0], information, np.zeros(1))
        for i in range(lead):
            for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
                rest[arrays.beside[j]] -= gain[i] * precision[0] * arrays.beside_zz[j] * score[i]
    factor = factor_of(arrays, law, split, end, lead, information)
    centre = np.empty(size - lead)
    to_standard(arrays, law.root, split, end, lead, rest, centre)
    solve_lower(factor, centre)
    standard, u, fitted = np.empty(size - lead), np.empty(size), np.empty((groups, size))
    for _ in range(m):
        for i in range(size - lead):
            standard[i] = centre[i] + rng.standard_normal()
        solve_upper(factor, standard)
        others = u[lead:]
        from_standard(arrays, law.root, split, end, lead, standard, others)
        for h in range(groups):
            fitted[h, lead:] = products[h] @ others
        for i in range(lead):
            total = score[i]
            beside = 0.0
            for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
                beside += arrays.beside_zz[j] * others[arrays.beside[j]]
            total -= precision[0] * beside
            u[i] = gain[i] * total + math.sqrt(gain[i]) * rng.standard_normal()
            fitted[0, i] = arrays.leading_zz[at + i] * u[i] + beside
            for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
                fitted[0, lead + arrays.beside[j]] += arrays.beside_zz[j] * u[i]
        add_statistics(arrays, component, delta, u, 1.0 / m, fitted, statistics)


@kernel
def expect_component(
    arrays: CrossedArrays, law: Law, component: int, precision: Array, delta: Array, statistics: Array
) -> None:
    """Add the conditional expectation of the statistics of a component."""
    groups, p = arrays.xy.shape
    first, end = arrays.unit_start[component], arrays.unit_start[component + 1]
    lead, at = arrays.n_leading[component], arrays.leading_start[component]
    products = products_of(arrays, component)
    information = summed_products(arrays, component, precision)
    gain = np.empty(0)
    if lead > 0:
        gain, _, _ = fill_information(arrays, law, component, precision[0], information, np.zeros(1))
    covariance = conditional_covariance(arrays, law, first + lead, end, lead, information, np.zeros(1))
    u = conditional_mean(arrays, component, precision, delta, gain, covariance)
    size = u.shape[0]
    fitted = np.zeros((groups, size))
    others = np.ascontiguousarray(u[lead:])
    for h in range(groups):
        fitted[h, lead:] = products[h] @ others
    places = moment_places(arrays)
    block = arrays.unit_block[first]
    for i in range(lead):
        fitted[0, i] += arrays.leading_zz[at + i] * u[i]
        inner = 0.0  # b'K_2 b
        for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
            value, k = arrays.beside_zz[j], arrays.beside[j]
            fitted[0, i] += value * others[k]
            fitted[0, lead + k] += value * u[i]
            for t in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
                inner += value * covariance[k, arrays.beside[t]] * arrays.beside_zz[t]
        gained = gain[i] * precision[0]
        variance = gain[i] + gained * gained * inner
        statistics[places[block]] += variance
        statistics[groups * p] += arrays.leading_zz[at + i] * variance - 2.0 * gained * inner
    add_statistics(arrays, component, delta, u, 1.0, fitted, statistics)
    for h in range(groups):
        for i in range(size - lead):
            for j in range(size - lead):
                statistics[groups * p + h] += products[h, i, j] * covariance[j, i]
    for place in range(first + lead, end):
        b, offset = arrays.unit_block[place], arrays.unit_offset[place] - lead
        d = arrays.block_size[b]
        for i in range(d):
            for j in range(d):
                statistics[places[b] + i * d + j] += covariance[offset + i, offset + j]


@kernel
def conditional_mean(
    arrays: CrossedArrays, component: int, precision: Array, delta: Array, gain: Array, covariance: Array
) -> Array:
    """The mean of a component's effects given the data, with the covariance (d, d) of those that do not lead."""
    lead, at = gain.shape[0], arrays.leading_start[component]
    score = residual_score(arrays, component, precision, delta)
    rest = score[lead:].copy()
    for i in range(lead):
        for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
            rest[arrays.beside[j]] -= gain[i] * precision[0] * arrays.beside_zz[j] * score[i]
    u = np.empty(score.shape[0])
    u[lead:] = covariance @ rest
    for i in range(lead):
        total = score[i]
        for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
            total -= precision[0] * arrays.beside_zz[j] * u[lead + arrays.beside[j]]
        u[i] = gain[i] * total
    return u


@kernel
def draw_crossed(arrays: CrossedArrays, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """See `saem.families.contract.draw`."""
    groups, p = arrays.xy.shape
    law = law_at(arrays, x)
    precision, delta = np.empty(groups), np.empty(p)
    statistics[:] = 0.0
    for h in range(groups):
        precision[h] = x[arrays.residual_index[h]] ** -2.0
        statistics[groups * p + h] = arrays.yy[h]
        for c in range(p):
            statistics[h * p + c] = arrays.left_xy[h, c]
    for c in range(p):
        delta[c] = x[arrays.mean_index[c]] - arrays.beta_reference[c]
    for component in range(arrays.n_leading.shape[0]):
        if m == 0:
            expect_component(arrays, law, component, precision, delta, statistics)
        else:
            draw_component(arrays, law, component, precision, delta, rng, m, statistics)


supply(contract.draw, CrossedArrays, draw_crossed)
