"""What a model with several grouping factors is of a table, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.families.crossed_glmm.specification import CrossedGlmmModel, correlations
from saem.families.description import Section
from saem.families.designed_describe import cells
from saem.families.glmm.data import GlmmData

if TYPE_CHECKING:
    import pandas as pd


def describe(model: CrossedGlmmModel, data: GlmmData, rows: pd.DataFrame) -> list[Section]:
    """See `saem.families.family.Family.describe`."""
    return [parameters(model, data), factors(model, data), cells(model, rows, data, "predictor")]


def parameters(model: CrossedGlmmModel, data: GlmmData) -> Section:
    """Every parameter with its kind, where it acts, and its value if it is fixed."""
    places: dict[str, list[str]] = {name: [] for name in data.parameters.names}
    kinds = {name: domain.short for name, domain in zip(places, data.parameters.domains, strict=True)}
    for i, label in zip(data.mean_index, data.mean_labels, strict=True):
        places[data.parameters.names[i]].append("all rows" if label in ("1", "Intercept") else label)
    for name, factor in model.random.items():
        for term, sd in zip(factor.terms, factor.sd_names(None), strict=True):
            kinds[sd] = "random-effect SD"
            places[sd].append(f"{term} of {name}")
        terms = list(factor.terms)
        for (i, j), corr in correlations(factor).items():
            places[corr].append(f"{terms[i]} and {terms[j]} of {name}")
    found = []
    for i, (name, where) in enumerate(places.items()):
        fixed = f"{data.parameters.fixed_values[i]:g}" if data.parameters.fixed[i] else ""
        found.append([name, kinds[name], "; ".join(where), fixed])
    n = 4 if any(row[3] for row in found) else 3
    header = ("parameter", "kind", "acts on", "fixed at")
    return Section("Parameters", header[:n], [row[:n] for row in found], "lllr"[:n])


def factors(model: CrossedGlmmModel, data: GlmmData) -> Section:
    """The levels of every factor, and how many of them rows share."""
    found = []
    for (name, factor), units in zip(model.random.items(), data.units, strict=True):
        sizes = np.bincount(units.of_row)
        found.append(
            [name, " × ".join(factor.cluster), ", ".join(factor.sd_names(None)), str(len(sizes)), span(sizes),
             span(units.counts)]
        )  # fmt: skip
    header = ("factor", "columns", "random-effect SD", "levels", "rows per level", "levels per component")
    effects = sum(units.counts * len(f.terms) for units, f in zip(data.units, model.random.values(), strict=True))
    notes = (
        f"{model.outcome.distribution} outcomes; the {model.outcome.link} of their mean is linear",
        f"components of rows that share levels: {len(data.cluster_group)}, with {span(np.asarray(effects))} random "
        "effects each",
    )
    return Section("Grouping factors", header, found, "lllrrr", notes)


def span(numbers: np.ndarray) -> str:
    """The smallest and the largest of some numbers, in words."""
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low}" if low == high else f"{low} to {high}"
