"""The data of the family as arrays.

Model: ``y = X beta + Z u + e``. The random effects of all units of a component stand in one vector ``u``, with the
covariance ``G`` that is block diagonal: ``Omega_b`` for every unit of block ``b``. Residuals of the residual group
``h`` have the variance ``sigma_h^2 / weight``. All that the likelihood needs of the rows are the products ``Z'WZ``,
``Z'WX``, ``Z'Wr``, ``X'WX``, ``X'Wr``, ``r'Wr`` of every residual group, with ``r = y - X beta_reference``.

In a large component the units of the factor that has most of them, where it has a single term, stand first and are
*leading*: their part of ``Z'WZ`` is diagonal, and they are integrated out one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class CrossedArrays(NamedTuple):
    """Arrays of the family (B blocks, U units, C components, Q effects of all components, H residual groups, L slots).

    A *slot* is a standard deviation or a correlation of a block. The type by which Numba chooses this family's
    functions of the contract.
    """

    mean_index: Array  # (p,) int64, parameter of each mean
    beta_reference: Array  # (p,)
    basis: Array  # (r,) int64, columns that span those of the free means
    residual_index: Array  # (H,) int64
    n_rows: Array  # (H,) float64
    log_weight: float  # 1/2 sum of the logarithms of the weights
    constants: Array  # (2,) what the user's coordinates add to the log-likelihood, and what more to the restricted one
    block_size: Array  # (B,) int64, terms of a block
    sd_index: Array  # (B, q) int64, parameter of the SD of each of its terms, these first
    corr_index: Array  # (B, q, q) int64, of their correlations; -1 where there are none
    slot_start: Array  # (B + 1,) int64
    slot_index: Array  # (L,) int64, parameter of each slot
    slot_terms: Array  # (L, 2) int64, its two terms (equal for a standard deviation)
    n_units: Array  # (B,) float64
    unit_start: Array  # (C + 1,) int64, units of component c
    unit_block: Array  # (U,) int64
    unit_offset: Array  # (U,) int64, first effect of the unit in its component
    effect_start: Array  # (C + 1,) int64, effects of component c
    n_leading: Array  # (C,) int64, leading units
    zz: Array  # (.,) of each component, (H, d, d) of its d effects that are not leading
    zz_start: Array  # (C + 1,) int64
    leading_zz: Array  # (leading effects of all components,)
    leading_start: Array  # (C + 1,) int64
    beside_start: Array  # (leading effects + 1,) int64, products of a leading effect with others
    beside: Array  # (.,) int64, which: their position after the leading ones
    beside_zz: Array  # (.,)
    zx: Array  # (H, Q, p)
    zy: Array  # (H, Q)
    xx: Array  # (H, p, p)
    xy: Array  # (H, p)
    yy: Array  # (H,)
    is_centred: Array  # (B,) bool, which blocks hold means, of
    location: Array  # (Q, p) W, the means in the random effects; see `saem.families.crossed.centring`
    location_moment: Array  # (B, q, q, p, p) sum of W_ja W_kb, unit by unit
    left_xx: Array  # (H, p, p) of X - ZW
    left_xy: Array  # (H, p)
    left_zx: Array  # (H, Q, p)


def n_statistics(arrays: CrossedArrays) -> int:
    """Length of the vector of complete-data statistics; see `saem.families.crossed.complete`."""
    groups, p = arrays.xy.shape
    return int(groups * (p + 1) + np.sum(arrays.block_size**2) * (1 + p))
