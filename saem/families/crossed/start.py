"""Where searches start: least-squares means, and standard deviations from the scatter of the units."""

from __future__ import annotations

import numpy as np

from saem.errors import EXACT_FIT, FitError
from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.data import CrossedData
from saem.families.crossed.rows import Order

Array = np.ndarray

SEEN = 1e-8  # of the largest sum of squares of a term's column in a unit: less says nothing


def unit_products(arrays: CrossedArrays, total: int) -> Array:
    """The diagonal (Q,) of ``Z'WZ``."""
    found = np.empty(total)
    groups = arrays.xy.shape[0]
    for c, lead in enumerate(arrays.n_leading):
        start, stop = arrays.effect_start[c], arrays.effect_start[c + 1]
        d = stop - start - lead
        blocks = arrays.zz[arrays.zz_start[c] : arrays.zz_start[c + 1]].reshape(groups, d, d)
        found[start : start + lead] = arrays.leading_zz[arrays.leading_start[c] : arrays.leading_start[c + 1]]
        found[start + lead : stop] = np.einsum("hii->i", blocks)
    return found


def moment_start(data: CrossedData, arrays: CrossedArrays, order: Order) -> Array:
    """All parameters (n,); correlations are zero, fixed parameters have their values.

    The variance of the least-squares effects of a term, each unit by itself, less what the residuals make of it.

    Raises
    ------
    FitError
        When the means fit the responses exactly.
    """
    rows = float(arrays.n_rows.sum())
    overall = float(arrays.yy.sum()) / rows
    if overall <= 1e-24 * float(np.mean(data.response**2)):
        raise FitError(EXACT_FIT)
    products = unit_products(arrays, int(order.effect_start[-1]))
    effects = arrays.zy.sum(axis=0) / np.where(products > 0.0, products, 1.0)
    within = 0.5 * overall
    x = np.zeros(len(data.parameters))
    x[arrays.mean_index] = arrays.beta_reference
    x[arrays.residual_index] = np.sqrt(np.maximum(within * (arrays.yy / arrays.n_rows) / overall, 1e-3 * overall))
    has_term = data.has_term()
    for b in np.unique(data.cluster_group):
        units = np.flatnonzero(data.cluster_group == b)
        for k, term in enumerate(np.flatnonzero(has_term[b])):
            at = order.start[units] + k
            at = at[products[at] > SEEN * products[at].max()]  # others have no row on which the term acts
            noise = within * float(np.mean(1.0 / products[at])) if len(at) else overall
            x[data.sd_index[b, term]] = np.sqrt(
                max(float(np.mean(effects[at] ** 2)) - noise, noise) if len(at) else noise
            )
    return with_fixed(data, x)


def with_fixed(data: CrossedData, x: Array) -> Array:
    """The vector with the fixed parameters at their values."""
    return np.where(data.parameters.fixed, data.parameters.fixed_values, x)


def starting_values(data: CrossedData, start: Array) -> tuple[Array, ...]:
    """A start and variations of its standard deviations, the most sensible first."""
    effect = sorted({int(i) for i in data.sd_index.ravel() if i >= 0})
    variations = [start]
    for factor in (0.3, 3.0):
        other = start.copy()
        other[effect] *= factor
        variations.append(with_fixed(data, other))
    for keep in effect if len(effect) > 1 else []:  # one large, the others small
        other = start.copy()
        other[effect] *= 0.2
        other[keep] = 2.0 * start[keep]
        variations.append(with_fixed(data, other))
    return tuple(variations)
