"""Balanced designs, whose likelihood has one maximum, so that nobody need look for another.

With one random effect a cluster and one residual standard deviation the covariance is ``sigma^2 I + sum_i omega_i^2 a_i
B_i``, ``a_i`` being ``z'z`` of a cluster and ``B_i`` a projection. Where ``a_i`` is the same in all clusters with the
standard deviation ``omega_i``, and ``B_i`` maps the columns of the means into what they span, least squares give the
means whatever the variances are (Zyskind 1967). What is left is a sum of ``-(d_k log l_k + S_k / l_k) / 2`` over the
eigenvalues ``l_0 = sigma^2`` and ``l_i = sigma^2 + a_i omega_i^2``: concave in their logarithms, on the convex set
``l_i >= l_0``. The restricted likelihood differs by multiples of these logarithms.
"""

from __future__ import annotations

import numpy as np

from saem.families.linear.arrays import LinearArrays

Array = np.ndarray

SPANNED = 1e-10  # of the squared size of what a projection makes of the columns: less is left beside them by rounding
ALIKE = 1e-12  # relative difference of numbers that are one up to rounding


def has_one_maximum(arrays: LinearArrays, fixed: Array) -> bool:
    """Whether the likelihood without constraints is known to have one maximum; ``fixed`` (n,) are not estimated."""
    q, residual = arrays.sd_index.shape[1], arrays.residual_index
    if q != 1 or len(residual) != 1:
        return False
    of_pattern = arrays.sd_index[arrays.pattern_group, 0]
    if fixed[of_pattern].any() or fixed[residual[0]] or residual[0] in of_pattern:
        return False
    sizes, design = arrays.zz[:, 0, 0, 0], arrays.zx[:, 0, 0][:, arrays.basis]
    gram = arrays.xx[0][arrays.basis[:, None], arrays.basis]
    for i in set(of_pattern.tolist()):
        here = of_pattern == i
        size = sizes[here]
        if not size.min() > (1.0 - ALIKE) * size.max():
            return False
        image = (design[here].T * (arrays.pattern_size[here] / size)) @ design[here]  # X'B X
        left = image - image @ np.linalg.solve(gram, image)
        if np.abs(left.diagonal()).max(initial=0.0) > SPANNED * image.diagonal().max(initial=0.0):
            return False
    return True
