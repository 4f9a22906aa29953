"""Complete-data log-likelihood of the family as a function of its statistics.

The statistics are, in this order in one vector: ``X'W_h(y - X beta_reference - Zu)`` for each residual group (H * p),
``|W_h^1/2 (y - X beta_reference - Zu)|^2`` for each (H), and ``sum u u'`` over the units of each block.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.law import is_law
from saem.families.linear.complete import add_row_terms
from saem.families.normal_covariance import read_group
from saem.families.normal_effects import effect_terms, scalar_effect_terms
from saem.system.jit import kernel

Array = np.ndarray


@kernel
def complete_crossed(arrays: CrossedArrays, statistics: Array, x: Array, gradient: Array, hessian: Array) -> float:
    """See `saem.families.contract.complete`."""
    groups, p = arrays.xy.shape
    gradient[:] = 0.0
    hessian[:] = 0.0
    if not is_law(arrays, x):
        return -math.inf
    value = arrays.log_weight
    for h in range(groups):
        value += add_row_terms(
            arrays.mean_index,
            arrays.residual_index[h],
            arrays.beta_reference,
            arrays.n_rows[h],
            arrays.xx[h],
            statistics[h * p : h * p + p],
            statistics[groups * p + h],
            x,
            gradient,
            hessian,
        )
    at = groups * (p + 1)
    for b in range(arrays.block_size.shape[0]):
        d, n = arrays.block_size[b], arrays.n_units[b]
        if d == 1:
            value += scalar_effect_terms(arrays.sd_index[b, 0], n, statistics[at], x, gradient, hessian)
            at += 1
            continue
        first, end = arrays.slot_start[b], arrays.slot_start[b + 1]
        sd, rho, precision = np.empty(d), np.empty((d, d)), np.empty((d, d))
        read_group(arrays.sd_index[b, :d], arrays.corr_index[b, :d, :d], x, sd, rho)
        value += effect_terms(
            arrays.slot_index[first:end],
            arrays.slot_terms[first:end],
            sd,
            rho,
            n,
            statistics[at : at + d * d].reshape((d, d)),
            precision,
            np.empty((end - first, d, d)),
            gradient,
            hessian,
        )
        at += d * d
    return value


supply(contract.complete, CrossedArrays, complete_crossed)
