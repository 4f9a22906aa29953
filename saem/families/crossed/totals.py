"""What the marginal likelihood and its derivatives need of the components: sums over them.

With ``P = V^-1``, ``w = Z'Pr``, ``M = Z'PZ``, ``N = Z'PX``, ``K`` the covariance of the random effects given the data,
``e`` the residuals, and ``G_k`` the derivative of ``G`` by slot ``k`` (``G`` itself in place of a last slot, ``L``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.law import Law
from saem.system.jit import kernel

Array = np.ndarray


class Totals(NamedTuple):
    """Sums over components (B blocks, L slots, H residual groups, p means; s is p for REML, else 0)."""

    log_det: Array  # (1,) of A = Lambda'Z'R^-1Z Lambda + I
    explained: Array  # (1,) r'R^-1r - r'Pr
    second: Array  # (B, q, q) w w', unit by unit
    precision: Array  # (B, q, q) M, likewise
    traces: Array  # (L + 1, L + 1) tr(M G_k M G_l)
    squares: Array  # (L + 1, L + 1) (G_k w)'M(G_l w)
    means: Array  # (L + 1, p) N'G_k w
    by_means: Array  # (p, p) X'R^-1Z K Z'R^-1X
    for_means: Array  # (p,) X'R^-1Z K Z'R^-1r
    spread: Array  # (H,) tr(K S_h), with S_h = Z'W_hZ
    spreads: Array  # (H, H) tr(K S_h K S_j)
    shift: Array  # (H,) what the random effects take off r'W_hr
    shift_means: Array  # (H, p) X'W_hZ u
    pairs: Array  # (H, H) (Z'W_he)'K(Z'W_je)
    slots: Array  # (H, L + 1) tr(E S_h E'G_k), with E = I - Z'R^-1Z K
    slot_pairs: Array  # (H, L + 1) (E Z'W_he)'G_k w
    mean_pairs: Array  # (H, p) X'R^-1Z K Z'W_he
    reml_units: Array  # (B, q, q, s, s) products of two rows of N, unit by unit
    reml_pairs: Array  # (L + 1, L + 1, s, s) N'G_kMG_lN
    reml_rows: Array  # (H, s, s) what is taken off X'W_hX to make it (X - ZD)'W_h(X - ZD), with D = K Z'R^-1X
    reml_row_pairs: Array  # (H, H, s, s) J_h'K J_j, with J_h = Z'W_h(X - ZD)
    reml_row_slots: Array  # (H, L + 1, s, s) (E J_h)'G_kN


@kernel
def no_totals(arrays: CrossedArrays, restricted: bool) -> Totals:
    """Zeros."""
    blocks, q = arrays.sd_index.shape
    groups, p = arrays.xy.shape
    k = arrays.slot_index.shape[0] + 1
    s = p if restricted else 0
    return Totals(
        np.zeros(1),
        np.zeros(1),
        np.zeros((blocks, q, q)),
        np.zeros((blocks, q, q)),
        np.zeros((k, k)),
        np.zeros((k, k)),
        np.zeros((k, p)),
        np.zeros((p, p)),
        np.zeros(p),
        np.zeros(groups),
        np.zeros((groups, groups)),
        np.zeros(groups),
        np.zeros((groups, p)),
        np.zeros((groups, groups)),
        np.zeros((groups, k)),
        np.zeros((groups, k)),
        np.zeros((groups, p)),
        np.zeros((blocks, q, q, s, s)),
        np.zeros((k, k, s, s)),
        np.zeros((groups, s, s)),
        np.zeros((groups, groups, s, s)),
        np.zeros((groups, k, s, s)),
    )


@kernel
def shaped(arrays: CrossedArrays, law: Law, first: int, end: int, lead: int, v: Array) -> Array:
    """``G_k v`` (L + 1, d) for a vector ``v`` (d,)."""
    slots = arrays.slot_index.shape[0]
    out = np.zeros((slots + 1, v.shape[0]))
    for place in range(first, end):
        b, at = arrays.unit_block[place], arrays.unit_offset[place] - lead
        d = arrays.block_size[b]
        for k in range(arrays.slot_start[b], arrays.slot_start[b + 1] + 1):
            is_slot = k < arrays.slot_start[b + 1]
            shape = law.shape[k] if is_slot else law.shape[slots + b]
            row = out[k if is_slot else slots]
            for i in range(d):
                for j in range(d):
                    row[at + i] += shape[i, j] * v[at + j]
    return out


@kernel
def add_by_block(arrays: CrossedArrays, first: int, end: int, lead: int, matrix: Array, out: Array) -> None:
    """Add the diagonal blocks of a matrix (d, d), unit by unit, to those of their blocks (B, q, q)."""
    for place in range(first, end):
        b, at = arrays.unit_block[place], arrays.unit_offset[place] - lead
        for i in range(arrays.block_size[b]):
            for j in range(arrays.block_size[b]):
                out[b, i, j] += matrix[at + i, at + j]


@kernel
def add_outer_by_block(arrays: CrossedArrays, first: int, end: int, lead: int, v: Array, out: Array) -> None:
    """Add ``v v'``, unit by unit."""
    for place in range(first, end):
        b, at = arrays.unit_block[place], arrays.unit_offset[place] - lead
        for i in range(arrays.block_size[b]):
            for j in range(arrays.block_size[b]):
                out[b, i, j] += v[at + i] * v[at + j]


@kernel
def add_shaped_trace(arrays: CrossedArrays, law: Law, blocks: Array, out: Array) -> None:
    """Add ``tr(matrix G_k)`` (L + 1,), given the sums of its diagonal blocks (B, q, q)."""
    slots = arrays.slot_index.shape[0]
    for b in range(blocks.shape[0]):
        d = arrays.block_size[b]
        for k in range(arrays.slot_start[b], arrays.slot_start[b + 1] + 1):
            is_slot = k < arrays.slot_start[b + 1]
            shape = law.shape[k] if is_slot else law.shape[slots + b]
            total = 0.0
            for i in range(d):
                for j in range(d):
                    total += blocks[b, i, j] * shape[j, i]
            out[k if is_slot else slots] += total


@kernel
def add_traces(arrays: CrossedArrays, law: Law, first: int, end: int, lead: int, matrix: Array, out: Array) -> None:
    """Add ``tr(M G_k M G_l)`` (L + 1, L + 1) for a symmetric ``M`` (d, d)."""
    slots, (blocks, q) = arrays.slot_index.shape[0], arrays.sd_index.shape
    plain = np.zeros((blocks, blocks))  # sums of squares between blocks of single terms
    left = np.empty((q, q))
    for one in range(first, end):
        a, i = arrays.unit_block[one], arrays.unit_offset[one] - lead
        d = arrays.block_size[a]
        row = matrix[i]
        for two in range(first, end):
            b, j = arrays.unit_block[two], arrays.unit_offset[two] - lead
            f = arrays.block_size[b]
            if d == 1 and f == 1:
                plain[a, b] += row[j] * row[j]
                continue
            for k in range(arrays.slot_start[a], arrays.slot_start[a + 1] + 1):
                k_is_slot = k < arrays.slot_start[a + 1]
                shape = law.shape[k] if k_is_slot else law.shape[slots + a]
                for u in range(d):
                    for v in range(f):
                        total = 0.0
                        for m in range(d):
                            total += shape[u, m] * matrix[i + m, j + v]
                        left[u, v] = total
                for n in range(arrays.slot_start[b], arrays.slot_start[b + 1] + 1):
                    n_is_slot = n < arrays.slot_start[b + 1]
                    other = law.shape[n] if n_is_slot else law.shape[slots + b]
                    value = 0.0
                    for u in range(d):
                        for v in range(f):
                            total = 0.0
                            for m in range(f):
                                total += matrix[i + u, j + m] * other[m, v]
                            value += left[u, v] * total
                    out[k if k_is_slot else slots, n if n_is_slot else slots] += value
    add_plain_traces(arrays, law, plain, out)


@kernel
def add_plain_traces(arrays: CrossedArrays, law: Law, plain: Array, out: Array) -> None:
    """Add them for blocks with a single term, given the sums of squares (B, B) of the entries of ``M``."""
    slots, blocks = arrays.slot_index.shape[0], plain.shape[0]
    for a in range(blocks):
        for b in range(blocks):
            if plain[a, b] == 0.0:
                continue
            k, n = arrays.slot_start[a], arrays.slot_start[b]
            own, all_own = law.shape[k, 0, 0], law.shape[slots + a, 0, 0]
            other, all_other = law.shape[n, 0, 0], law.shape[slots + b, 0, 0]
            out[k, n] += own * other * plain[a, b]
            out[k, slots] += own * all_other * plain[a, b]
            out[slots, n] += all_own * other * plain[a, b]
            out[slots, slots] += all_own * all_other * plain[a, b]


@kernel
def add_unit_products(arrays: CrossedArrays, first: int, end: int, lead: int, n: Array, out: Array) -> None:
    """Add the products of the rows of ``N`` (d, p) of each unit to those of its block (B, q, q, p, p)."""
    p = n.shape[1]
    for place in range(first, end):
        b, at = arrays.unit_block[place], arrays.unit_offset[place] - lead
        for i in range(arrays.block_size[b]):
            for j in range(arrays.block_size[b]):
                for c in range(p):
                    for a in range(p):
                        out[b, i, j, c, a] += n[at + i, c] * n[at + j, a]
