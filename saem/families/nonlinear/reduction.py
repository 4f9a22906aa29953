"""Draws of the random effects are reduced to the complete-data statistics; see `saem.families.nonlinear.complete`."""

from __future__ import annotations

import math

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.nonlinear.arrays import REAL, NonlinearArrays
from saem.families.nonlinear.complete import free_coordinate
from saem.families.nonlinear.density import fill_term_jets
from saem.families.nonlinear.prepared import place_coordinates, prepare_cluster, prepared_length
from saem.system.jit import borrowed, call_row_sums, kernel, release
from saem.system.linalg import cholesky, cholesky_solve

Array = np.ndarray
LONGEST = 1.0  # step of a logarithm or a logit in one iteration
RIDGE = 1e-9  # of a unit diagonal, where an expansion leaves a direction open


@kernel
def all_centred(centred: Array) -> bool:
    """Whether all coordinates are latent data."""
    for j in range(centred.shape[0]):
        if centred[j] == 0:
            return False
    return True


@kernel
def add_moves_of_centres(arrays: NonlinearArrays, x: Array, cluster: int, t_slopes: Array, moves: Array) -> None:
    """Add the derivatives of the coordinates by the expanded parameters ``t`` to ``moves`` (w + d, p).

    Those that are not centred move with their centres; the others are latent data.
    """
    w, p = arrays.rows.scored.shape[0], arrays.expanded.shape[0]
    count, n = arrays.term_effect.shape[0], x.shape[0]
    jets = np.empty((count, (n + 1) * (n + 2) // 2))
    fill_term_jets(arrays, x, jets)
    for k in range(count):
        effect = arrays.term_effect[k]
        if arrays.centred[effect] == 1:
            continue
        for j in range(p):
            moves[w + effect, j] += arrays.basis[cluster, k] * jets[k, 1 + arrays.expanded[j]] / t_slopes[j]


@kernel
def add_bends(
    arrays: NonlinearArrays, x: Array, cluster: int, t_slopes: Array, t_bends: Array, out: Array, own: Array
) -> None:
    """Write what minus the Hessian of the rows by ``t`` has beside products: second derivatives of what moves with it.

    They go to ``own`` (p, p); ``out`` has the gradient of the rows by parameters and coordinates.
    """
    w, p = arrays.rows.scored.shape[0], arrays.expanded.shape[0]
    count, n = arrays.term_effect.shape[0], x.shape[0]
    slope = np.zeros(p)  # by the parameters as they are
    for i in range(p):
        for j in range(p):
            own[i, j] = 0.0
    for i in range(w):
        slope[arrays.rows.scored[i]] += out[1 + i]
    jets = np.empty((0 if all_centred(arrays.centred) else count, (n + 1) * (n + 2) // 2))
    fill_term_jets(arrays, x, jets)
    for k in range(jets.shape[0]):
        effect = arrays.term_effect[k]
        if arrays.centred[effect] == 1:
            continue
        weight = out[1 + w + effect] * arrays.basis[cluster, k]
        for i in range(p):
            a = arrays.expanded[i]
            slope[i] += weight * jets[k, 1 + a]
            for j in range(p):
                b = arrays.expanded[j]
                high, low = max(a, b), min(a, b)
                own[i, j] -= weight * jets[k, n + 1 + high * (high + 1) // 2 + low] / (t_slopes[i] * t_slopes[j])
    for i in range(p):
        own[i, i] += slope[i] * t_bends[i] / (t_slopes[i] * t_slopes[i] * t_slopes[i])


@kernel
def add_expanded(
    sign: float,
    t: Array,
    scored: Array,
    moves: Array,
    out: Array,
    own: Array,
    half: Array,
    b: Array,
    weight: float,
    square: float,
    statistics: Array,
) -> None:
    """Add the expansion at ``t`` (p,), given value, gradient and ``sign`` times information of the rows at one draw.

    ``scored`` (w,) are the only places in the first rows of ``moves`` that are not zero. ``own`` (p, p) is added to the
    information by ``t``; it may have no entries. ``half`` (size, p) and ``b`` (p,) are room to work in.
    """
    (size, p), w = moves.shape, scored.shape[0]
    for j in range(p):
        b[j] = 0.0
        for i in range(size):
            half[i, j] = 0.0
    for i in range(w):
        b[scored[i]] += out[1 + i] * moves[i, scored[i]]
    for i in range(w, size):
        for j in range(p):
            b[j] += out[1 + i] * moves[i, j]
    for i in range(size):
        for k in range(size):
            row, column = max(i, k), min(i, k)
            information = sign * out[1 + size + row * (row + 1) // 2 + column]
            if information == 0.0:
                continue
            if k < w:
                half[i, scored[k]] += information * moves[k, scored[k]]
            else:
                for j in range(p):
                    half[i, j] += information * moves[k, j]
    own_row = np.full(p, -1)
    for i in range(w):
        own_row[scored[i]] = i
    value, at = out[0] + square, 1 + p
    for j in range(p):
        value -= b[j] * t[j]
    for j in range(p):
        for k in range(j + 1):
            information = own[j, k] if own.shape[0] > 0 else 0.0
            if own_row[j] >= 0:
                information += moves[own_row[j], j] * half[own_row[j], k]
            for i in range(w, size):
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
    prepared = np.empty(prepared_length(arrays))
    if prepare_cluster(arrays, x, cluster, -1, prepared):
        accumulate_prepared_nonlinear(arrays, x, cluster, prepared, effects, weight, statistics)
    else:
        statistics[0] = math.nan


@kernel
def accumulate_prepared_nonlinear(
    arrays: NonlinearArrays, x: Array, cluster: int, prepared: Array, effects: Array, weight: float, statistics: Array
) -> None:
    """See `saem.families.contract.accumulate_prepared`."""
    (many, d), most = effects.shape, arrays.sd_index.shape[1]
    p, s, count = arrays.expanded.shape[0], arrays.scale_index.shape[0], arrays.term_effect.shape[0]
    w, exact = arrays.rows.scored.shape[0], arrays.rows.n_squares
    size = w + (most if arrays.rows.by_coordinates == 1 else 0)
    observed = arrays.rows.is_observed == 1
    width, at = 1 + size + size * (size + 1) // 2, d
    memory = np.empty(at + 4 * p + 2 * size * p + width + exact)  # one allocation
    room = borrowed(memory)
    latent = room[:d]
    t, t_slopes = room[at : at + p], room[at + p : at + 2 * p]
    t_bends, b = room[at + 2 * p : at + 3 * p], room[at + 3 * p : at + 4 * p]
    at += 4 * p
    moves, half = (
        room[at : at + size * p].reshape((size, p)),
        room[at + size * p : at + 2 * size * p].reshape((size, p)),
    )
    out, z = room[at + 2 * size * p :], prepared[d * d + d : d * d + 2 * d]
    if size > 0:
        for i in range(p):
            a = arrays.expanded[i]
            t[i], t_slopes[i], t_bends[i] = free_coordinate(arrays.kind[i], arrays.low[i], arrays.high[i], x[a])
        for i in range(size):
            for j in range(p):
                moves[i, j] = 0.0
        for i in range(w):
            moves[i, arrays.rows.scored[i]] = 1.0 / t_slopes[arrays.rows.scored[i]]
        if arrays.rows.by_coordinates == 1 and not all_centred(arrays.centred):
            add_moves_of_centres(arrays, x, cluster, t_slopes, moves)
    first, rows = arrays.first[cluster], arrays.first[cluster + 1] - arrays.first[cluster]
    own = np.empty((p, p)) if observed else room[:0].reshape((0, 0))
    squares = 1 + p + p * (p + 1) // 2
    start = squares + s + arrays.group[cluster] * (count * most + most * most)
    for draw in range(many):
        place_coordinates(prepared, effects[draw].reshape((1, d, 1)), d)
        for j in range(d):
            latent[j] = z[j] if arrays.centred[j] == 1 else z[j] - prepared[d * d + j]
        call_row_sums(arrays.rows.score, x, z, arrays.columns, first, rows, out)
        square = 0.0
        for i in range(exact):
            scale = x[arrays.scale_index[i]]
            square += arrays.scale_rows[cluster, i] * math.log(scale) + 0.5 * out[width + i] / (scale * scale)
            statistics[squares + i] += weight * out[width + i]
        if size == 0:
            statistics[0] += weight * (out[0] + square)
        else:
            if observed:
                add_bends(arrays, x, cluster, t_slopes, t_bends, out, own)
            add_expanded(
                -1.0 if observed else 1.0, t, arrays.rows.scored, moves, out, own, half, b, weight, square, statistics
            )
        for k in range(count):
            for j in range(d):
                statistics[start + k * most + j] += weight * arrays.basis[cluster, k] * latent[j]
        for i in range(d):
            for j in range(d):
                statistics[start + count * most + i * most + j] += weight * latent[i] * latent[j]
    release(memory)


@kernel
def limit_step(arrays: NonlinearArrays, x: Array, statistics: Array) -> None:
    """See `saem.families.contract.limit`: the Newton step of the expansion alone is cut to `LONGEST`.

    It is looked at for parameters that have bounds, whose logarithms or logits have a size.
    """
    p = arrays.expanded.shape[0]
    moving = np.empty(p, dtype=np.int64)
    used = 0
    for i in range(p):
        if statistics[1 + p + i * (i + 1) // 2 + i] > 0.0 and arrays.kind[i] != REAL:
            moving[used] = i
            used += 1
    if used == 0:
        return
    t = np.empty(p)
    for i in range(p):
        t[i], _, _ = free_coordinate(arrays.kind[i], arrays.low[i], arrays.high[i], x[arrays.expanded[i]])
    matrix, step, size = np.empty((used, used)), np.empty(used), np.empty(used)
    for a in range(used):
        i = moving[a]
        size[a] = 1.0 / math.sqrt(statistics[1 + p + i * (i + 1) // 2 + i])
    for a in range(used):
        i = moving[a]
        for b in range(used):
            j = moving[b]
            high, low = max(i, j), min(i, j)
            matrix[a, b] = statistics[1 + p + high * (high + 1) // 2 + low] * size[a] * size[b]
        step[a] = statistics[1 + i]
        for j in range(p):
            high, low = max(i, j), min(i, j)
            step[a] -= statistics[1 + p + high * (high + 1) // 2 + low] * t[j]
        step[a] *= size[a]
    if not cholesky(matrix, used, RIDGE):
        return
    cholesky_solve(matrix, used, step)
    longest = 0.0
    for a in range(used):
        longest = max(longest, abs(step[a] * size[a]))
    if not longest > LONGEST:
        return
    share = LONGEST / longest
    for i in range(p):
        pull = 0.0
        for j in range(p):
            high, low = max(i, j), min(i, j)
            pull += statistics[1 + p + high * (high + 1) // 2 + low] * t[j]
        statistics[1 + i] = pull + share * (statistics[1 + i] - pull)


supply(contract.limit, NonlinearArrays, limit_step)
supply(contract.accumulate, NonlinearArrays, accumulate_nonlinear)
supply(contract.accumulate_prepared, NonlinearArrays, accumulate_prepared_nonlinear)
