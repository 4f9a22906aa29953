"""The complete-data log-likelihood of normal random effects, compiled, for families that have them."""

from __future__ import annotations

import math

import numpy as np

from saem.families.normal_covariance import (
    add_covariance_terms,
    add_scalar_terms,
    fill_covariance,
    fill_derivatives,
    multiply,
    read_group,
)
from saem.system.jit import kernel
from saem.system.linalg import cholesky, invert

Array = np.ndarray
LOG_2PI = math.log(2.0 * math.pi)


@kernel
def effect_terms(
    index: Array,
    terms: Array,
    sd: Array,
    rho: Array,
    n: float,
    moments: Array,
    precision: Array,
    derivative: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Log-density of ``n`` draws of the random effects with ``moments`` (q, q), with its derivatives.

    A random effect whose standard deviation is exactly zero is absent: it has no density and no derivative. Writes
    ``precision`` (q, q), the inverse covariance, and ``derivative`` (L, q, q), that of the covariance by its slots.
    """
    q = sd.shape[0]
    omega = np.empty((q, q))
    weight = np.empty((q, q))
    work = np.empty((q, q))
    fill_covariance(sd, rho, omega)
    present = 0
    for j in range(q):
        if sd[j] == 0.0:
            omega[j, j] = 1.0  # in place of the absent effect, one of unit variance that is always zero
        else:
            present += 1
    for j in range(q):
        for k in range(q):
            work[j, k] = omega[j, k]
    if not cholesky(work, q, 0.0):
        return -math.inf
    value = -0.5 * n * (present * LOG_2PI + math.log(invert(omega, precision, q)))
    for j in range(q):
        if sd[j] == 0.0:
            precision[j, j] = 0.0
    for j in range(q):
        for k in range(q):
            value -= 0.5 * precision[j, k] * moments[j, k]
    multiply(precision, moments, work)
    multiply(work, precision, weight)
    fill_derivatives(terms, sd, rho, derivative)
    add_covariance_terms(index, terms, sd, rho, n, precision, weight, derivative, gradient, hessian)
    return float(value)


@kernel
def mark_block(corr_index: Array, first: int, blocks: Array) -> int:
    """Write ``first`` into ``blocks`` (q,) for all effects that correlations connect with it; return their number.

    Those of no block yet have -1.
    """
    q, count, grows = blocks.shape[0], 1, True
    blocks[first] = first
    while grows:
        grows = False
        for j in range(q):
            if blocks[j] != first:
                continue
            for k in range(q):
                if blocks[k] < 0 and corr_index[j, k] >= 0:
                    blocks[k] = first
                    count += 1
                    grows = True
    return count


@kernel
def add_blocks(
    sd_index: Array, corr_index: Array, n: float, moments: Array, x: Array, gradient: Array, hessian: Array
) -> float:
    """`effect_terms` block by block of effects that are correlated, given a variance group's rows of the indices.

    The time of many effects is that of their blocks, where that of one matrix goes with its fourth power.
    """
    q, value = sd_index.shape[0], 0.0
    blocks = np.full(q, -1)
    for first in range(q):
        if blocks[first] >= 0:
            continue
        count = mark_block(corr_index, first, blocks)
        if count == 1:
            if sd_index[first] >= 0:
                own = moments[first, first]
                value += scalar_effect_terms(sd_index[first], n, own, x, gradient, hessian)
            continue
        members, at = np.empty(count, dtype=np.int64), 0
        for j in range(q):
            if blocks[j] == first:
                members[at] = j
                at += 1
        sds, rho, moment = np.empty(count), np.empty((count, count)), np.empty((count, count))
        index, slots, pairs = np.empty(count, dtype=np.int64), count, np.empty((count, count), dtype=np.int64)
        for a in range(count):
            index[a] = sd_index[members[a]]
            for b in range(count):
                moment[a, b] = moments[members[a], members[b]]
                pairs[a, b] = corr_index[members[a], members[b]]
                slots += 1 if b < a and pairs[a, b] >= 0 else 0
        read_group(index, pairs, x, sds, rho)
        own_index, terms, at = np.empty(slots, dtype=np.int64), np.empty((slots, 2), dtype=np.int64), count
        for a in range(count):
            if index[a] < 0 or sds[a] < 0.0:  # what is correlated is there
                return -math.inf
            own_index[a] = index[a]
            terms[a, 0] = terms[a, 1] = a
            for b in range(a):
                if pairs[a, b] >= 0:
                    own_index[at] = pairs[a, b]
                    terms[at, 0], terms[at, 1] = a, b
                    at += 1
        precision, derivative = np.empty((count, count)), np.empty((slots, count, count))
        value += effect_terms(own_index, terms, sds, rho, n, moment, precision, derivative, gradient, hessian)
    return value


@kernel
def scalar_effect_terms(index: int, n: float, moment: float, x: Array, gradient: Array, hessian: Array) -> float:
    """`effect_terms` for a single random effect, given the parameter of its standard deviation."""
    sd = x[index]
    if sd < 0.0:
        return -math.inf
    if sd == 0.0:  # an effect of variance zero is absent
        return 0.0
    precision = 1.0 / (sd * sd)
    add_scalar_terms(index, sd, n, precision, precision * precision * moment, gradient, hessian)
    return float(-0.5 * (n * (LOG_2PI + 2.0 * math.log(sd)) + precision * moment))


@kernel
def add_effect_terms(
    sd_index: Array,
    corr_index: Array,
    slot_index: Array,
    slot_terms: Array,
    n_clusters: Array,
    moments: Array,
    x: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Log-density of the random effects of all variance groups, with its derivatives; ``moments`` (G * q * q,)."""
    groups, q = sd_index.shape
    value = 0.0
    if q == 1:
        for g in range(groups):
            value += scalar_effect_terms(sd_index[g, 0], n_clusters[g], moments[g], x, gradient, hessian)
        return value
    sds, rho, precision = np.empty(q), np.empty((q, q)), np.empty((q, q))
    derivative = np.empty((slot_terms.shape[0], q, q))
    for g in range(groups):
        read_group(sd_index[g], corr_index[g], x, sds, rho)
        for j in range(q):
            if sds[j] < 0.0:
                return -math.inf
        moment = moments[g * q * q : (g + 1) * q * q].reshape((q, q))
        value += effect_terms(
            slot_index[g], slot_terms, sds, rho, n_clusters[g], moment, precision, derivative, gradient, hessian
        )
    return value
