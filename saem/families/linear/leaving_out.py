"""A validated table of a linear model without one of its clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saem.errors import DataError
from saem.families.designed_leaving_out import check_left, fields_without
from saem.families.linear.data import LinearData


def without_cluster(data: LinearData, cluster: int) -> LinearData:
    """See `saem.families.family.Family.without_cluster`."""
    keep = data.cluster != cluster
    left = replace(
        data,
        **fields_without(data, cluster),
        residual_group=data.residual_group[keep],
        weights=None if data.weights is None else data.weights[keep],
    )
    check_left(left)
    rows = np.bincount(left.residual_group, minlength=len(data.residual_levels))
    for i, count in zip(data.residual_index, rows, strict=True):
        if count == 0:
            name = data.parameters.names[i]
            raise DataError(f"no other cluster has rows with the residual standard deviation {name}")
    return left
