"""The law of the random effects of every block at some parameters, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.families.crossed.arrays import CrossedArrays
from saem.families.normal_covariance import fill_covariance, fill_derivatives, read_group
from saem.families.normal_root import fill_plain_root
from saem.system.jit import kernel

Array = np.ndarray


class Law(NamedTuple):
    """Covariances of the blocks.

    Attributes
    ----------
    root : (B, q, q) ndarray
        Lower triangular roots.
    shape : (L + B, q, q) ndarray
        Derivatives of the covariance of its block by each slot; then the covariances themselves.
    """

    root: Array
    shape: Array


@kernel
def law_at(arrays: CrossedArrays, x: Array) -> Law:
    """The law at parameters (n,)."""
    blocks, q = arrays.sd_index.shape
    slots = arrays.slot_index.shape[0]
    root, shape = np.zeros((blocks, q, q)), np.zeros((slots + blocks, q, q))
    for b in range(blocks):
        d = arrays.block_size[b]
        sd, rho = np.empty(d), np.empty((d, d))
        read_group(arrays.sd_index[b, :d], arrays.corr_index[b, :d, :d], x, sd, rho)
        fill_plain_root(arrays.sd_index[b, :d], arrays.corr_index[b, :d, :d], x, root[b, :d, :d])
        fill_covariance(sd, rho, shape[slots + b, :d, :d])
        first, end = arrays.slot_start[b], arrays.slot_start[b + 1]
        fill_derivatives(arrays.slot_terms[first:end], sd, rho, shape[first:end, :d, :d])
    return Law(root, shape)


@kernel
def is_law(arrays: CrossedArrays, x: Array) -> bool:
    """Whether there is one: no standard deviation is negative, correlations do not contradict each other."""
    blocks, q = arrays.sd_index.shape
    root = np.empty((q, q))
    for b in range(blocks):
        d = arrays.block_size[b]
        if not fill_plain_root(arrays.sd_index[b, :d], arrays.corr_index[b, :d, :d], x, root[:d, :d]):
            return False
    for h in range(arrays.residual_index.shape[0]):
        if not x[arrays.residual_index[h]] > 0.0:
            return False
    return True


@kernel
def times_root(arrays: CrossedArrays, root: Array, first: int, end: int, lead: int, matrix: Array, out: Array) -> None:
    """Write ``matrix Lambda`` (k, d) for the units at places ``first`` to ``end``; ``lead`` effects stand before."""
    for place in range(first, end):
        b, at = arrays.unit_block[place], arrays.unit_offset[place] - lead
        d = arrays.block_size[b]
        if d == 1:
            scale = root[b, 0, 0]
            for i in range(matrix.shape[0]):
                out[i, at] = matrix[i, at] * scale
            continue
        for i in range(matrix.shape[0]):
            for k in range(d):
                total = 0.0
                for j in range(k, d):
                    total += matrix[i, at + j] * root[b, j, k]
                out[i, at + k] = total


@kernel
def root_times(arrays: CrossedArrays, root: Array, first: int, end: int, lead: int, matrix: Array, out: Array) -> None:
    """Write ``Lambda' matrix`` (d, k)."""
    columns = matrix.shape[1]
    for place in range(first, end):
        b, at = arrays.unit_block[place], arrays.unit_offset[place] - lead
        d = arrays.block_size[b]
        for k in range(d):
            for m in range(columns):
                out[at + k, m] = 0.0
            for j in range(k, d):
                scale = root[b, j, k]
                if scale != 0.0:
                    for m in range(columns):
                        out[at + k, m] += scale * matrix[at + j, m]


@kernel
def from_standard(arrays: CrossedArrays, root: Array, first: int, end: int, lead: int, z: Array, out: Array) -> None:
    """Write ``Lambda z`` (d,)."""
    for place in range(first, end):
        b, at = arrays.unit_block[place], arrays.unit_offset[place] - lead
        d = arrays.block_size[b]
        for j in range(d):
            total = 0.0
            for k in range(j + 1):
                total += root[b, j, k] * z[at + k]
            out[at + j] = total


@kernel
def to_standard(arrays: CrossedArrays, root: Array, first: int, end: int, lead: int, v: Array, out: Array) -> None:
    """Write ``Lambda' v`` (d,)."""
    for place in range(first, end):
        b, at = arrays.unit_block[place], arrays.unit_offset[place] - lead
        d = arrays.block_size[b]
        for k in range(d):
            total = 0.0
            for j in range(k, d):
                total += root[b, j, k] * v[at + j]
            out[at + k] = total
