"""Draws of the random effects are reduced to the complete-data statistics; see `saem.families.nonlinear.complete`."""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.complete import free_coordinate
from saem.families.nonlinear.density import fill_centres, fill_term_jets
from saem.families.normal_root import fill_effects, fill_root
from saem.system.jit import call_row_sums, kernel, overload

Array = np.ndarray


@kernel
def fill_moves(arrays: NonlinearArrays, x: Array, cluster: int, t_slopes: Array, moves: Array) -> None:
    """Write the derivatives (w + d, p) of parameters and coordinates by the expanded parameters.

    Of the coordinates those that are not centred move with their centres; the others are latent data.
    """
    w, p = arrays.rows.scored.shape[0], arrays.index.shape[0]
    count, n = arrays.term_effect.shape[0], x.shape[0]
    for i in range(moves.shape[0]):
        for j in range(p):
            moves[i, j] = 0.0
    for i in range(w):
        moves[i, arrays.rows.scored[i]] = 1.0 / t_slopes[arrays.rows.scored[i]]
    if arrays.rows.by_coordinates == 0:
        return
    jets = np.empty((count, (n + 1) * (n + 2) // 2))
    fill_term_jets(arrays, x, jets)
    for k in range(count):
        effect = arrays.term_effect[k]
        if arrays.centred[effect] == 1:
            continue
        for j in range(p):
            moves[w + effect, j] += arrays.basis[cluster, k] * jets[k, 1 + arrays.index[j]] / t_slopes[j]


@kernel
def add_expanded(
    arrays: NonlinearArrays, t: Array, moves: Array, out: Array, weight: float, square: float, statistics: Array
) -> None:
    """Add the expansion at ``t`` (p,), given value, gradient and information ``out`` of the rows at one draw."""
    size, p = moves.shape
    b, half = np.zeros(p), np.zeros((size, p))
    for i in range(size):
        for j in range(p):
            if moves[i, j] != 0.0:
                b[j] += out[1 + i] * moves[i, j]
    for i in range(size):
        for k in range(size):
            row, column = max(i, k), min(i, k)
            information = out[1 + size + row * (row + 1) // 2 + column]
            if information != 0.0:
                for j in range(p):
                    half[i, j] += information * moves[k, j]
    value, at = out[0] + square, 1 + p
    for j in range(p):
        value -= b[j] * t[j]
    for j in range(p):
        for k in range(j + 1):
            information = 0.0
            for i in range(size):
                information += moves[i, j] * half[i, k]
            statistics[at] += weight * information
            at += 1
            value -= information * t[j] * t[k] * (0.5 if j == k else 1.0)
            b[j] += information * t[k]
            if j != k:
                b[k] += information * t[j]
    statistics[0] += weight * value
    for j in range(p):
        statistics[1 + j] += weight * b[j]


@kernel
def accumulate_nonlinear(
    arrays: NonlinearArrays, x: Array, cluster: int, effects: Array, weight: float, statistics: Array
) -> None:
    """See `saem.families.contract.accumulate`."""
    many, d = effects.shape
    p, s, count = arrays.index.shape[0], arrays.scale_index.shape[0], arrays.term_effect.shape[0]
    group = arrays.group[cluster]
    root, theta, centres = np.empty((d, d, 1)), np.empty((many, d, 1)), np.empty((d, 1))
    t, t_slopes = np.empty(p), np.empty(p)
    if not fill_root(arrays.sd_index[group], arrays.corr_index[group], x, root):
        statistics[0] = math.nan
        return
    fill_effects(root, effects.reshape((many, d, 1)), theta)
    fill_centres(arrays, x, cluster, centres)
    for i in range(p):
        t[i], t_slopes[i], _ = free_coordinate(arrays.kind[i], arrays.low[i], arrays.high[i], x[arrays.index[i]])
    w, exact = arrays.rows.scored.shape[0], arrays.rows.n_squares
    size = w + (d if arrays.rows.by_coordinates == 1 else 0)
    moves = np.empty((size, p))
    fill_moves(arrays, x, cluster, t_slopes, moves)
    first, rows = arrays.first[cluster], arrays.first[cluster + 1] - arrays.first[cluster]
    width = 1 + size + size * (size + 1) // 2
    out, z, latent = np.empty(width + exact), np.empty(d), np.empty(d)
    squares = 1 + p + p * (p + 1) // 2
    start = squares + s + group * (count * d + d * d)
    for at in range(many):
        for j in range(d):
            z[j] = centres[j, 0] + theta[at, j, 0]
            latent[j] = z[j] if arrays.centred[j] == 1 else theta[at, j, 0]
        call_row_sums(arrays.rows.score, x, z, arrays.columns, first, rows, out)
        square = 0.0
        for i in range(exact):
            scale = x[arrays.scale_index[i]]
            square += arrays.scale_rows[cluster, i] * math.log(scale) + 0.5 * out[width + i] / (scale * scale)
            statistics[squares + i] += weight * out[width + i]
        add_expanded(arrays, t, moves, out, weight, square, statistics)
        for k in range(count):
            for j in range(d):
                statistics[start + k * d + j] += weight * arrays.basis[cluster, k] * latent[j]
        for i in range(d):
            for j in range(d):
                statistics[start + count * d + i * d + j] += weight * latent[i] * latent[j]


@overload(contract.accumulate, inline="always")
def _accumulate(arrays, x, cluster, effects, weight, statistics):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, NonlinearArrays):
        return lambda arrays, x, cluster, effects, weight, statistics: accumulate_nonlinear(
            arrays, x, cluster, effects, weight, statistics
        )
    return None
