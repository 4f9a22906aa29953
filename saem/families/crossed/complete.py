"""Complete-data log-likelihood of the family as a function of its statistics.

The latent data are ``phi = u + W delta`` with ``delta = beta - beta_reference`` (see `centring`; ``W = 0`` makes them
the random effects). The statistics are, in this order in one vector: ``(X - ZW)'W_h(y - X beta_reference - Z phi)`` for
each residual group (H * p), ``|W_h^1/2 (y - X beta_reference - Z phi)|^2`` for each (H), ``sum phi phi'`` over the
units of each block, and ``sum phi_j W_k.`` likewise, zero where it is not centred.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.law import is_law
from saem.families.linear.complete import add_row_terms, located_terms
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
            arrays.left_xx[h],
            statistics[h * p : h * p + p],
            statistics[groups * p + h],
            x,
            gradient,
            hessian,
        )
    delta = np.empty(p)
    for c in range(p):
        delta[c] = x[arrays.mean_index[c]] - arrays.beta_reference[c]
    at = groups * (p + 1)
    place = at + np.sum(arrays.block_size**2)
    for b in range(arrays.block_size.shape[0]):
        d, n = arrays.block_size[b], arrays.n_units[b]
        size = d * d
        at, place = at + size, place + size * p
        if d == 1 and not arrays.is_centred[b]:
            value += scalar_effect_terms(arrays.sd_index[b, 0], n, statistics[at - 1], x, gradient, hessian)
            continue
        first, end = arrays.slot_start[b], arrays.slot_start[b + 1]
        sd, rho = np.empty(d), np.empty((d, d))
        read_group(arrays.sd_index[b, :d], arrays.corr_index[b, :d, :d], x, sd, rho)
        second = statistics[at - size : at].reshape((d, d))
        if arrays.is_centred[b]:
            value += located_terms(
                arrays.slot_index[first:end],
                arrays.slot_terms[first:end],
                sd,
                rho,
                n,
                second,
                statistics[place - size * p : place].reshape((d, d, p)),
                arrays.location_moment[b, :d, :d],
                arrays.mean_index,
                delta,
                gradient,
                hessian,
            )
            continue
        value += effect_terms(
            arrays.slot_index[first:end],
            arrays.slot_terms[first:end],
            sd,
            rho,
            n,
            second,
            np.empty((d, d)),
            np.empty((end - first, d, d)),
            gradient,
            hessian,
        )
    return value


supply(contract.complete, CrossedArrays, complete_crossed)
