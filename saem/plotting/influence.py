"""The influence of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.plotting.style import COLOURS, ESTIMATE, new_figure, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from saem.inference.influence import Influence

NAMED, FEW = 5, 30
LEAST, LINE_HEIGHT, LINE_WIDTH = 0.15, 0.06, 0.6  # of the axes: the lowest value that is named, the size of a name
LABELS = {"cooks_distance": "Cook's distance", "displacement": "likelihood displacement"}


def plot_influence(found: Influence, ax: Axes | None = None, measure: str = "cooks_distance") -> Axes:
    """Influence of every cluster, in the order of the table; the largest with the parameter that they move most.

    Clusters without which the model cannot be fitted are crosses at zero.

    Parameters
    ----------
    found : Influence
        Of `saem.influence`.
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    measure : str
        "cooks_distance" or "displacement".
    """
    if measure not in LABELS:
        raise ModelError(f"the measure must be 'cooks_distance' or 'displacement'; got {measure!r}")
    axes = new_figure(None, (7.0, 3.8)).subplots() if ax is None else ax
    table, group = found.table, found.fit.cluster_group
    values = table[measure].to_numpy()
    place, fitted = np.arange(len(values)), np.isfinite(values)
    for g in np.unique(group):
        here = fitted & (group == g)
        colour = COLOURS[g % len(COLOURS)]
        axes.vlines(place[here], 0.0, values[here], color=colour, lw=1.0, alpha=0.7)
        label = verbatim(found.fit.group_levels[g]) or None if g < len(found.fit.group_levels) else None
        axes.plot(place[here], values[here], "o", ms=3.5 if len(values) <= 200 else 1.5, color=colour, label=label)
    if not fitted.all():
        axes.plot(place[~fitted], np.zeros(np.sum(~fitted)), "x", color=ESTIMATE, ms=6, label="cannot be left out")
    texts = [verbatim(", ".join(map(str, key)) if isinstance(key, tuple) else key) for key in table.index]
    height = float(np.nanmax(values, initial=0.0)) or 1.0
    axes.set_ylim(0.0 if fitted.all() else -0.04 * height, 1.12 * height)
    for c in named(values):
        side = 1 if c < len(values) / 2 else -1
        axes.annotate(
            f"{texts[c]}: {table['largest'].iloc[c]} {table['change'].iloc[c]:+.2f} SE",
            (c, values[c]),
            (5 * side, 2),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            fontsize=7,
            color=COLOURS[group[c] % len(COLOURS)],
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        )
    columns = verbatim(", ".join(map(str, found.fit.cluster_labels.columns)))
    axes.tick_params(labelsize=8)
    if len(values) <= FEW:
        axes.set_xticks(place, texts, rotation=90, fontsize=7)
        axes.set_xlabel(columns, fontsize=9)
    else:
        axes.set_xlabel(f"cluster ({columns}), in the order of the table", fontsize=9)
    axes.set_ylabel(LABELS[measure], fontsize=9)
    if any(found.fit.group_levels) or not fitted.all():
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return axes


def named(values: np.ndarray) -> list[int]:
    """Which of the values (C,) to name: the largest five, but for those whose names would lie on a larger one's."""
    chosen: list[int] = []
    count, height = len(values), np.nanmax(values, initial=0.0)
    for c in np.argsort(-np.nan_to_num(values), kind="stable")[:NAMED]:
        apart = all(
            abs(values[c] - values[d]) > LINE_HEIGHT * height or abs(c - d) > LINE_WIDTH * count for d in chosen
        )
        if values[c] > LEAST * height and apart:
            chosen.append(int(c))
    return chosen
