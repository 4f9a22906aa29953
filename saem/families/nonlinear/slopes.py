"""The log-density of all rows and random effects with its gradient, in one pass over the rows.

What `saem.families.contract.log_complete_all` asks for, by reverse differentiation: the derivatives of the rows by the
parameters and the coordinates ``z_c = m_c(x) + L_g(x) u_c`` are summed up, and led back through centres and roots when
all clusters are done.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from saem.expressions.row_sums import compile_row_sums
from saem.families import contract
from saem.families.nonlinear.arrays import NonlinearArrays
from saem.families.nonlinear.columns import Lifted
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.functions import Builder
from saem.families.normal_root import LOG_2PI, SINGULAR, fill_plain_root
from saem.system.jit import call_row_sums, kernel, overload

Array = np.ndarray


class SlopeArrays(NamedTuple):
    """Arrays of the family with what the gradient needs, as C functions by their addresses."""

    model: NonlinearArrays
    rows: int  # the log-density and its gradient by the parameters ``direct``, then by the coordinates
    direct: Array  # (p,) int64
    terms: int  # the K terms, then the derivatives of each by the parameters ``moving``
    moving: Array  # (m,) int64


#: Machine code by the table that it is for; kept as long as that, for arrays know but its addresses.
_KEPT: WeakKeyDictionary[NonlinearData, tuple[Any, ...]] = WeakKeyDictionary()


def slope_arrays(data: NonlinearData, found: Lifted, arrays: NonlinearArrays) -> SlopeArrays:
    """The arrays of a table, whose functions are compiled if they are not in the cache folder."""
    builder = Builder(found, arrays.expanded)
    coordinates = range(builder.n, builder.n + builder.d)
    terms = [builder.add(term) for term in found.terms]
    direct, moving = builder.used([builder.density]), builder.used(terms)
    rows = builder.compiled([builder.density, *builder.gradient(builder.density, [*direct, *coordinates])])
    slopes = [slope for term in terms for slope in builder.gradient(term, moving)]
    of_terms = compile_row_sums(builder.graph, [*terms, *slopes], builder.n, 0, frozenset())
    _KEPT[data] = rows, of_terms
    return SlopeArrays(
        arrays,
        rows.address,
        np.array(direct, dtype=np.int64),
        of_terms.address,
        np.array(moving, dtype=np.int64),
    )


@kernel
def lead_back_root(sd_index: Array, corr_index: Array, x: Array, bar: Array, gradient: Array) -> None:
    """Add what derivatives ``bar`` (d, d) by a root of `fill_plain_root` are by the parameters; ``bar`` is changed.

    The steps of the factorisation in reverse order.
    """
    d = bar.shape[0]
    factor = np.zeros((d, d))
    for j in range(d):
        for k in range(j + 1):
            total = 1.0 if j == k else (x[corr_index[j, k]] if corr_index[j, k] >= 0 else 0.0)
            for i in range(k):
                total -= factor[j, i] * factor[k, i]
            factor[j, k] = math.sqrt(max(total, SINGULAR)) if j == k else total / factor[k, k]
            gradient[sd_index[j]] += bar[j, k] * factor[j, k]
            bar[j, k] *= x[sd_index[j]]
    for j in range(d - 1, -1, -1):
        for k in range(j, -1, -1):
            total = bar[j, k] / factor[k, k]
            if j == k:
                for i in range(k if factor[j, j] * factor[j, j] > SINGULAR else 0):  # else it is held
                    bar[j, i] -= factor[j, i] * total
                continue
            bar[k, k] -= factor[j, k] * total
            for i in range(k):
                bar[j, i] -= factor[k, i] * total
                bar[k, i] -= factor[j, i] * total
            if corr_index[j, k] >= 0:
                gradient[corr_index[j, k]] += total


@kernel
def log_complete_slopes(arrays: SlopeArrays, x: Array, effects: Array, by_x: Array, by_effects: Array) -> float:
    """See `saem.families.contract.log_complete_all`."""
    model, (clusters, d) = arrays.model, effects.shape
    p, count, moving = arrays.direct.shape[0], model.term_effect.shape[0], arrays.moving.shape[0]
    groups = model.sd_index.shape[0]
    terms, pulls = np.empty(count + count * moving), np.zeros(count)
    roots, bars = np.empty((groups, d, d)), np.zeros((groups, d, d))
    z, out = np.empty(d), np.empty(1 + p + d)
    for g in range(groups):
        if not fill_plain_root(model.sd_index[g], model.corr_index[g], x, roots[g]):
            return -math.inf
    if count > 0:
        call_row_sums(arrays.terms, x, x, model.columns, 0, 1, terms)  # they read no column
    by_x[:] = 0.0
    total = -0.5 * clusters * d * LOG_2PI
    for cluster in range(clusters):
        first, rows, g = model.first[cluster], model.first[cluster + 1] - model.first[cluster], model.group[cluster]
        root, bar, u = roots[g], bars[g], effects[cluster]
        for j in range(d):
            z[j] = 0.0
            for k in range(j + 1):
                z[j] += root[j, k] * u[k]
            total -= 0.5 * u[j] * u[j]
        for k in range(count):
            z[model.term_effect[k]] += model.basis[cluster, k] * terms[k]
        call_row_sums(arrays.rows, x, z, model.columns, first, rows, out)
        total += out[0]
        if not total > -math.inf:  # nan, too: no density there
            return -math.inf
        for i in range(p):
            by_x[arrays.direct[i]] += out[1 + i]
        slope = out[1 + p :]
        for k in range(count):
            pulls[k] += model.basis[cluster, k] * slope[model.term_effect[k]]
        for j in range(d):
            by_effects[cluster, j] = -u[j]
        for k in range(d):
            for j in range(k + 1):
                by_effects[cluster, j] += root[k, j] * slope[k]
                bar[k, j] += slope[k] * u[j]
    for k in range(count):
        for i in range(moving):
            by_x[arrays.moving[i]] += pulls[k] * terms[count + k * moving + i]
    for g in range(groups):
        lead_back_root(model.sd_index[g], model.corr_index[g], x, bars[g], by_x)
    return float(total)


contract.OWN["log_complete_all"].add(SlopeArrays)


@overload(contract.log_complete_all, inline="always")
def _log_complete_all(arrays, x, effects, by_x, by_effects):  # type: ignore[no-untyped-def]
    if contract.is_a(arrays, SlopeArrays):
        return lambda arrays, x, effects, by_x, by_effects: log_complete_slopes(arrays, x, effects, by_x, by_effects)
    return None
