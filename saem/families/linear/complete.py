"""Complete-data log-likelihood of the linear family as a function of its statistics.

The latent data are ``phi_c = theta_c + W_c delta`` with ``delta = beta - beta_reference`` (see `centring`; ``W = 0``
makes them the random effects). The statistics are, in this order in one vector: ``(X - ZW)'(y - Z phi)`` for each
residual group (H * p), ``|y - Z phi|^2`` for each residual group (H), ``sum phi phi'`` for each variance group
(G * q * q), and ``sum phi_j W_k.`` for each variance group (G * q * q * p), zero where it is not centred.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.linear.arrays import LinearArrays
from saem.families.normal_covariance import (
    add_scalar_terms,
    multiply,
    read_group,
)
from saem.families.normal_effects import add_effect_terms, effect_terms
from saem.system.jit import kernel

Array = np.ndarray
LOG_2PI = math.log(2.0 * math.pi)


@kernel
def add_row_terms(
    mean_index: Array,
    residual_index: int,
    reference: Array,
    n: float,
    xx: Array,
    xy: Array,
    yy: float,
    x: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Gaussian log-likelihood of ``n`` independent rows of one residual group, with its derivatives.

    ``xx`` (p, p), ``xy`` (p,) and ``yy`` are their moments. Returns ``-inf`` for a residual SD that is not positive.
    """
    p = mean_index.shape[0]
    sd = x[residual_index]
    if not sd > 0.0:
        return -math.inf
    precision = 1.0 / (sd * sd)
    rss = yy
    for j in range(p):
        a = mean_index[j]
        score = xy[j]
        for k in range(p):
            score -= xx[j, k] * (x[mean_index[k]] - reference[k])
            hessian[a, mean_index[k]] -= precision * xx[j, k]
        rss -= (x[a] - reference[j]) * (xy[j] + score)
        gradient[a] += precision * score
        cross = 2.0 * precision / sd * score
        hessian[a, residual_index] -= cross
        hessian[residual_index, a] -= cross
    gradient[residual_index] += (precision * rss - n) / sd
    hessian[residual_index, residual_index] += (n - 3.0 * precision * rss) * precision
    return float(-0.5 * (n * (LOG_2PI + 2.0 * math.log(sd)) + precision * rss))


@kernel
def located_terms(
    slot_index: Array,
    slot_terms: Array,
    sd: Array,
    rho: Array,
    n: float,
    second: Array,
    cross: Array,
    square: Array,
    mean_index: Array,
    delta: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """`effect_terms` where the latent effects have means: ``phi ~ N(W delta, Omega)``.

    Of the ``n`` units ``second`` (q, q) is ``sum phi phi'``, ``cross`` (q, q, p) is ``sum phi_j W_k.``, and ``square``
    (q, q, p, p) is ``sum W_ja W_kb``. With ``R = sum (phi - W delta)(phi - W delta)'`` and ``N_jk. = sum (phi - W
    delta)_j W_k.`` the gradient by the means is ``sum_jk P_jk N_jk.`` with ``P = Omega^-1``; by a mean and a slot it is
    ``-sum_jk (P Omega_l P)_jk N_jk.``.
    """
    q, p = sd.shape[0], delta.shape[0]
    slots = slot_terms.shape[0]
    slope, precision, derivative = np.empty(p), np.empty((q, q)), np.empty((slots, q, q))
    moment, work, bent, left = np.empty((q, q)), np.empty((q, q)), np.empty((q, q)), np.empty((q, q, p))
    for j in range(q):
        for k in range(q):
            work[j, k] = 0.0  # sum (phi - W delta)_j (W delta)_k
            bent[j, k] = 0.0  # sum phi_k (W delta)_j
            for a in range(p):
                left[j, k, a] = cross[j, k, a]
                for b in range(p):
                    left[j, k, a] -= square[j, k, b, a] * delta[b]
                work[j, k] += left[j, k, a] * delta[a]
                bent[j, k] += cross[k, j, a] * delta[a]
    for j in range(q):
        for k in range(q):
            moment[j, k] = second[j, k] - bent[j, k] - work[j, k]
    if q == 1:
        if sd[0] == 0.0:
            return 0.0
        precision[0, 0], derivative[0, 0, 0] = 1.0 / (sd[0] * sd[0]), 2.0 * sd[0]
        add_scalar_terms(
            slot_index[0], sd[0], n, precision[0, 0], precision[0, 0] ** 2 * moment[0, 0], gradient, hessian
        )
        value = -0.5 * (n * (LOG_2PI + 2.0 * math.log(sd[0])) + precision[0, 0] * moment[0, 0])
    else:
        value = effect_terms(slot_index, slot_terms, sd, rho, n, moment, precision, derivative, gradient, hessian)
    for a in range(p):
        for b in range(p):
            total = 0.0
            for j in range(q):
                for k in range(q):
                    total += precision[j, k] * square[j, k, a, b]
            hessian[mean_index[a], mean_index[b]] -= total
        total = 0.0
        for j in range(q):
            for k in range(q):
                total += precision[j, k] * left[j, k, a]
        gradient[mean_index[a]] += total
    for slot in range(slots):
        multiply(precision, derivative[slot], work)
        multiply(work, precision, bent)
        other = slot_index[slot]
        for a in range(p):
            slope[a] = 0.0
            for j in range(q):
                for k in range(q):
                    slope[a] -= bent[j, k] * left[j, k, a]
            hessian[mean_index[a], other] += slope[a]
            hessian[other, mean_index[a]] += slope[a]
    return float(value)


@kernel
def add_located_terms(arrays: LinearArrays, statistics: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """`add_effect_terms` where the latent effects of some variance groups have means."""
    groups, q = arrays.sd_index.shape
    p = arrays.mean_index.shape[0]
    slots = arrays.slot_terms.shape[0]
    sds, delta = np.empty(q), np.empty(p)
    rho, precision, derivative = np.empty((q, q)), np.empty((q, q)), np.empty((slots, q, q))
    for c in range(p):
        delta[c] = x[arrays.mean_index[c]] - arrays.beta_reference[c]
    value = 0.0
    for g in range(groups):
        read_group(arrays.sd_index[g], arrays.corr_index[g], x, sds, rho)
        for j in range(q):
            if sds[j] < 0.0:
                return -math.inf
        second = statistics[g * q * q : (g + 1) * q * q].reshape((q, q))
        if not arrays.is_centred[g]:
            value += effect_terms(
                arrays.slot_index[g],
                arrays.slot_terms,
                sds,
                rho,
                arrays.n_clusters[g],
                second,
                precision,
                derivative,
                gradient,
                hessian,
            )
            continue
        start = (groups + g * p) * q * q
        value += located_terms(
            arrays.slot_index[g],
            arrays.slot_terms,
            sds,
            rho,
            arrays.n_clusters[g],
            second,
            statistics[start : start + q * q * p].reshape((q, q, p)),
            arrays.location_moment[g],
            arrays.mean_index,
            delta,
            gradient,
            hessian,
        )
    return value


@kernel
def complete_linear(arrays: LinearArrays, statistics: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """Complete-data log-likelihood; see `saem.families.contract.complete`."""
    residual_groups, p = arrays.xy.shape
    gradient[:] = 0.0
    hessian[:] = 0.0
    value = arrays.log_weight
    for h in range(residual_groups):
        value += add_row_terms(
            arrays.mean_index,
            arrays.residual_index[h],
            arrays.beta_reference,
            arrays.n_rows[h],
            arrays.left_xx[h],
            statistics[h * p : h * p + p],
            statistics[residual_groups * p + h],
            x,
            gradient,
            hessian,
        )
    effects = statistics[residual_groups * (p + 1) :]
    if arrays.is_centred.any():
        return value + add_located_terms(arrays, effects, x, gradient, hessian)
    return value + add_effect_terms(
        arrays.sd_index,
        arrays.corr_index,
        arrays.slot_index,
        arrays.slot_terms,
        arrays.n_clusters,
        effects,
        x,
        gradient,
        hessian,
    )


supply(contract.complete, LinearArrays, complete_linear)
