"""Rows that were not there when a linear model was fitted, arranged as those of the fit were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.data.weights import check_weights
from saem.families.designed_others import DesignedRows, arrange_designed, group_of
from saem.families.linear.data import LinearData
from saem.families.linear.specification import LinearModel

if TYPE_CHECKING:
    import pandas as pd

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearRows(DesignedRows):
    """m rows without a response, for the parameters of a `LinearData`.

    Attributes
    ----------
    residual_group : (m,) ndarray of int64
    weights : (m,) ndarray or None
        Prior weights; None where all are 1.
    """

    residual_group: NDArray[np.int64]
    weights: _Floats | None = None

    def residual_sds(self, data: LinearData, x: _Floats) -> _Floats:
        """The residual standard deviation (m,) of every row at parameters (n_parameters,) of the fit."""
        sds: _Floats = x[data.residual_index][self.residual_group]
        return sds if self.weights is None else sds / np.sqrt(self.weights)


def arrange_others(model: LinearModel, table: pd.DataFrame, data: LinearData, others: pd.DataFrame) -> LinearRows:
    """See `saem.families.designed_others.arrange_designed`."""
    found = arrange_designed(model, table, data, others)
    weights = model.residual.weights
    return LinearRows(
        **vars(found.designed),
        residual_group=group_of(found.columns, model.residual.by, data.residual_levels, len(others)),
        weights=None if weights is None else check_weights(weights, found.columns[weights], found.rows),
    )


def own_rows(data: LinearData) -> LinearRows:
    """The rows of the fit itself."""
    return LinearRows(
        mean_design=data.mean_design,
        random_design=data.random_design,
        cluster=data.cluster,
        group=data.cluster_group[data.cluster],
        offset=data.offset,
        residual_group=data.residual_group,
        weights=data.weights,
    )
