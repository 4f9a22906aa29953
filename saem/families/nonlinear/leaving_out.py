"""A validated table of a nonlinear model without one of its clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saem.errors import DataError
from saem.expressions.columns import Factor, Values
from saem.families.nonlinear.data import NonlinearData


def columns_without(data: NonlinearData, cluster: int) -> dict[str, Values]:
    """The columns of all other clusters."""
    keep = data.cluster != cluster
    return {name: v.take(keep) if isinstance(v, Factor) else v[keep] for name, v in data.columns.items()}


def without_cluster(data: NonlinearData, cluster: int) -> NonlinearData:
    """See `saem.families.family.Family.without_cluster`."""
    keep = data.cluster != cluster
    stays = np.arange(len(data.cluster_group)) != cluster
    labels = data.cluster_labels
    left = replace(
        data,
        response=data.response[keep],
        columns=columns_without(data, cluster),
        cluster=data.cluster[keep] - (data.cluster[keep] > cluster),
        cluster_labels=labels[stays],  # type: ignore[index]  # a table, by then
        cluster_group=data.cluster_group[stays],
        table=None,
    )
    groups = np.bincount(left.cluster_group, minlength=len(left.group_levels))
    free = ~left.parameters.fixed
    for i in np.unique(left.structure.sd_index):
        if i >= 0 and free[i] and groups @ np.sum(left.structure.sd_index == i, axis=1) < 2:
            raise DataError(f"one other cluster is left for the standard deviation {left.parameters.names[i]}")
    return left
