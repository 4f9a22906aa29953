"""From a linear model and a table to validated arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.designs import check_sizes
from saem.data.groups import repeated_rows
from saem.data.weights import check_weights
from saem.errors import DataError
from saem.families.designed_data import (
    apart_from,
    check_numbers_of_clusters,
    designs_of,
    grouped,
    shared_fields,
    take_in,
)
from saem.families.gaussian_data import GaussianData
from saem.families.linear.specification import LinearModel, layout_of
from saem.specification.layout import Layout, automatic_names

if TYPE_CHECKING:
    import pandas as pd

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearData(GaussianData):
    """What the linear family consumes."""


def arrange(
    model: LinearModel, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
) -> LinearData:
    """See `saem.families.arrange`."""
    taken = take_in(model, table, drop_missing)
    found = designs_of(model, taken, formula_state)
    n = len(taken.response)
    residual_group, residual_levels = grouped(model.residual.by, model.residual.sd, taken.factors, n)
    if isinstance(model.mean, str):
        names = automatic_names(model.random, found.group_levels)
        names |= set(model.residual.sd_names(residual_levels)) if model.residual.sd is None else set()
        found = replace(found, mean=apart_from(names, found.mean))
    layout = layout_of(model, found.mean.names, found.group_levels, residual_levels)
    _check_counts(model, layout, found.cluster_group, n, found.mean.matrix)
    weights = model.residual.weights
    response = taken.response if found.mean.offset is None else taken.response - found.mean.offset
    check_sizes((model.response,), response[:, None])
    shared = shared_fields(model, taken, found, layout)
    repeated = repeated_rows(response, found.cluster, taken.rows)  # of whole numbers it would be no wonder
    return LinearData(
        **shared | {"warnings": (*([] if repeated is None else [repeated]), *shared["warnings"])},
        response=response,
        residual_group=residual_group,
        residual_levels=residual_levels,
        residual_index=layout.residual_index,
        weights=None if weights is None else check_weights(weights, taken.columns[weights], taken.rows),
    )


def _check_counts(model: LinearModel, layout: Layout, cluster_group: _Codes, n: int, mean_design: _Floats) -> None:
    """Refuse tables that are too small for the variances or the means."""
    free = [name for names in layout.sds for name in names if name not in model.fixed]
    if len(cluster_group) == n and free and any(name not in model.fixed for name in layout.residual_sds):
        raise DataError(
            f"each of the {n} rows is a cluster of its own (cluster = {list(model.cluster)}), so the random effects "
            "cannot be told from the residual error; cluster must name what several rows have in common, such as the "
            "replicate, and these rows must be there"
        )
    check_numbers_of_clusters(model, layout, cluster_group)
    if n <= mean_design.shape[1]:
        rank = int(np.linalg.matrix_rank(mean_design))
        if n <= rank:
            raise DataError(f"too few rows: {n} rows for {rank} means leave nothing to estimate a variance from")
