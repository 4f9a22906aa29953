"""What a model with several grouping factors and a table are, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.families.crossed.data import CrossedData
from saem.families.crossed.specification import CrossedModel
from saem.families.description import Section
from saem.families.designed_describe import cells
from saem.families.linear.describe import residual_groups
from saem.system.display import count

if TYPE_CHECKING:
    import pandas as pd


def describe(model: CrossedModel, data: CrossedData, rows: pd.DataFrame) -> list[Section]:
    """See `saem.families.family.Family.describe`."""
    by = model.residual.by
    found = [_parameters(model, data), _factors(model, data)]
    return [*found, *([residual_groups(by, data)] if by else []), cells(model, rows, data)]


def _parameters(model: CrossedModel, data: CrossedData) -> Section:
    """Every parameter with its kind, where it acts, and its value if it is fixed."""
    places: dict[int, list[str]] = {i: [] for i in range(len(data.parameters))}
    words = {i: domain.short for i, domain in enumerate(data.parameters.domains)}
    for i, label in zip(data.mean_index, data.mean_labels, strict=True):
        places[int(i)].append("all rows" if label in ("1", "Intercept") else label)
    for b, block in enumerate(data.group_levels):
        own = np.flatnonzero(data.sd_index[b] >= 0)
        for k in own:
            words[int(data.sd_index[b, k])] = "random-effect SD"
            places[int(data.sd_index[b, k])].append(f"{data.term_names[k]} of {block}")
            for j in own[own < k]:
                if data.corr_index[b, j, k] >= 0:
                    pair = f"{data.term_names[j]} and {data.term_names[k]} of {block}"
                    places[int(data.corr_index[b, j, k])].append(pair)
    for i, level in zip(data.residual_index, data.residual_levels, strict=True):
        words[int(i)] = "random-effect and residual SD" if places[int(i)] else "residual SD"
        places[int(i)].append(f"rows where {model.residual.by} is {level}" if model.residual.by else "all rows")
    fixed = [f"{v:g}" if f else "" for f, v in zip(data.parameters.fixed, data.parameters.fixed_values, strict=True)]
    lines = [[name, words[i], "; ".join(places[i]), fixed[i]] for i, name in enumerate(data.parameters.names)]
    n = 4 if any(fixed) else 3
    header = ("parameter", "kind", "acts on", "fixed at")
    return Section("Parameters", header[:n], [line[:n] for line in lines], "lllr"[:n])


def _factors(model: CrossedModel, data: CrossedData) -> Section:
    """Levels and rows of every block."""
    lines, f, before = [], -1, ""
    for b, block in enumerate(data.group_levels):
        factor = block.split(" where ")[0]
        f, before = (f + 1, factor) if factor != before else (f, before)
        rows = np.bincount(data.unit[:, f], minlength=len(data.cluster_group))[data.cluster_group == b]
        each = f"{rows.min()}" if rows.min() == rows.max() else f"{rows.min()} to {rows.max()}"
        sds = ", ".join(data.parameters.names[i] for i in data.sd_index[b] if i >= 0)
        columns = " × ".join(model.random[factor].cluster)
        lines.append([block, columns, sds, str(len(rows)), each])
    components = int(data.component.max()) + 1
    note = (
        "all rows hang together by common levels"
        if components == 1
        else f"{count(components, 'part')} of the table have no level in common: they are independent"
    )
    weighted: tuple[str, ...] = ()
    if data.weights is not None:
        least, most = data.weights.min(), data.weights.max()
        weighted = (f"prior weights from {least:.4g} to {most:.4g}; they divide the residual variance of their rows",)
    header = ("factor", "columns", "random-effect SD", "levels", "rows per level")
    return Section("Grouping factors", header, lines, "lllrr", (note, *weighted))
