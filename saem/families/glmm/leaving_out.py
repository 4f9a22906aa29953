"""A validated table of a generalised linear mixed model without one of its clusters."""

from __future__ import annotations

from dataclasses import replace

from saem.families.designed_leaving_out import check_left, fields_without
from saem.families.glmm.data import GlmmData


def without_cluster(data: GlmmData, cluster: int) -> GlmmData:
    """See `saem.families.family.Family.without_cluster`."""
    left = replace(data, **fields_without(data, cluster), trials=data.trials[data.cluster != cluster])
    check_left(left)
    return left
