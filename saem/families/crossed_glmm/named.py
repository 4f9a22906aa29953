"""The random effects of components by the levels of their factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.expressions.columns import level_text
from saem.families.crossed_glmm.data import positions_of, reading
from saem.families.crossed_glmm.specification import CrossedGlmmModel
from saem.families.glmm.data import GlmmData
from saem.families.levels import LevelEffects

if TYPE_CHECKING:
    import pandas as pd


def level_effects(model: CrossedGlmmModel, data: GlmmData, table: pd.DataFrame) -> LevelEffects:
    """See `saem.families.family.Family.level_effects`."""
    assert data.patterns is not None
    counts = data.patterns.counts[data.cluster_group][data.cluster]
    places = positions_of(model, counts, [units.position for units in data.units])
    clusters, coordinates, levels, terms = [], [], [], []
    slot, names = 0, list(reading(model))
    for (name, factor), units in zip(model.random.items(), data.units, strict=True):
        order = units.first[np.argsort(data.cluster[units.first], kind="stable")]
        columns = [table[column].iloc[order].tolist() for column in factor.cluster]
        texts = [", ".join(map(level_text, values)) for values in zip(*columns, strict=True)]
        alone = tuple(factor.terms) == ("intercept",)
        for _ in factor.terms:
            clusters.append(data.cluster[order])
            coordinates.append(places[order, slot])
            levels += texts
            terms += [name if alone else names[slot]] * len(order)
            slot += 1
    return LevelEffects(np.concatenate(clusters), np.concatenate(coordinates), tuple(levels), tuple(terms))
