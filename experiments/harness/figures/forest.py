"""Panels with a line for every method, the cells one below the other, an estimand in each panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .choosing import Shown
from .style import BAND, COLUMN, FULL, cell_labels, new_page, shortened, symbol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..study import Study

LINE, AROUND, BELOW = 0.125, 0.5, 0.55  # inches: of a line, of a panel's title and ticks, of label and legend
HEADER = 1.25  # lines: of a cell's name
ACROSS = 4


@dataclass(frozen=True)
class Forest:
    """Where to draw.

    Attributes
    ----------
    figure : Figure
    panels : dict of str to Axes
        By estimand.
    at : (C, M) ndarray
        The line of every cell and method.
    """

    figure: Figure
    panels: dict[str, Axes]
    at: np.ndarray


def forest_height(cells: int, methods: int, estimands: int) -> float:
    """Inches."""
    rows = -(-estimands // ACROSS)
    return rows * (AROUND + LINE * cells * (methods + HEADER)) + BELOW


def new_forest(shown: Shown, study: Study) -> Forest:
    """Empty panels with the names of methods and cells."""
    n_cells, n_methods, n_estimands = shown.counts
    across = min(ACROSS, n_estimands)
    width = COLUMN if across == 1 else FULL
    figure = new_page(width, max(1.6, forest_height(*shown.counts)))
    grid = figure.subplots(-(-n_estimands // across), across, sharey=True, squeeze=False).ravel()
    for axes in grid[n_estimands:]:
        axes.remove()
    starts = np.arange(n_cells) * (n_methods + HEADER)
    at = starts[:, None] + HEADER + np.arange(n_methods)
    methods = list(shortened(shown.methods, 16).values())
    cells = list(cell_labels(study, shown.cells, 100 if across > 1 else 44).values())
    for k, (axes, estimand) in enumerate(zip(grid, shown.estimands, strict=False)):
        axes.set_title(symbol(estimand) if len(estimand) <= 26 else shortened([estimand], 26)[estimand])
        axes.set_zorder(n_estimands - k)  # a cell's name may run over the panels to the right
        axes.patch.set_visible(False)
        for start, name in zip(starts, cells, strict=True):
            axes.axhspan(start - 0.45, start + 0.45, color=BAND, lw=0, zorder=3)
            if k % across == 0:
                text = axes.text(0.0, start, " " + name, va="center", fontsize=6.5, zorder=4)
                text.set_transform(axes.get_yaxis_transform())
                text.set_in_layout(False)
        axes.set_yticks(at.ravel(), methods * n_cells, fontsize=6)
        axes.tick_params(axis="y", length=0, labelleft=k % across == 0)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(at[-1, -1] + 0.6, -0.6)
        axes.grid(axis="x")
        axes.locator_params(axis="x", nbins=4)
        axes.set_label(estimand)
    return Forest(figure, dict(zip(shown.estimands, grid, strict=False)), at)
