"""Heat map of coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .choosing import ALL, Choice, Shown, choose, grid_of, measured, with_values
from .lolly import NOMINAL
from .style import (
    FULL,
    cell_labels,
    label_below,
    named_by_levels,
    new_page,
    shortened,
    styled,
    symbol,
)
from .wording import title_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..results import Results

WIDE, HIGH = 0.44, 0.26  # inches: of a field
AROUND, LABELS = 0.85, 1.15  # inches: above and below, and left of a panel
LOWEST = 0.7  # coverage that is darkest
OUTSIDE = 2.0  # standard errors


def across(methods: int) -> int:
    """Panels side by side."""
    return max(1, int((FULL - LABELS) / (WIDE * methods + 0.12)))


def map_height(cells: int, methods: int, estimands: int) -> float:
    """Inches."""
    return -(-estimands // min(across(methods), estimands)) * (cells * HIGH + AROUND) + 0.35


def coverage_numbers(
    results: Results,
    choice: Choice = ALL,
    *,
    measure: str = "coverage",
    nominal: float = NOMINAL,
) -> tuple[Shown, pd.DataFrame]:
    """What `coverage_map` shows, and its numbers as `measured` gives them.

    A further column `mark` is -1 or 1 where the coverage is below or above the nominal level by more than two Monte
    Carlo standard errors, 0 elsewhere. Their size is that at the nominal level, sqrt(nominal (1 - nominal) / n): the
    one at the observed coverage is zero where all intervals cover.
    """
    step = across(min(15, len(results.study.methods)))
    shown = choose(results, map_height, step, choice, among=with_values(results, measure))
    table = measured(results, [measure], shown)
    error = np.sqrt(nominal * (1.0 - nominal) / table["n"].clip(lower=1))
    away = (table["value"] - nominal) / error
    table["mark"] = np.where(np.abs(away) > OUTSIDE, np.sign(away), 0.0).astype(int)
    return shown, table


@styled
def coverage_map(
    results: Results,
    choice: Choice = ALL,
    *,
    measure: str = "coverage",
    nominal: float = NOMINAL,
) -> Figure:
    """Heat map of coverage in per cent: a panel for each estimand, cells by methods, Monte Carlo errors in brackets.

    The darker, the lower; all below 70 % is as dark. Triangles mark what is more than two Monte Carlo standard errors
    below or above the nominal level.

    Parameters
    ----------
    results : Results
    choice : Choice
        If omitted as much as fits on a page, see `choosing.choose`.
    measure : str
        A proportion: 'coverage', 'coverage_existing' or 'coverage_bias_eliminated'.
    nominal : float
        Level of the intervals.

    Raises
    ------
    ModelError
        When a name is not known.
    """
    shown, table = coverage_numbers(results, choice, measure=measure, nominal=nominal)
    n_cells, n_methods, n_estimands = shown.counts
    columns = min(across(n_methods), n_estimands)
    width = min(FULL, LABELS + columns * (WIDE * n_methods + 0.12) + 0.1)
    figure = new_page(max(width, 3.0), map_height(*shown.counts))
    grid = figure.subplots(-(-n_estimands // columns), columns, squeeze=False).ravel()
    names = list(cell_labels(results.study, shown.cells, 22, lines=2).values())
    order = named_by_levels(results.study, shown.cells, 22, lines=2)
    labels = list(shortened(shown.methods, 12).values())
    for axes in grid[n_estimands:]:
        axes.remove()
    for k, (axes, estimand) in enumerate(zip(grid, shown.estimands, strict=False)):
        value, mcse, mark = (grid_of(table, name, shown, estimand, measure) for name in ("value", "mcse", "mark"))
        axes.imshow(value, cmap="Blues_r", vmin=LOWEST, vmax=1.02, aspect="auto", interpolation="none")
        for i, j in np.ndindex(value.shape):
            dark = value[i, j] < 0.5 * (LOWEST + 1.0) - 0.02
            text = axes.text(
                j, i, field(value[i, j], mcse[i, j], mark[i, j]), ha="center", va="center", linespacing=0.95
            )
            text.set(fontsize=5.2, color="white" if dark else "black", fontweight="bold" if mark[i, j] else "normal")
        axes.set_xticks(np.arange(n_methods), labels, rotation=90 if max(map(len, labels)) > 6 else 0, fontsize=6)
        axes.set_yticks(np.arange(n_cells), names, fontsize=5.2 if order else 6)
        axes.tick_params(length=0, labelleft=k % columns == 0)
        if order and k % columns == 0:
            axes.set_ylabel(order, fontsize=6)
        axes.set_xticks(np.arange(n_methods + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n_cells + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", lw=1.0)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(symbol(estimand) if len(estimand) <= 26 else shortened([estimand], 26)[estimand])
    label_below(
        figure,
        f"{title_of(measure)} in % (Monte Carlo standard error)\n"
        f"▼ below, ▲ above {100 * nominal:g} % by more than {OUTSIDE:g} Monte Carlo standard errors at this level",
    )
    return figure


def field(value: float, mcse: float, mark: int) -> str:
    """What is printed in a field."""
    if value != value:
        return "–"
    sign = {-1: "▼", 0: "", 1: "▲"}[int(mark)]
    error = f"\n({100 * mcse:.1f})" if mcse == mcse else ""
    return f"{sign}{100 * value:.1f}{error}"
