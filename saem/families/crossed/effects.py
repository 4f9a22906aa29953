"""The law of the random effects of all units given the data, where it is Gaussian and known."""

from __future__ import annotations

import numpy as np

from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.data import CrossedData
from saem.families.crossed.dense import conditional_covariance, summed_products
from saem.families.crossed.draws import conditional_mean
from saem.families.crossed.law import law_at
from saem.families.crossed.leading import fill_information, other_rows
from saem.families.crossed.rows import build_arrays, order_of
from saem.system.jit import entry

Array = np.ndarray


@entry
def moments(arrays: CrossedArrays, x: Array, mean: Array, covariance: Array, slopes: Array) -> None:
    """Write mean (Q,), covariance between terms of a unit (Q, q), and derivatives (Q, p) of the means by the means.

    Row ``i`` of ``covariance`` has the covariances of effect ``i`` with the terms of its unit.
    """
    groups, p = arrays.xy.shape
    law = law_at(arrays, x)
    precision, delta = np.empty(groups), np.empty(p)
    for h in range(groups):
        precision[h] = x[arrays.residual_index[h]] ** -2.0
    for c in range(p):
        delta[c] = x[arrays.mean_index[c]] - arrays.beta_reference[c]
    for component in range(arrays.n_leading.shape[0]):
        first, end = arrays.unit_start[component], arrays.unit_start[component + 1]
        start, stop = arrays.effect_start[component], arrays.effect_start[component + 1]
        lead, at = arrays.n_leading[component], arrays.leading_start[component]
        information = summed_products(arrays, component, precision)
        gain = np.empty(0)
        if lead > 0:
            gain, _, _ = fill_information(arrays, law, component, precision[0], information, np.zeros(1))
        others = conditional_covariance(arrays, law, first + lead, end, lead, information, np.zeros(1))
        mean[start:stop] = conditional_mean(arrays, component, precision, delta, gain, others)
        design = np.zeros((stop - start, p))
        for h in range(groups):
            for i in range(stop - start):
                for c in range(p):
                    design[i, c] += precision[h] * arrays.zx[h, start + i, c]
        high = np.ascontiguousarray(design[:lead])
        solved = others @ other_rows(arrays, component, precision[0], gain, high, np.ascontiguousarray(design[lead:]))
        slopes[start + lead : stop] = -solved
        for i in range(lead):
            inner = 0.0
            slope = high[i].copy()
            for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
                value, k = precision[0] * arrays.beside_zz[j], arrays.beside[j]
                slope -= value * solved[k]
                for t in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
                    inner += value * others[k, arrays.beside[t]] * precision[0] * arrays.beside_zz[t]
            slopes[start + i] = -gain[i] * slope
            covariance[start + i, 0] = gain[i] + gain[i] * gain[i] * inner
        for place in range(first + lead, end):
            offset = arrays.unit_offset[place]
            for i in range(arrays.block_size[arrays.unit_block[place]]):
                for j in range(arrays.block_size[arrays.unit_block[place]]):
                    covariance[start + offset + i, j] = others[offset - lead + i, offset - lead + j]


def conditional_moments(data: CrossedData, x: Array) -> tuple[Array, Array]:
    """Means (U, q) of the random effects of every unit given the data, and covariances (U, q, q) of its terms."""
    return _moments(data, x)[:2]


def conditional_slopes(data: CrossedData, x: Array) -> Array:
    """Derivatives (U, q, n) of the conditional means by the parameters.

    By the means exactly; by standard deviations and correlations by central differences.
    """
    _, _, found = _moments(data, x)
    free = ~data.parameters.fixed
    others = np.setdiff1d(np.flatnonzero(free), data.mean_index)
    for i in others:
        step = STEP * max(abs(x[i]), 1e-8)
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        low = _moments(data, down if _inside(data, down) else x)[0]
        high = _moments(data, up if _inside(data, up) else x)[0]
        width = step * (_inside(data, down) + _inside(data, up))
        found[:, :, i] = (high - low) / width if width else 0.0
    return found


STEP = 1e-5


def _inside(data: CrossedData, x: Array) -> bool:
    """Whether no parameter is outside its domain."""
    domains = data.parameters.domains
    return bool(np.all((x >= domains.low) & (x <= domains.high)))


def _moments(data: CrossedData, x: Array) -> tuple[Array, Array, Array]:
    """Means (U, q), covariances (U, q, q) and slopes (U, q, n) by the means."""
    arrays, order = build_arrays(data), order_of(data)
    total, p, q = int(order.effect_start[-1]), len(data.mean_index), len(data.term_names)
    mean, covariance, by_means = np.empty(total), np.zeros((total, q)), np.empty((total, p))
    moments(arrays, x, mean, covariance, by_means)
    count, has_term = len(data.cluster_group), data.has_term()
    means, spreads = np.zeros((count, q)), np.zeros((count, q, q))
    slopes = np.zeros((count, q, len(data.parameters)))
    for b in np.unique(data.cluster_group):
        units, terms = np.flatnonzero(data.cluster_group == b), np.flatnonzero(has_term[b])
        places = order.start[units][:, None] + np.arange(len(terms))
        means[np.ix_(units, terms)] = mean[places]
        spreads[np.ix_(units, terms, terms)] = covariance[places][:, :, : len(terms)]
        for c, parameter in enumerate(data.mean_index):
            slopes[np.ix_(units, terms, [parameter])] += by_means[places, c][:, :, None]
    return means, spreads, slopes


@entry
def fill_variances(
    arrays: CrossedArrays, x: Array, component: Array, effects: Array, weights: Array, out: Array
) -> None:
    """Write ``Var(sum_k w_k u_k | y)`` (m,) of the effects (m, k), numbered in their component, -1 for none.

    Rows stand component by component.
    """
    groups = arrays.xy.shape[0]
    law = law_at(arrays, x)
    precision = np.empty(groups)
    for h in range(groups):
        precision[h] = x[arrays.residual_index[h]] ** -2.0
    row = 0
    while row < component.shape[0]:
        c = component[row]
        first, end = arrays.unit_start[c], arrays.unit_start[c + 1]
        lead, at = arrays.n_leading[c], arrays.leading_start[c]
        information = summed_products(arrays, c, precision)
        gain = np.empty(0)
        if lead > 0:
            gain, _, _ = fill_information(arrays, law, c, precision[0], information, np.zeros(1))
        others = conditional_covariance(arrays, law, first + lead, end, lead, information, np.zeros(1))
        weight = np.zeros(others.shape[0])
        while row < component.shape[0] and component[row] == c:
            weight[:] = 0.0  # of the effects that do not lead: leading ones are a sum of these and of noise
            out[row] = 0.0
            for k in range(effects.shape[1]):
                i, w = effects[row, k], weights[row, k]
                if i >= lead:
                    weight[i - lead] += w
                elif i >= 0:
                    out[row] += w * w * gain[i]
                    for j in range(arrays.beside_start[at + i], arrays.beside_start[at + i + 1]):
                        weight[arrays.beside[j]] -= w * gain[i] * precision[0] * arrays.beside_zz[j]
            touched = np.flatnonzero(weight)
            for one in touched:
                for two in touched:
                    out[row] += weight[one] * others[one, two] * weight[two]
            row += 1


def row_variances(data: CrossedData, x: Array, unit: Array, z: Array) -> Array:
    """Variances (m,) given the data of the sums of the random effects of rows with units (m, F); -1 for new ones."""
    arrays, order = build_arrays(data), order_of(data)
    has_term = data.has_term()
    place = np.cumsum(has_term, axis=1) - 1
    component_of = np.searchsorted(order.effect_start, order.start, side="right") - 1
    component = np.where(unit >= 0, component_of[unit], -1)
    first = order.start[unit] - order.effect_start[component_of[unit]]
    block, q = data.cluster_group[unit], z.shape[1]
    effects = np.where((unit >= 0)[:, :, None] & has_term[block], first[:, :, None] + place[block], -1)
    out = np.zeros(len(unit))
    for f in range(unit.shape[1]):  # units of a new row may be of several components, which are independent
        anew = (component[:, f] >= 0) & ~np.any(component[:, :f] == component[:, f, None], axis=1)
        rows = np.flatnonzero(anew)
        if not len(rows):
            continue
        rows = rows[np.argsort(component[rows, f], kind="stable")]
        here = (component[rows] == component[rows, f, None])[:, :, None]
        own = np.where(here, effects[rows], -1).reshape(len(rows), -1)
        weights = np.broadcast_to(z[rows][:, None, :], (len(rows), unit.shape[1], q)).reshape(len(rows), -1)
        found = np.zeros(len(rows))
        fill_variances(arrays, x, component[rows, f], own, np.ascontiguousarray(weights), found)
        out[rows] += found
    return out
