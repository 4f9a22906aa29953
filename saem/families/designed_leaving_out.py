"""A validated table without one of its clusters, with the designs as they are: nothing is coded or centred anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from saem.errors import DataError
from saem.families.arranged import DesignedData


def fields_without(data: DesignedData, cluster: int) -> dict[str, Any]:
    """The fields of `DesignedData` that differ without a cluster, 0 to C - 1."""
    keep = data.cluster != cluster
    labels: Any = data.cluster_labels
    stays = np.arange(len(data.cluster_group)) != cluster
    return {
        "response": data.response[keep],
        "mean_design": np.ascontiguousarray(data.mean_design[keep]),
        "random_design": np.ascontiguousarray(data.random_design[keep]),
        "cluster": data.cluster[keep] - (data.cluster[keep] > cluster),
        "cluster_labels": labels[stays],
        "cluster_group": data.cluster_group[stays],
        "offset": None if data.offset is None else data.offset[keep],
        "table": None,
    }


def check_left(left: DesignedData) -> None:
    """Refuse what is left where it says nothing of a parameter.

    Raises
    ------
    DataError
        Saying of which.
    """
    names, free = left.parameters.names, ~left.parameters.fixed
    for i, column in zip(left.mean_index, left.mean_design.T, strict=True):
        if i >= 0 and free[i] and not column.any():
            raise DataError(f"no other cluster has rows on which {names[i]} acts")
    groups = np.bincount(left.cluster_group, minlength=len(left.group_levels))
    for group, row in zip(groups, left.sd_index, strict=True):
        if (
            group == 0
            and np.all(row >= 0)
            and len(left.group_levels) == len(set(left.group_levels))
            and free[row].any()
        ):
            raise DataError(f"no other cluster is in the variance group of {names[row[free[row]][0]]}")
    for i in np.unique(left.sd_index[left.sd_index >= 0]):
        if free[i] and groups @ np.sum(left.sd_index == i, axis=1) < 2:
            raise DataError(f"one other cluster is left for the standard deviation {names[i]}")
