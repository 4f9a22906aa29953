"""First and second moments of the random effects given the data, for the clusters of one pattern.

The same conditional law as in `draws`, which adds up its statistics without a call for each pattern: there a pattern
of one cluster costs half as much. Here are the moments themselves, also with the reduced responses ``w_c``.
"""

from __future__ import annotations

import numpy as np

from saem.families.linear.draws import add_normals, add_random_part
from saem.families.linear.observed import conditional_matrices
from saem.families.linear.variates import INDEPENDENT
from saem.system.jit import kernel
from saem.system.linalg import cholesky_semidefinite

Array = np.ndarray


@kernel
def effect_moments(
    zz: Array,
    shift: Array,
    columns: Array,
    start: int,
    stop: int,
    clusters: Array,
    n: float,
    precision: Array,
    omega: Array,
    rng: np.random.Generator,
    m: int,
    information: Array,
    u: Array,
    g: Array,
    root: Array,
    second: Array,
    work: Array,
    product: Array,
    noise: Array,
    normals: Array,
    t: Array,
    theta: Array,
    total: Array,
    cross: Array,
) -> None:
    """Write moments of the random effects of a pattern: means over ``m`` draws, or for ``m = 0`` expectations.

    Parameters
    ----------
    zz : (H, q, q) ndarray
    shift : (H, q) ndarray
        ``Z_h'X_h (beta - reference)``.
    columns : (K, H * q) ndarray
        Those of the pattern from ``start`` to ``stop``; see `arrays`.
    clusters : (N, H * q) ndarray
        Reduced responses ``w`` of its clusters.
    n : float
        Number of clusters.
    precision : (H,) ndarray
    omega : (q, q) ndarray
    information, u, g, root, second, work, product, noise, normals, t : ndarray
        Scratch: seven of shape (q, q), one like ``cross``, two like ``theta``.
    theta : (q,) ndarray, written
        Sum over clusters of ``theta``.
    total : (q, q) ndarray, written
        Sum over clusters of ``theta theta'``.
    cross : (q, H * q) ndarray, written
        Sum over clusters of ``theta w'``.
    """
    q = omega.shape[0]
    residual_groups = precision.shape[0]
    width = residual_groups * q
    conditional_matrices(zz, precision, omega, information, u, g, work)
    cholesky_semidefinite(g, root, q)
    if m > 0:
        add_normals(clusters, rng, m, INDEPENDENT, normals, second, noise)  # sums of xi, xi xi' and xi w'
    else:
        for j in range(q):
            normals[j] = 0.0
            for k in range(width):
                noise[j, k] = 0.0
            for k in range(q):
                second[j, k] = n if j == k else 0.0

    # the random part, without what the conditional means add to it
    for j in range(q):
        theta[j] = 0.0
        for k in range(q):
            total[j, k] = 0.0
            u[j, k] = 0.0  # now sum xi b'
            for h in range(residual_groups):
                u[j, k] += precision[h] * (noise[j, h * q + k] - normals[j] * shift[h, k])
    for j in range(q):
        for i in range(width):
            cross[j, i] = 0.0
        for k in range(j + 1):
            theta[j] += root[j, k] * normals[k]
            for i in range(width):
                cross[j, i] += root[j, k] * noise[k, i]
    add_random_part(root, g, u, second, work, product, total)

    # conditional means, column by column; only the first one, the mean, is shifted
    for column in range(start, stop):
        is_mean = column == start
        weight = n if is_mean else 1.0
        for j in range(q):
            t[j] = 0.0
        for k in range(q):
            score = 0.0
            for h in range(residual_groups):
                value = columns[column, h * q + k]
                score += precision[h] * (value - shift[h, k] if is_mean else value)
            for j in range(q):
                t[j] += g[j, k] * score
        for j in range(q):
            if is_mean:
                theta[j] += n * t[j]
            for k in range(q):
                total[j, k] += weight * t[j] * t[k]
            for i in range(width):
                cross[j, i] += weight * t[j] * columns[column, i]


@kernel
def fill_shift(mean_index: Array, reference: Array, zx: Array, x: Array, shift: Array) -> None:
    """Write ``Z_h'X_h (beta - reference)`` (H, q)."""
    for h in range(shift.shape[0]):
        for j in range(shift.shape[1]):
            shift[h, j] = 0.0
            for c in range(mean_index.shape[0]):
                shift[h, j] += zx[h, j, c] * (x[mean_index[c]] - reference[c])
