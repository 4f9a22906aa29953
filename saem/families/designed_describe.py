"""What a model with a design and a table are, for people: parameters, clusters and cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.families.arranged import DesignedData
from saem.families.description import Section
from saem.families.designed_model import DesignedModel
from saem.system.display import count

if TYPE_CHECKING:
    import pandas as pd

MOST_CELLS = 24


def parameters(model: DesignedModel, data: DesignedData, more: tuple[tuple[int, str], ...] = ()) -> Section:
    """Every parameter with its kind, where it acts, and its value if it is fixed.

    Parameters
    ----------
    model : DesignedModel
    data : DesignedData
    more : tuple of (int, str)
        Parameters of residual errors, and where they act.
    """
    places: dict[int, list[str]] = {int(i): [] for i in range(len(data.parameters))}
    words = {i: domain.short for i, domain in enumerate(data.parameters.domains)}
    for i, label in zip(data.mean_index, data.mean_labels, strict=True):
        places[int(i)].append("all rows" if label in ("1", "Intercept") else label)
    for group, level in enumerate(data.group_levels):
        of = f" where {model.random.by} is {level}" if model.random.by else ""
        for k, term in enumerate(data.term_names):
            i = int(data.sd_index[group, k])
            words[i] = "random-effect SD"
            places[i].append(f"{term}{of}")
            for j in range(k):
                if data.corr_index[group, j, k] >= 0:
                    places[int(data.corr_index[group, j, k])].append(f"{data.term_names[j]} and {term}{of}")
    for i, place in more:
        words[i] = "residual SD" if not places[i] else "random-effect and residual SD"
        places[i].append(place)
    fixed = [f"{v:g}" if f else "" for f, v in zip(data.parameters.fixed, data.parameters.fixed_values, strict=True)]
    rows = [[name, words[i], "; ".join(places[i]), fixed[i]] for i, name in enumerate(data.parameters.names)]
    n = 4 if any(fixed) else 3
    header = ("parameter", "kind", "acts on", "fixed at")
    return Section("Parameters", header[:n], [row[:n] for row in rows], "lllr"[:n])


def clusters(model: DesignedModel, data: DesignedData, notes: tuple[str, ...] = ()) -> Section:
    """Clusters and rows of every variance group."""
    sizes = np.bincount(data.cluster, minlength=len(data.cluster_group))
    rows = []
    for group, level in enumerate(data.group_levels):
        own = sizes[data.cluster_group == group]
        each = f"{own.min()}" if own.min() == own.max() else f"{own.min()} to {own.max()}"
        sds = ", ".join(data.parameters.names[i] for i in data.sd_index[group])
        rows.append([level or "all", sds, str(len(own)), str(own.sum()), each])
    header = (model.random.by or "group", "random-effect SD", "clusters", "rows", "rows per cluster")
    return Section(f"Clusters ({' × '.join(model.cluster)})", header, rows, "llrrr", notes)


def cells(model: DesignedModel, rows: pd.DataFrame, data: DesignedData, what: str = "mean") -> Section:
    """The distinct means of the model (or what else is linear) with their counts, and the rank of the design."""
    design, n_columns = data.mean_design, data.mean_design.shape[1]
    _, first, inverse = np.unique(design, axis=0, return_index=True, return_inverse=True)
    counts = np.bincount(inverse.ravel())
    order = np.argsort(first)
    names = [data.parameters.names[i] for i in data.mean_index]
    labels = rows[[name for name in rows.columns if name in model.fixed_columns]]
    found = [
        [*labels.iloc[first[k]].map(str), str(counts[k]), mean_words(design[first[k]], names)]
        for k in order[:MOST_CELLS]
    ]
    more = [f"and {len(first) - MOST_CELLS} more"] if len(first) > MOST_CELLS else []
    rank = int(np.linalg.matrix_rank(design[first]))
    fixed = int(data.parameters.fixed[data.mean_index].sum())
    text = f"{count(n_columns, 'mean parameter')}, rank of their design {rank}"
    if fixed:
        text += f", {fixed} of them fixed"
    if rank < n_columns:
        text += f": the rows alone leave {count(n_columns - rank, 'direction')} of the means to the constraints"
    header = (*map(str, labels.columns), "rows", what)
    align = "l" * len(labels.columns) + "rl"
    return Section(f"Cells ({count(len(first), f'different {what}')})", header, found, align, (*more, "", text))


def mean_words(row: np.ndarray, names: list[str]) -> str:
    """A row of the mean design as a sum: `mu + c2 + 2.5 slope`."""
    terms = []
    for value, name in zip(row, names, strict=True):
        if value == 0:
            continue
        sign = "-" if value < 0 else "+"
        terms.append(f"{sign} {name}" if abs(value) == 1 else f"{sign} {abs(value):.4g} {name}")
    return " ".join(terms).removeprefix("+ ") or "0"
