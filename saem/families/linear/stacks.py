"""Linear algebra of stacks of small matrices; of single numbers it is arithmetic, to the same bits as LAPACK's."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def pseudo_inverse(matrices: Array) -> Array:
    """Pseudo-inverses (P, q, q) of symmetric matrices."""
    if matrices.shape[1] > 1:
        return np.asarray(np.linalg.pinv(matrices, hermitian=True))
    return np.asarray(np.divide(1.0, matrices, out=np.zeros_like(matrices), where=matrices != 0.0))


def solve(matrices: Array, right: Array) -> Array:
    """Solutions (P, q, k) of ``matrices @ x = right``, where no matrix is singular."""
    return np.asarray(right / matrices if matrices.shape[1] == 1 else np.linalg.solve(matrices, right))


def eigen(matrices: Array) -> tuple[Array, Array]:
    """Eigenvalues (P, q) and eigenvectors (P, q, q), in columns, of symmetric matrices."""
    if matrices.shape[1] == 1:
        return matrices[:, :, 0], np.ones_like(matrices)
    values, vectors = np.linalg.eigh(matrices)
    return values, vectors
