"""Rows that were not there when a model was fitted, arranged as those of the fit were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.expressions.columns import check_columns
from saem.families.designed_others import clusters_and_groups, read_others
from saem.families.levels import level_codes, positions_of_others
from saem.families.nonlinear.data import NonlinearData, tree_columns
from saem.families.nonlinear.evaluation import NonlinearRows
from saem.families.nonlinear.predictors import other_columns
from saem.families.nonlinear.specification import NonlinearModel
from saem.families.nonlinear.structure import occasion_column, of_occasion
from saem.families.nonlinear.support import check_trials

if TYPE_CHECKING:
    import pandas as pd


def own_rows(data: NonlinearData) -> NonlinearRows:
    """The rows of the fit itself."""
    return NonlinearRows(data.structure, data.columns, data.cluster, data.cluster_group[data.cluster], data.weights)


def arrange_others(
    model: NonlinearModel, table: pd.DataFrame, data: NonlinearData, others: pd.DataFrame
) -> NonlinearRows:
    """See `saem.families.family.Family.arrange_others`.

    Raises
    ------
    DataError
        When a column is missing or of another type, or a value is missing.
    """
    keys = (model.outcome.trials,) if isinstance(model.outcome.trials, str) else ()  # what else a mean depends on
    groups = [name for name in model.group_columns if name not in model.occasion]
    strict = list(dict.fromkeys([*model.design_columns, *groups, *keys]))
    read, rows = read_others(model.cluster, strict, table, others)
    columns = tree_columns(model, keys, read, rows)
    if keys:
        check_trials(model.outcome, columns, rows)
    columns |= other_columns(model, data.predictors, data.formula_state, read, len(others), rows)
    cluster, group = clusters_and_groups(model.cluster, model.random.by, data, read, others, rows)
    if model.occasion:
        check_columns(others, list(model.occasion), "a prediction")
        units, (before, now) = data.units[0], level_codes(model.occasion, table, others)
        place = positions_of_others(units, data.cluster, before, cluster, now)
        # a new occasion has the place of the first, which every cluster has, and none of what is known of that
        columns |= {occasion_column(k): (np.maximum(place, 0) == k).astype(np.float64) for k in range(units.most)}
        first = {of_occasion(name, 0) for name, law in model.reading.laws.items() if law.occasion_sd is not None}
        of_first = np.array([effect.name in first for effect in data.structure.effects])
        fresh = ((cluster >= 0) & (place < 0))[:, None] & of_first
        return NonlinearRows(data.structure, columns, cluster, group, fresh=fresh)
    return NonlinearRows(data.structure, columns, cluster, group)
