"""The log-density of all rows and random effects with its gradient, in one pass over the rows.

What `saem.families.contract.log_complete_all` asks for, by reverse differentiation: the derivatives of the rows by the
parameters and the coordinates ``z_c = m_c(x) + L_g(x) u_c`` are summed up, and led back through centres and roots when
all clusters are done. The random effects ``u_c`` are those of coordinates ``w_c`` that are guided by the data
(`guides`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from saem.expressions.row_sums import compile_row_sums
from saem.families import contract
from saem.families.contract import supply
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.columns import Lifted
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.density import fill_centres
from saem.families.nonlinear.functions import Builder
from saem.families.nonlinear.guides import follow_guide, guide, lead_back_cholesky, lead_back_guide
from saem.families.normal_root import LOG_2PI, SINGULAR, fill_plain_root
from saem.system.jit import borrowed, call_row_sums, entry, kernel, release

Array = np.ndarray


class SlopeArrays(NamedTuple):
    """Arrays of the family with what the gradient needs, as C functions by their addresses."""

    model: NonlinearArrays
    rows: int  # the log-density and its gradient by the parameters ``direct``, then by the coordinates
    direct: Array  # (p,) int64
    terms: int  # the K terms, then the derivatives of each by the parameters ``moving``
    moving: Array  # (m,) int64
    precisions: Array  # (C, d, d), H; zero where nothing guides
    pulls: Array  # (C, d), b


#: Machine code by the table that it is for; kept as long as that, for arrays know but its addresses.
_KEPT: WeakKeyDictionary[NonlinearData, tuple[Any, ...]] = WeakKeyDictionary()


def slope_arrays(data: NonlinearData, found: Lifted, arrays: NonlinearArrays) -> SlopeArrays:
    """The arrays of a table, not guided; functions are compiled if they are not in the cache folder."""
    builder = Builder(found, arrays.expanded, arrays.read.shape[1] > 0)
    coordinates = range(builder.n, builder.n + builder.d)
    terms = [builder.add(term) for term in found.terms]
    direct, moving = builder.used([builder.density]), builder.used(terms)
    rows = builder.compiled([builder.density, *builder.gradient(builder.density, [*direct, *coordinates])], len(direct))
    slopes = [slope for term in terms for slope in builder.gradient(term, moving)]
    of_terms = compile_row_sums(builder.graph, [*terms, *slopes], builder.n, 0, frozenset())
    _KEPT[data] = rows, of_terms
    clusters, d = len(arrays.group), arrays.sd_index.shape[1]
    return SlopeArrays(
        arrays,
        rows.address,
        np.array(direct, dtype=np.int64),
        of_terms.address,
        np.array(moving, dtype=np.int64),
        np.zeros((clusters, d, d)),
        np.zeros((clusters, d)),
    )


def guided(arrays: SlopeArrays, x: Array, modes: Array, curvatures: Array) -> SlopeArrays:
    """The arrays guided by the modes (C, d) of ``u`` at ``x`` and minus the Hessians (C, d, d); nan where unknown.

    ``H`` and ``b`` are such that the guided law there has this mode and this curvature, where that is larger than that
    of the law before the data.
    """
    model = arrays.model
    clusters, d = modes.shape
    roots, centres = np.empty((clusters, d, d)), np.empty((clusters, d))
    precisions, pulls = np.zeros((clusters, d, d)), np.zeros((clusters, d))
    fill_places(model, np.array(x, dtype=float), roots, centres)
    for c in range(clusters):
        told = curvatures[c] - np.eye(d)
        if not (np.isfinite(told).all() and np.isfinite(modes[c]).all() and np.all(np.diag(roots[c]) > 0.0)):
            continue
        values, vectors = np.linalg.eigh(0.5 * (told + told.T))
        inverse = np.linalg.inv(roots[c])
        half = inverse.T @ (vectors * np.sqrt(np.maximum(values, 0.0)))
        precisions[c] = half @ half.T
        pulls[c] = precisions[c] @ (centres[c] + roots[c] @ modes[c]) + inverse.T @ modes[c]
    return arrays._replace(precisions=precisions, pulls=pulls)


@entry
def fill_places(model: NonlinearArrays, x: Array, roots: Array, centres: Array) -> None:
    """Write roots (C, d, d) of the covariances, nan where there is none, and centres (C, d) of the coordinates."""
    d = centres.shape[1]
    for c in range(centres.shape[0]):
        fill_centres(model, x, c, centres[c].reshape((d, 1)))
        if not fill_plain_root(model.sd_index[model.group[c]], model.corr_index[model.group[c]], x, roots[c]):
            roots[c, :, :] = math.nan


@kernel
def lead_back_root(sd_index: Array, corr_index: Array, x: Array, bar: Array, gradient: Array) -> None:
    """Add what derivatives ``bar`` (d, d) by a root of `fill_plain_root` are by the parameters; ``bar`` is changed."""
    d = bar.shape[0]
    factor = np.zeros((d, d))
    for j in range(d):
        for k in range(j + 1):
            total = 1.0 if j == k else (x[corr_index[j, k]] if corr_index[j, k] >= 0 else 0.0)
            for i in range(k):
                total -= factor[j, i] * factor[k, i]
            factor[j, k] = math.sqrt(max(total, SINGULAR)) if j == k else total / factor[k, k]
            if sd_index[j] < 0:  # the effect is absent
                bar[j, k] = 0.0
                continue
            gradient[sd_index[j]] += bar[j, k] * factor[j, k]
            bar[j, k] *= x[sd_index[j]]
    lead_back_cholesky(factor, bar, SINGULAR)
    for j in range(d):
        for k in range(j):
            if corr_index[j, k] >= 0:
                gradient[corr_index[j, k]] += bar[j, k]


@kernel
def log_complete_slopes(arrays: SlopeArrays, x: Array, coordinates: Array, by_x: Array, by_coordinates: Array) -> float:
    """See `saem.families.contract.log_complete_all`."""
    arrays, x, coordinates = borrowed(arrays), borrowed(x), borrowed(coordinates)
    by_x, by_coordinates = borrowed(by_x), borrowed(by_coordinates)
    model, (clusters, d) = arrays.model, coordinates.shape
    p, count, moving = arrays.direct.shape[0], model.term_effect.shape[0], arrays.moving.shape[0]
    groups = model.sd_index.shape[0]
    memory = np.empty((6 + 3 * d + 2 * groups * d, d))
    numbers = np.empty(count + count * moving + count + 1 + p + d)
    room, row = borrowed(memory), borrowed(numbers)
    centre, z, u = room[0], room[1], room[2]
    left, middle, work = room[3], room[4], room[5]
    half, factor, by_factor = room[6 : 6 + d], room[6 + d : 6 + 2 * d], room[6 + 2 * d : 6 + 3 * d]
    roots = room[6 + 3 * d : 6 + (3 + groups) * d].reshape((groups, d, d))
    bars = room[6 + (3 + groups) * d :].reshape((groups, d, d))
    terms, pulls = row[: count + count * moving], row[count + count * moving : 2 * count + count * moving]
    out = row[2 * count + count * moving :]
    slope = out[1 + p :]
    bars[:, :, :] = 0.0
    pulls[:] = 0.0
    for g in range(groups):
        if not fill_plain_root(model.sd_index[g], model.corr_index[g], x, roots[g]):
            return -math.inf
    if count > 0:
        call_row_sums(arrays.terms, x, x, model.columns, 0, 1, terms)  # they read no column
    by_x[:] = 0.0
    total = -0.5 * clusters * d * LOG_2PI
    for cluster in range(clusters):
        first, rows, g = model.first[cluster], model.first[cluster + 1] - model.first[cluster], model.group[cluster]
        root, bar, by_w = roots[g], bars[g], by_coordinates[cluster]
        for j in range(d):
            centre[j] = 0.0
        for k in range(count):
            centre[model.term_effect[k]] += model.basis[cluster, k] * terms[k]
        if not guide(arrays.precisions[cluster], arrays.pulls[cluster], root, centre, half, left, factor):
            return -math.inf
        total += follow_guide(root, left, factor, coordinates[cluster], middle, u)
        for j in range(d):
            z[j] = centre[j]
            for k in range(j + 1):
                z[j] += root[j, k] * u[k]
            total -= 0.5 * u[j] * u[j]
        call_row_sums(arrays.rows, x, z, model.columns, first, rows, out)
        total += out[0]
        if not total > -math.inf:  # nan, too: no density there
            return -math.inf
        for i in range(p):
            by_x[arrays.direct[i]] += out[1 + i]
        for j in range(d):
            by_w[j] = -u[j]
        for k in range(d):
            for j in range(k + 1):
                by_w[j] += root[k, j] * slope[k]
                bar[k, j] += slope[k] * u[j]
        lead_back_guide(half, left, factor, middle, u, by_w, work, by_factor, bar, slope)
        for k in range(count):
            pulls[k] += model.basis[cluster, k] * slope[model.term_effect[k]]
    for k in range(count):
        for i in range(moving):
            by_x[arrays.moving[i]] += pulls[k] * terms[count + k * moving + i]
    for g in range(groups):
        lead_back_root(model.sd_index[g], model.corr_index[g], x, bars[g], by_x)
    release(memory)
    release(numbers)
    return float(total)


@kernel
def fill_guide_of_slopes(arrays: SlopeArrays, x: Array, cluster: int, shift: Array, factor: Array) -> bool:
    """See `saem.families.contract.fill_guide`."""
    model, d = arrays.model, shift.shape[0]
    root, half, centre = np.empty((d, d)), np.empty((d, d)), np.empty((d, 1))
    left, middle = np.empty(d), np.empty(d)
    group = model.group[cluster]
    if not fill_plain_root(model.sd_index[group], model.corr_index[group], x, root):
        return False
    fill_centres(model, x, cluster, centre)
    if not guide(arrays.precisions[cluster], arrays.pulls[cluster], root, centre.reshape(d), half, left, factor):
        return False
    follow_guide(root, left, factor, np.zeros(d), middle, shift)
    return True


supply(contract.log_complete_all, SlopeArrays, log_complete_slopes)
supply(contract.fill_guide, SlopeArrays, fill_guide_of_slopes)
