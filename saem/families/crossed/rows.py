"""From rows to the arrays of the family."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from saem.errors import DataError
from saem.families.crossed.arrays import CrossedArrays
from saem.families.crossed.data import CrossedData
from saem.families.crossed.layout import ABSENT
from saem.families.linear.patterns import spanning_columns

Array = np.ndarray

SMALL = 200  # effects of a component that are treated alike; of more it is worth to integrate leading ones out
LARGEST = 6000  # effects of a component that do not lead: several matrices of them are held


class Order(NamedTuple):
    """The random effects of all units in the order of the arrays: component by component.

    Attributes
    ----------
    units : (U,) ndarray of int64
        The unit at each place.
    start : (U,) ndarray of int64
        The first effect of each unit, in the order of the table of units.
    unit_start, effect_start, n_leading : (C + 1,), (C + 1,), (C,) ndarray of int64
        See `CrossedArrays`.
    unit_offset : (U,) ndarray of int64
        By place: its first effect in its component.
    """

    units: Array
    start: Array
    unit_start: Array
    effect_start: Array
    n_leading: Array
    unit_offset: Array


def order_of(data: CrossedData) -> Order:
    """The order of the units and of their effects."""
    count, components = len(data.cluster_group), int(data.component.max()) + 1
    component = np.empty(count, dtype=np.int64)
    for own in data.unit.T:
        component[own] = data.component
    size = data.has_term().sum(axis=1)[data.cluster_group]
    total = np.bincount(component, weights=size, minlength=components)
    leads = np.zeros(count, dtype=bool)
    if len(data.residual_index) == 1:
        of_block = np.bincount(data.cluster_group, minlength=len(data.group_levels))
        factor = np.searchsorted(data.unit.max(axis=0), np.arange(count))
        single = [f for f in np.unique(factor) if len(np.unique(data.cluster_group[factor == f])) == 1]
        blocks = [int(data.cluster_group[factor == f][0]) for f in single]
        found = [(int(of_block[b]), f) for f, b in zip(single, blocks, strict=True) if data.has_term()[b].sum() == 1]
        if found:
            leads = (factor == max(found)[1]) & (total[component] > SMALL)
    units = np.lexsort((np.arange(count), ~leads, component))
    ends = np.cumsum(size[units])
    effect_start = np.concatenate([[0], np.cumsum(total)]).astype(np.int64)
    first = ends - size[units]
    start = np.empty(count, dtype=np.int64)
    start[units] = first
    return Order(
        units=units,
        start=start,
        unit_start=np.concatenate([[0], np.cumsum(np.bincount(component, minlength=components))]).astype(np.int64),
        effect_start=effect_start,
        n_leading=np.bincount(component[leads], minlength=components).astype(np.int64),
        unit_offset=first - effect_start[component[units]],
    )


def design_of(data: CrossedData, order: Order) -> Any:
    """The sparse design (n, Q) of all random effects."""
    n, rows, columns, values = len(data.response), [], [], []
    has_term = data.has_term()
    place = np.cumsum(has_term, axis=1) - 1  # of a term among those of its block
    for own in data.unit.T:
        block = data.cluster_group[own]
        for k in range(has_term.shape[1]):
            here = np.flatnonzero(has_term[block, k])
            rows.append(here)
            columns.append(order.start[own[here]] + place[block[here], k])
            values.append(data.random_design[here, k])
    total = int(order.effect_start[-1])
    parts = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array(parts, shape=(n, total))


def build_arrays(data: CrossedData) -> CrossedArrays:
    """The arrays of a validated table.

    Raises
    ------
    DataError
        When a component has more effects than a matrix of them can be held for.
    """
    order = order_of(data)
    components, groups = len(order.n_leading), len(data.residual_index)
    rest = np.diff(order.effect_start) - order.n_leading
    if rest.max() > LARGEST:
        raise DataError(
            f"{int(rest.max())} random effects hang together by common rows, beside those of the factor with most "
            f"levels; at most {LARGEST} can be fitted: nest factors that are nested (cluster = ['outer', 'inner']), or "
            "leave one out"
        )
    weights = np.ones(len(data.response)) if data.weights is None else data.weights
    design, x_design = design_of(data, order), data.mean_design
    root = np.sqrt(weights)
    reference = np.linalg.lstsq(x_design * root[:, None], data.response * root, rcond=1e-10)[0]
    rest_of_y = data.response - x_design @ reference
    free = ~data.parameters.fixed[data.mean_index]
    zz, zx, zy, xx, xy, yy = [], [], [], [], [], []
    for h in range(groups):
        own = np.flatnonzero(data.residual_group == h)
        z, x, y, w = design[own], x_design[own], rest_of_y[own], weights[own]
        weighted = (z * w[:, None]).tocsr() if data.weights is not None else z
        zz.append((z.T @ weighted).tocsr())
        zx.append(np.asarray(weighted.T @ x))
        zy.append(np.asarray(weighted.T @ y))
        xx.append(x.T @ (x * w[:, None]))
        xy.append(x.T @ (w * y))
        yy.append(float(y @ (w * y)))
    dense, leading, beside_start, beside, beside_zz = [], [], [np.zeros(1, dtype=np.int64)], [], []
    for c in range(components):
        first, end = order.effect_start[c], order.effect_start[c + 1]
        split = first + order.n_leading[c]
        dense.append(np.stack([each[split:end, split:end].toarray() for each in zz]).ravel())
        if split > first:
            leading.append(zz[0].diagonal()[first:split])
            others = zz[0][first:split, split:end].tocsr()
            others.sort_indices()
            beside_start.append(others.indptr[1:].astype(np.int64) + beside_start[-1][-1])
            beside.append(others.indices.astype(np.int64))
            beside_zz.append(others.data)
    sizes = data.has_term().sum(axis=1)
    slots = _slots(data)
    q = data.sd_index.shape[1]
    all_zx, all_xx, all_xy = np.stack(zx), np.stack(xx), np.stack(xy)
    p = all_xy.shape[1]
    return CrossedArrays(
        mean_index=np.ascontiguousarray(data.mean_index, dtype=np.int64),
        beta_reference=reference,
        basis=spanning_columns(x_design.T @ x_design, free),
        residual_index=np.ascontiguousarray(data.residual_index, dtype=np.int64),
        n_rows=np.bincount(data.residual_group, minlength=groups).astype(float),
        log_weight=0.5 * float(np.log(weights).sum()),
        constants=np.zeros(2),
        block_size=sizes.astype(np.int64),
        **slots,
        n_units=np.bincount(data.cluster_group, minlength=len(sizes)).astype(float),
        unit_start=order.unit_start,
        unit_block=np.ascontiguousarray(data.cluster_group[order.units], dtype=np.int64),
        unit_offset=order.unit_offset.astype(np.int64),
        effect_start=order.effect_start,
        n_leading=order.n_leading,
        zz=np.concatenate(dense),
        zz_start=np.concatenate([[0], np.cumsum([len(each) for each in dense])]).astype(np.int64),
        leading_zz=np.concatenate([np.empty(0), *leading]),
        leading_start=np.concatenate([[0], np.cumsum(order.n_leading)]).astype(np.int64),
        beside_start=np.concatenate(beside_start),
        beside=np.concatenate([np.empty(0, dtype=np.int64), *beside]),
        beside_zz=np.concatenate([np.empty(0), *beside_zz]),
        zx=all_zx,
        zy=np.stack(zy),
        xx=all_xx,
        xy=all_xy,
        yy=np.array(yy),
        is_centred=np.zeros(len(sizes), dtype=bool),
        location=np.zeros(all_zx.shape[1:]),
        location_moment=np.zeros((len(sizes), q, q, p, p)),
        left_xx=all_xx,
        left_xy=all_xy,
        left_zx=all_zx,
    )


def _slots(data: CrossedData) -> dict[str, Array]:
    """The parameters of every block, its own terms first, and its slots."""
    has_term = data.has_term()
    blocks, q = has_term.shape
    sd_index = np.full((blocks, q), ABSENT, dtype=np.int64)
    corr_index = np.full((blocks, q, q), ABSENT, dtype=np.int64)
    start, index, terms = [0], [], []
    for b in range(blocks):
        own = np.flatnonzero(has_term[b])
        d = len(own)
        sd_index[b, :d] = data.sd_index[b, own]
        corr_index[b, :d, :d] = data.corr_index[b][np.ix_(own, own)]
        index += list(sd_index[b, :d])
        terms += [(j, j) for j in range(d)]
        for j in range(d):
            for k in range(j):
                if corr_index[b, j, k] >= 0:
                    index.append(corr_index[b, j, k])
                    terms.append((k, j))
        start.append(len(index))
    return {
        "sd_index": sd_index,
        "corr_index": corr_index,
        "slot_start": np.array(start, dtype=np.int64),
        "slot_index": np.array(index, dtype=np.int64),
        "slot_terms": np.array(terms, dtype=np.int64).reshape(-1, 2),
    }
