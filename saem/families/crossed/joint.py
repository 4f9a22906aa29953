"""Draws of all random effects together given the data: those of levels that have rows in common are correlated.

With ``B = R^-1/2 Z Lambda`` and standard normals ``z`` and ``e``, ``Lambda (z + (B'B + I)^-1 B'(R^-1/2 r - B z - e))``
has the law of the random effects given the residuals ``r`` of the means: a draw of both effects and data, moved to the
data at hand (Hoffman & Ribak 1991).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from saem.families.crossed.data import CrossedData
from saem.families.crossed.rows import design_of, order_of
from saem.families.designed_draws import covariance_root

Array = np.ndarray


def draw_effects(data: CrossedData, x: Array, draws: int, rng: np.random.Generator) -> Array:
    """See `saem.families.family.Family.draw_effects`: exact draws (draws, U, q)."""
    order, has_term = order_of(data), data.has_term()
    count, q = len(data.cluster_group), len(data.term_names)
    total = int(order.effect_start[-1])
    place = np.full((count, q), -1, dtype=np.int64)  # of each effect among all
    rows, columns, values = [], [], []
    for b in np.unique(data.cluster_group):
        units, terms = np.flatnonzero(data.cluster_group == b), np.flatnonzero(has_term[b])
        at = order.start[units][:, None] + np.arange(len(terms))
        place[np.ix_(units, terms)] = at
        root = covariance_root(data, x, int(b))[np.ix_(terms, terms)]
        rows.append(np.repeat(at, len(terms), axis=1).ravel())
        columns.append(np.tile(at, (1, len(terms))).ravel())
        values.append(np.tile(root.ravel(), len(units)))
    parts = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    root_of_all = sparse.csr_array(parts, shape=(total, total))
    sds = data.residual_sds(x)
    rest = (data.response - data.mean_design @ x[data.mean_index]) / sds
    loading = sparse.csr_array(design_of(data, order) / sds[:, None]) @ root_of_all
    solve = splu((loading.T @ loading + sparse.eye_array(total)).tocsc()).solve
    found = np.zeros((draws, count, q))
    for k in range(draws):
        standard, noise = rng.standard_normal(total), rng.standard_normal(len(rest))
        moved = standard + solve(loading.T @ (rest - loading @ standard - noise))
        found[k] = np.where(place >= 0, (root_of_all @ moved)[place], 0.0)
    return found
