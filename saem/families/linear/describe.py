"""What a linear model and a table are, for people: parameters, clusters, groups and cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.families.description import Section
from saem.families.designed_describe import cells, clusters, parameters
from saem.families.gaussian_data import GaussianData
from saem.families.linear.data import LinearData
from saem.families.linear.specification import LinearModel

if TYPE_CHECKING:
    import pandas as pd


def describe(model: LinearModel, data: LinearData, rows: pd.DataFrame) -> list[Section]:
    """See `saem.families.family.Family.describe`."""
    by = model.residual.by
    residual = tuple(
        (int(i), f"rows where {by} is {level}" if by else "all rows")
        for i, level in zip(data.residual_index, data.residual_levels, strict=True)
    )
    notes: tuple[str, ...] = ()
    if data.weights is not None:
        least, most = data.weights.min(), data.weights.max()
        notes = (f"prior weights from {least:.4g} to {most:.4g}; they divide the residual variance of their rows",)
    found = [parameters(model, data, residual), clusters(model, data, notes)]
    return [*found, *([residual_groups(by, data)] if by else []), cells(model, rows, data)]


def residual_groups(by: str, data: GaussianData) -> Section:
    """Rows of every residual group."""
    counts = np.bincount(data.residual_group, minlength=len(data.residual_levels))
    names = [data.parameters.names[i] for i in data.residual_index]
    rows = [[level, name, str(n)] for level, name, n in zip(data.residual_levels, names, counts, strict=True)]
    return Section("Residual groups", (by, "residual SD", "rows"), rows, "llr")
