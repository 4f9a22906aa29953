"""The rows that a fit was made of, for what is inferred from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from saem.data import ModelData, arrange
from saem.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd

    from saem.result import Fit


def refuse_posterior(fit: Fit, what: str) -> None:
    """Refuse a fit by "bayes" where something is inferred from the maximum of the likelihood.

    Raises
    ------
    ModelError
        When the fit is a posterior.
    """
    if fit.posterior is not None:
        raise ModelError(
            f"this needs {what}, and a fit by 'bayes' is a posterior; fit the same model by 'ml' beside it"
        )


def rows_of(fit: Fit) -> tuple[pd.DataFrame, ModelData]:
    """The table of a fit, and the same arranged as arrays.

    Raises
    ------
    ModelError
        When the fit has none.
    """
    if fit.table is None:
        raise ModelError("this fit was saved without its table; fit again, and go on from the new fit")
    return fit.table, arrange(fit.model, fit.table, formula_state=dict(fit.formula_state) or None)


def inside(fit: Fit, data: ModelData) -> np.ndarray:
    """The estimate (n,), with what stood for a residual standard deviation of zero when it was fitted."""
    if not np.any(fit.values[data.residual_index] == 0.0):
        return fit.values
    from saem.models import pose

    problem = pose(fit.model, data, restricted=fit.method == "reml")
    return np.where((fit.values == 0.0) & (problem.at_zero > 0.0), problem.at_zero, fit.values)


def cluster_index(fit: Fit) -> pd.Index[Any]:
    """The clusters (C,) of a fit as the index of a table: the values of the cluster columns."""
    import pandas as pd

    labels = fit.cluster_labels
    found: pd.Index[Any] = pd.MultiIndex.from_frame(labels)
    if len(labels.columns) == 1:
        found = pd.Index(labels.iloc[:, 0], name=labels.columns[0])
    return found
