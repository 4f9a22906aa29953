"""Rows that were not there when a model was fitted, arranged as those of the fit were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.families.designed_others import DesignedRows, arrange_designed
from saem.families.glmm.data import GlmmData, trials_of
from saem.families.glmm.specification import GlmmModel

if TYPE_CHECKING:
    import pandas as pd

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class GlmmRows(DesignedRows):
    """m rows without a response, for the parameters of a `GlmmData`.

    Attributes
    ----------
    trials : (m,) ndarray
    """

    trials: _Floats

    def fixed_part(self, data: GlmmData, x: _Floats) -> _Floats:
        """The linear predictor (m,) without random effects, at parameters (n_parameters,) of the fit."""
        eta = self.mean_design @ x[data.mean_index]
        return np.asarray(eta if self.offset is None else eta + self.offset)


def arrange_others(model: GlmmModel, table: pd.DataFrame, data: GlmmData, others: pd.DataFrame) -> GlmmRows:
    """See `saem.families.designed_others.arrange_designed`."""
    found = arrange_designed(model, table, data, others)
    return GlmmRows(**vars(found.designed), trials=trials_of(model, found.columns, found.rows, len(others)))


def own_rows(data: GlmmData) -> GlmmRows:
    """The rows of the fit itself."""
    return GlmmRows(
        mean_design=data.mean_design,
        random_design=data.random_design,
        cluster=data.cluster,
        group=data.cluster_group[data.cluster],
        offset=data.offset,
        trials=data.trials,
    )
