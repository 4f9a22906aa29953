"""Complete-data log-likelihood of the family as a function of its statistics, and how draws are reduced to them.

The latent data are the random effects ``theta``. Their part is an exponential family: ``sum theta theta'`` by variance
group. The rows' part is none in the means ``beta``; it enters by its second-order expansion at the parameters ``x`` at
which ``theta`` was drawn. With its value ``l``, score ``g`` and information ``A`` there (p, p), the statistics are

    l - g'beta - beta'A beta / 2,    b = g + A beta,    A (its lower triangle, row by row)

and then ``sum theta theta'`` (G * q * q). All are linear in the complete data's own quantities, so that they may be
averaged over draws and over ``x``. At statistics drawn at ``x``, the value and the score of `complete` at ``x`` are
exactly those of the complete data, and with canonical links the Hessian is theirs too.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.glmm.arrays import GlmmArrays
from saem.families.glmm.density import known_part
from saem.families.glmm.outcomes import log_density_slopes
from saem.families.normal_effects import add_effect_terms
from saem.families.normal_root import fill_effects, fill_root
from saem.system.jit import kernel, overload

Array = np.ndarray


@kernel
def complete_of(
    arrays: GlmmArrays, n_clusters: Array, statistics: Array, x: Array, gradient: Array, hessian: Array
) -> float:
    """`saem.families.contract.complete` for statistics of so many clusters of each variance group (G,)."""
    p = arrays.design.shape[1]
    index = arrays.mean_index
    for i in range(x.shape[0]):
        gradient[i] = 0.0
        for j in range(x.shape[0]):
            hessian[i, j] = 0.0
    value = statistics[0]
    at = 1 + p
    for j in range(p):
        value += statistics[1 + j] * x[index[j]]
        gradient[index[j]] += statistics[1 + j]
    for j in range(p):
        for k in range(j + 1):
            weight = statistics[at] if j != k else 0.5 * statistics[at]
            value -= weight * x[index[j]] * x[index[k]]
            gradient[index[j]] -= weight * x[index[k]]
            gradient[index[k]] -= weight * x[index[j]]
            hessian[index[j], index[k]] -= weight
            hessian[index[k], index[j]] -= weight
            at += 1
    if arrays.sd_index.shape[1] == 0:
        return float(value)
    effects = add_effect_terms(
        arrays.sd_index,
        arrays.corr_index,
        arrays.slot_index,
        arrays.slot_terms,
        n_clusters,
        statistics[at:],
        x,
        gradient,
        hessian,
    )
    return float(value + effects)


@kernel
def complete_each(
    arrays: GlmmArrays, clusters: Array, statistics: Array, x: Array, values: Array, gradients: Array, hessian: Array
) -> None:
    """See `saem.families.contract.complete_clusters`."""
    n = x.shape[0]
    own, alone = np.empty((n, n)), np.zeros(arrays.n_clusters.shape[0])
    for i in range(n):
        for j in range(n):
            hessian[i, j] = 0.0
    for k in range(clusters.shape[0]):
        group = arrays.group[clusters[k]]
        alone[group] = 1.0
        values[k] = complete_of(arrays, alone, statistics[k], x, gradients[k], own)
        alone[group] = 0.0
        for i in range(n):
            for j in range(n):
                hessian[i, j] += own[i, j]


@kernel
def accumulate_glmm(
    arrays: GlmmArrays, x: Array, cluster: int, effects: Array, weight: float, statistics: Array
) -> None:
    """See `saem.families.contract.accumulate`."""
    many, q = effects.shape
    p = arrays.design.shape[1]
    group = arrays.group[cluster]
    root, theta = np.empty((q, q, 1)), np.empty((many, q, 1))
    if not fill_root(arrays.sd_index[group], arrays.corr_index[group], x, root):
        statistics[0] = math.nan
        return
    fill_effects(root, effects.reshape((many, q, 1)), theta)
    start = 1 + p + p * (p + 1) // 2
    for row in range(arrays.first[cluster], arrays.first[cluster + 1]):
        known = known_part(arrays, row, x)
        fixed = known - arrays.offset[row]  # x_r' beta
        value, slope, bend = 0.0, 0.0, 0.0
        for at in range(many):
            eta = known
            for j in range(q):
                eta += arrays.random[row, j] * theta[at, j, 0]
            g0, g1, g2, _, _ = log_density_slopes(arrays.outcome, arrays.y[row], arrays.trials[row], eta)
            value += weight * (arrays.constant[row] + g0)
            slope += weight * g1
            bend += weight * g2
        statistics[0] += value - slope * fixed + 0.5 * bend * fixed * fixed
        at = 1 + p
        for j in range(p):
            column = arrays.design[row, j]
            if column == 0.0:
                at += j + 1
                continue
            statistics[1 + j] += column * (slope - bend * fixed)
            for k in range(j + 1):
                statistics[at] -= column * bend * arrays.design[row, k]
                at += 1
    for at in range(many):
        for j in range(q):
            for k in range(q):
                statistics[start + (group * q + j) * q + k] += weight * theta[at, j, 0] * theta[at, k, 0]


@overload(contract.complete, inline="always")
def _complete(arrays, statistics, x, gradient, hessian):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, GlmmArrays):
        return lambda arrays, statistics, x, gradient, hessian: complete_of(
            arrays, arrays.n_clusters, statistics, x, gradient, hessian
        )
    return None


@overload(contract.complete_clusters, inline="always")
def _complete_clusters(arrays, clusters, statistics, x, values, gradients, hessian):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, GlmmArrays):
        return lambda arrays, clusters, statistics, x, values, gradients, hessian: complete_each(
            arrays, clusters, statistics, x, values, gradients, hessian
        )
    return None


@overload(contract.accumulate, inline="always")
def _accumulate(arrays, x, cluster, effects, weight, statistics):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, GlmmArrays):
        return lambda arrays, x, cluster, effects, weight, statistics: accumulate_glmm(
            arrays, x, cluster, effects, weight, statistics
        )
    return None
