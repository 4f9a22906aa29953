"""A validated table without one of the units, and whether a model is a special case of another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from saem.errors import DataError, ModelError
from saem.families.crossed.data import CrossedData
from saem.families.designed_nesting import columns
from saem.families.levels import connected


def without_cluster(data: CrossedData, cluster: int) -> CrossedData:
    """See `saem.families.family.Family.without_cluster`: without the rows of a unit, and the units that they leave.

    Raises
    ------
    DataError
        Saying of which parameter the other rows say nothing.
    """
    keep = ~np.any(data.unit == cluster, axis=1)
    if not keep.any():
        raise DataError("there are no other rows")
    stays = np.zeros(len(data.cluster_group), dtype=bool)
    stays[data.unit[keep].ravel()] = True
    number = np.cumsum(stays) - 1
    unit = number[data.unit[keep]]
    labels: Any = data.cluster_labels
    left = replace(
        data,
        response=data.response[keep],
        mean_design=np.ascontiguousarray(data.mean_design[keep]),
        random_design=np.ascontiguousarray(data.random_design[keep]),
        cluster=unit[:, 0],
        cluster_labels=labels[stays].reset_index(drop=True),
        cluster_group=data.cluster_group[stays],
        offset=None if data.offset is None else data.offset[keep],
        table=None,
        unit=unit,
        component=connected(list(unit.T)),
        residual_group=data.residual_group[keep],
        weights=None if data.weights is None else data.weights[keep],
    )
    _check_left(left)
    return left


def _check_left(left: CrossedData) -> None:
    """Refuse what is left where it says nothing of a parameter."""
    names, free = left.parameters.names, ~left.parameters.fixed
    for i, column in zip(left.mean_index, left.mean_design.T, strict=True):
        if free[i] and not column.any():
            raise DataError(f"no other level has rows on which {names[i]} acts")
    counts = np.bincount(left.cluster_group, minlength=len(left.group_levels))
    for i in np.unique(left.sd_index[left.sd_index >= 0]):
        if free[i] and counts @ np.sum(left.sd_index == i, axis=1) < 2:
            raise DataError(f"fewer than two levels are left for the standard deviation {names[i]}")
    rows = np.bincount(left.residual_group, minlength=len(left.residual_levels))
    for i, count in zip(left.residual_index, rows, strict=True):
        if count == 0:
            raise DataError(f"no other level has rows with the residual standard deviation {names[i]}")


def check_nested(small: CrossedData, large: CrossedData, with_means: bool = True) -> None:
    """See `saem.families.family.Family.check_nested`.

    Raises
    ------
    ModelError
    """
    if not np.array_equal(
        small.residual_sds(np.ones(len(small.parameters))), large.residual_sds(np.ones(len(large.parameters)))
    ):
        raise ModelError("the two models have different prior weights; they are not nested")
    own, other = ({data.parameters.names[i]: column for i, column in columns(data)} for data in (small, large))
    moved = [name for name, column in own.items() if name not in other or not np.array_equal(column, other[name])]
    if moved and with_means:
        raise ModelError(
            f"{moved[0]} acts on other rows, or by other numbers, in the larger model: they are not nested"
        )
    places = [(small.residual_index[small.residual_group], large.residual_index[large.residual_group])]
    for f in range(small.unit.shape[1]):
        same = _same_factors(small, f, large)
        for j, term in enumerate(small.term_names):
            ours = small.sd_index[small.cluster_group[small.unit[:, f]], j]
            if (ours < 0).all():
                continue
            k = large.term_names.index(term) if term in large.term_names else -1
            blocks = [large.sd_index[large.cluster_group[large.unit[:, g]], k] for g in same] if k >= 0 else []
            found = [theirs for theirs in blocks if (theirs >= 0).all()]
            if not found or not np.array_equal(small.random_design[:, j], large.random_design[:, k]):
                raise ModelError(f"the random term {term!r} is not in the larger model: they are not nested")
            places.append((ours, found[0]))
    for coarse, fine in places:
        if len({*zip(coarse.tolist(), fine.tolist(), strict=True)}) > len(set(fine.tolist())):
            raise ModelError(
                "standard deviations are shared in another way in the larger model: those of the smaller one must be "
                "shared by at least the same levels or rows"
            )


def _same_factors(small: CrossedData, f: int, large: CrossedData) -> list[int]:
    """The factors of the larger model whose levels have the same rows as those of a factor of the smaller one."""
    first = np.unique(small.unit[:, f], return_inverse=True)[1].ravel()
    found = []
    for g in range(large.unit.shape[1]):
        second = np.unique(large.unit[:, g], return_inverse=True)[1].ravel()
        pairs = len(np.unique(np.stack([first, second]), axis=1).T)
        if pairs == first.max() + 1 == second.max() + 1:
            found.append(g)
    if not found:
        labels: Any = small.cluster_labels
        name = labels["factor"].iloc[int(small.unit[0, f])]
        raise ModelError(f"the grouping factor {name!r} is not in the larger model: they are not nested")
    return found
