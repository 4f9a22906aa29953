"""Rows that were not there when a model was fitted, arranged as those of the fit were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from saem.data.table import Rows
from saem.errors import DataError, nearest
from saem.expressions.columns import check_columns
from saem.families.designed_others import as_before, check_groups, clusters_of_rows, group_of
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.evaluation import NonlinearRows
from saem.families.nonlinear.specification import NonlinearModel

if TYPE_CHECKING:
    import pandas as pd


def own_rows(data: NonlinearData) -> NonlinearRows:
    """The rows of the fit itself."""
    return NonlinearRows(data.structure, data.columns, data.cluster, data.cluster_group[data.cluster])


def arrange_others(
    model: NonlinearModel, table: pd.DataFrame, data: NonlinearData, others: pd.DataFrame
) -> NonlinearRows:
    """See `saem.families.family.Family.arrange_others`.

    Raises
    ------
    DataError
        When a column is missing or of another type, or a value is missing.
    """
    if not hasattr(others, "columns"):
        raise DataError(f"the table must be a pandas DataFrame; got {type(others).__name__}")
    needed = [name for name in model.columns if name not in model.cluster and name != model.response]
    texts = [str(name) for name in others.columns]
    absent = [name for name in model.cluster if name not in texts and name not in needed]
    if len(absent) < len(model.cluster) or any(nearest(name, texts) for name in absent):
        needed += absent  # none of them, and none misspelt: rows of no cluster in particular
    check_columns(others, list(dict.fromkeys([*model.cluster, *needed])) if not absent else needed, "a prediction")
    if len(others) == 0:
        raise DataError("the table has no rows to predict")
    rows = Rows(others)
    strict = [name for name in model.columns if name not in model.cluster and name != model.response]
    columns = {name: as_before(table, others, name, rows) for name in strict}
    labels: Any = data.cluster_labels
    known = all(name in others.columns for name in model.cluster)
    cluster = clusters_of_rows(labels, others) if known else np.full(len(others), -1, dtype=np.int64)
    by = model.group_column
    group = group_of(columns, by, data.group_levels, len(others))
    if by is not None:
        check_groups(by, data, cluster, group, rows)
    return NonlinearRows(data.structure, columns, cluster, group)
