"""A validated table without one of its clusters, with the designs as they are: nothing is coded or centred anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saem.errors import DataError
from saem.families.linear.data import ModelData


def without_cluster(data: ModelData, cluster: int) -> ModelData:
    """The data of all other clusters.

    Parameters
    ----------
    data : ModelData
    cluster : int
        0 to C - 1.

    Raises
    ------
    DataError
        Saying which parameter the other clusters leave without data.
    """
    keep = data.cluster != cluster
    stays = np.arange(len(data.cluster_group)) != cluster
    left = replace(
        data,
        response=data.response[keep],
        mean_design=np.ascontiguousarray(data.mean_design[keep]),
        random_design=np.ascontiguousarray(data.random_design[keep]),
        cluster=data.cluster[keep] - (data.cluster[keep] > cluster),
        cluster_labels=data.cluster_labels[stays],
        cluster_group=data.cluster_group[stays],
        residual_group=data.residual_group[keep],
        weights=None if data.weights is None else data.weights[keep],
        offset=None if data.offset is None else data.offset[keep],
        table=None,
    )
    names, free = data.parameters.names, ~data.parameters.fixed
    for i, column in zip(left.mean_index, left.mean_design.T, strict=True):
        if free[i] and not column.any():
            raise DataError(f"no other cluster has rows on which {names[i]} acts")
    groups = np.bincount(left.cluster_group, minlength=len(data.group_levels))
    for group, row in zip(groups, data.sd_index, strict=True):
        if group == 0 and free[row].any():
            raise DataError(f"no other cluster is in the variance group of {names[row[free[row]][0]]}")
    for i in np.unique(data.sd_index[:, :]):
        if free[i] and groups @ np.sum(data.sd_index == i, axis=1) < 2:
            raise DataError(f"one other cluster is left for the standard deviation {names[i]}")
    rows = np.bincount(left.residual_group, minlength=len(data.residual_levels))
    for i, count in zip(data.residual_index, rows, strict=True):
        if count == 0:
            raise DataError(f"no other cluster has rows with the residual standard deviation {names[i]}")
    return left
