"""Rows that were not there when a model with several grouping factors was fitted, arranged as those of the fit were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import DataError
from saem.expressions.columns import check_columns
from saem.families.crossed_glmm.data import coordinates_read, random_design
from saem.families.crossed_glmm.specification import CrossedGlmmModel
from saem.families.designed_others import evaluated, formula_design, read_others
from saem.families.glmm.columns import columns_of
from saem.families.glmm.data import GlmmData
from saem.families.levels import level_codes
from saem.families.nonlinear.evaluation import NonlinearRows

if TYPE_CHECKING:
    import pandas as pd


def arrange_others(model: CrossedGlmmModel, table: pd.DataFrame, data: GlmmData, others: pd.DataFrame) -> NonlinearRows:
    """See `saem.families.family.Family.arrange_others`.

    Levels of the fit have their own effects. A new level beside known ones has an effect of its own law; a row with
    none but new ones is of a new cluster.

    Raises
    ------
    DataError
        When a row has levels of different components.
    """
    check_columns(others, list(model.cluster), "a prediction")
    strict = list(dict.fromkeys([*model.design_columns, *model.number_columns]))
    columns, rows = read_others((), strict, table, others)
    m = len(others)
    offset = None
    if isinstance(model.design, str):
        mean, offset = formula_design(model.design, m, columns, data.formula_state, rows)
    else:
        mean = evaluated(model.design, columns, m, rows)
    cluster, places = np.full(m, -1, dtype=np.int64), []
    for (name, factor), units in zip(model.random.items(), data.units, strict=True):
        before, now = level_codes(factor.cluster, table, others)
        known = dict(zip(before.tolist(), range(len(before)), strict=True))  # the last row of each level
        at = np.array([known.get(level, -1) for level in now.tolist()], dtype=np.int64)
        own = np.where(at >= 0, data.cluster[at], -1)
        bad = (own >= 0) & (cluster >= 0) & (own != cluster)
        if bad.any():
            raise DataError(
                f"the level of {name!r} in {rows.first(bad)} has no row of the fit in common with its other levels, "
                "directly or by others: their effects given the data are not known together; predict it with one of "
                "the levels left new"
            )
        cluster = np.where(own >= 0, own, cluster)
        places.append(np.where(at >= 0, units.position[at], -1))
    new = cluster < 0
    assert data.patterns is not None
    group = np.where(new, 0, data.cluster_group[cluster])
    counts = data.patterns.counts[group]
    # a new level has the place of the first, which every cluster has, and none of what is known of that
    reads = coordinates_read(model, counts, [np.maximum(place, 0) for place in places])
    unknown = coordinates_read(model, counts, [np.where(~new & (place < 0), 0, -1) for place in places])
    terms = np.hstack([evaluated(factor.terms, columns, m, rows) for factor in model.random.values()])
    random = random_design(reads, terms, len(data.term_names))
    fresh = random_design(unknown, np.ones_like(terms), len(data.term_names)) > 0.0
    names = [data.parameters.names[i] for i in data.mean_index]
    read = columns_of(model, names, mean, random, offset, columns, rows, data.term_names)
    return NonlinearRows(data.structure, read, cluster, group, random, fresh)
