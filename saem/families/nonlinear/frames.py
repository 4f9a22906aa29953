"""What the plain density of a cluster has beside its random effects, computed once for many moves of a Markov kernel.

A frame has the root of the covariance and the centres of the coordinates, of which much is the same for the next
cluster; see `saem.families.contract.fill_frame`.
"""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.normal_root import LOG_2PI, fill_plain_root
from saem.system.jit import call_row_sums, inlined, kernel, overload

Array = np.ndarray


@kernel
def frame_length(d: int, terms: int) -> int:
    """Numbers in a frame; see `fill_plain_frame`."""
    return d * d + 2 * d + terms + 1


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
def fill_plain_frame(arrays: NonlinearArrays, x: Array, cluster: int, before: int, frame: Array) -> bool:
    """See `saem.families.contract.fill_frame`: the root (d, d) of the covariance, the centres (d,), and room.

    The room is for coordinates (d,), terms (K,), and a sum. Whether there is a covariance.
    """
    d, count = arrays.sd_index.shape[1], arrays.term_effect.shape[0]
    at = d * d
    terms, root = frame[at + 2 * d : at + 2 * d + count], frame[:at].reshape((d, d))
    known = renew_root(arrays.group, cluster, before, arrays.sd_index, arrays.corr_index, x, root)
    if before < 0 and count > 0:
        call_row_sums(arrays.term_values, x, x, arrays.columns, 0, 1, terms)  # they read no column
    for j in range(d):
        frame[at + j] = 0.0
    for k in range(count):
        frame[at + arrays.term_effect[k]] += arrays.basis[cluster, k] * terms[k]
    return known


@kernel
def carry_coordinates(centred: Array, frame: Array, last: Array, matrix: Array) -> bool:
    """See `saem.families.contract.fill_carry`: ``c + L u = c' + L' v`` where all coordinates are latent data."""
    d = matrix.shape[1]
    at = d * d
    for j in range(d):
        if centred[j] == 0 or not (frame[j * d + j] > 0.0 and last[j * d + j] > 0.0):
            return False
    for k in range(d + 1):
        for j in range(d):  # a column of L', or what the centres differ by, through L
            value = last[j * d + k] if k < d else last[at + j] - frame[at + j]
            for i in range(j):
                value -= frame[j * d + i] * matrix[k, i]
            matrix[k, j] = value / frame[j * d + j]
    return True


@kernel
def place_coordinates(frame: Array, effects: Array, d: int) -> float:
    """Write the coordinates at plain effects (1, d, 1) into the frame; return the log-density of the effects."""
    total = -0.5 * d * LOG_2PI
    at = d * d
    for j in range(d):
        z = frame[at + j]
        for k in range(j + 1):
            z += frame[j * d + k] * effects[0, k, 0]
        frame[at + d + j] = z
        total -= 0.5 * effects[0, j, 0] * effects[0, j, 0]
    return float(total)


@kernel
def framed(
    density: int, columns: Array, first: int, end: int, x: Array, frame: Array, effects: Array, value: Array
) -> None:
    """See `saem.families.contract.log_complete_framed`; rows are those from the ``first`` to the ``end``."""
    d = effects.shape[1]
    height = place_coordinates(frame, effects, d)
    z, out = frame[d * d + d : d * d + 2 * d], frame[frame.shape[0] - 1 :]
    call_row_sums(density, x, z, columns, first, end - first, out)
    height += out[0]
    value[0, 0] = height if height == height else -math.inf  # nan: no density there


contract.OWN["fill_frame"].add(NonlinearArrays)
contract.OWN["fill_carry"].add(NonlinearArrays)


@overload(contract.frame_size, inline="always")
def _frame_size(arrays):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, NonlinearArrays):
        return lambda arrays: frame_length(arrays.sd_index.shape[1], arrays.term_effect.shape[0])
    return None


@overload(contract.fill_frame, inline="always")
def _fill_frame(arrays, x, cluster, before, frame):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, NonlinearArrays):
        return lambda arrays, x, cluster, before, frame: fill_plain_frame(arrays, x, cluster, before, frame)
    return None


@overload(contract.fill_carry, inline="always")
def _fill_carry(arrays, cluster, frame, last, matrix):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, NonlinearArrays):
        return lambda arrays, cluster, frame, last, matrix: carry_coordinates(arrays.centred, frame, last, matrix)
    return None


@overload(contract.log_complete_framed, inline="always")
def _log_complete_framed(arrays, x, cluster, frame, effects, value):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, NonlinearArrays):
        return lambda arrays, x, cluster, frame, effects, value: framed(
            arrays.rows.value,
            arrays.columns,
            arrays.first[cluster],
            arrays.first[cluster + 1],
            x,
            frame,
            effects,
            value,
        )
    return None
