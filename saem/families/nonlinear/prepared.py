"""What the plain density of a cluster has beside its random effects, computed once for many moves of a Markov kernel.

It is the root of the covariance and the centres of the coordinates, of which much is the same for the next cluster;
see `saem.families.contract.prepare`.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.normal_root import LOG_2PI, fill_plain_root
from saem.system.jit import call_row_sums, inlined, kernel

Array = np.ndarray


@inlined
def prepared_length(arrays: NonlinearArrays) -> int:
    """See `saem.families.contract.prepared_size`, and `prepare_cluster`."""
    d = arrays.sd_index.shape[1]
    return int(d * d + 2 * d + arrays.term_effect.shape[0] + 1)


@kernel
def renew_root(
    groups: Array, cluster: int, before: int, sd_index: Array, corr_index: Array, x: Array, root: Array
) -> bool:
    """Write the root (d, d) of the covariance of a cluster, unless that of the cluster ``before`` is the same."""
    group = groups[cluster]
    if before >= 0 and groups[before] == group:
        return True
    return fill_plain_root(sd_index[group], corr_index[group], x, root)


@inlined
def prepare_cluster(arrays: NonlinearArrays, x: Array, cluster: int, before: int, prepared: Array) -> bool:
    """See `saem.families.contract.prepare`: the root (d, d) of the covariance, the centres (d,), and room.

    The room is for coordinates (d,), terms (K,), and a sum; the terms are where they are for the most effects. Whether
    there is a covariance.
    """
    d, most, count = arrays.n_effects[arrays.group[cluster]], arrays.sd_index.shape[1], arrays.term_effect.shape[0]
    at, end = d * d, most * most + 2 * most
    terms, root = prepared[end : end + count], prepared[:at].reshape((d, d))
    known = renew_root(arrays.group, cluster, before, arrays.sd_index, arrays.corr_index, x, root)
    if before < 0 and count > 0:
        call_row_sums(arrays.term_values, x, x, arrays.columns, 0, 1, terms)  # they read no column
    for j in range(d):
        prepared[at + j] = 0.0
    for k in range(count):
        prepared[at + arrays.term_effect[k]] += arrays.basis[cluster, k] * terms[k]
    return known


@inlined
def carry_coordinates(arrays: NonlinearArrays, cluster: int, prepared: Array, last: Array, matrix: Array) -> bool:
    """See `saem.families.contract.fill_carry`."""
    return carry(arrays.centred, prepared, last, matrix)


@kernel
def carry(centred: Array, prepared: Array, last: Array, matrix: Array) -> bool:
    """Write the matrix of ``c + L u = c' + L' v``, where all coordinates are latent data."""
    d = matrix.shape[1]
    at = d * d
    for j in range(d):
        absent = prepared[j * d + j] == 0.0 and last[j * d + j] == 0.0 and prepared[at + j] == last[at + j]
        if not absent and (centred[j] == 0 or not (prepared[j * d + j] > 0.0 and last[j * d + j] > 0.0)):
            return False
    for k in range(d + 1):
        for j in range(d):  # a column of L', or what the centres differ by, through L
            if prepared[j * d + j] == 0.0:  # an effect that is absent stays
                matrix[k, j] = 1.0 if k == j else 0.0
                continue
            value = last[j * d + k] if k < d else last[at + j] - prepared[at + j]
            for i in range(j):
                value -= prepared[j * d + i] * matrix[k, i]
            matrix[k, j] = value / prepared[j * d + j]
    return True


@kernel
def place_coordinates(prepared: Array, effects: Array, d: int) -> float:
    """Write the coordinates at plain effects (1, d, 1) into the prepared; return the log-density of the effects."""
    total = -0.5 * d * LOG_2PI
    at = d * d
    for j in range(d):
        z = prepared[at + j]
        for k in range(j + 1):
            z += prepared[j * d + k] * effects[0, k, 0]
        prepared[at + d + j] = z
        total -= 0.5 * effects[0, j, 0] * effects[0, j, 0]
    return float(total)


@kernel
def log_complete_of_rows(
    density: int, columns: Array, first: int, end: int, x: Array, prepared: Array, effects: Array, value: Array
) -> None:
    """`log_complete_prepared_nonlinear` of the rows from the ``first`` to the ``end``."""
    d = effects.shape[1]
    height = place_coordinates(prepared, effects, d)
    z, out = prepared[d * d + d : d * d + 2 * d], prepared[prepared.shape[0] - 1 :]
    call_row_sums(density, x, z, columns, first, end - first, out)
    height += out[0]
    value[0, 0] = height if height == height else -math.inf  # nan: no density there


@inlined
def log_complete_prepared_nonlinear(
    arrays: NonlinearArrays, x: Array, cluster: int, prepared: Array, effects: Array, value: Array
) -> None:
    """See `saem.families.contract.log_complete_prepared`."""
    first, end = arrays.first[cluster], arrays.first[cluster + 1]
    log_complete_of_rows(arrays.rows.value, arrays.columns, first, end, x, prepared, effects, value)


supply(contract.prepared_size, NonlinearArrays, prepared_length)


supply(contract.prepare, NonlinearArrays, prepare_cluster)


supply(contract.fill_carry, NonlinearArrays, carry_coordinates)


supply(contract.log_complete_prepared, NonlinearArrays, log_complete_prepared_nonlinear)
