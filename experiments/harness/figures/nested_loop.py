"""Nested-loop plots: a measure over all cells of a design."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..performance import WHOLE_FIT
from .choosing import ALL, Choice, Shown, choose, grid_of, measured, with_values
from .limits import calm, cut_up
from .lolly import TARGETS, of_whole_fits
from .style import (
    COLUMN,
    FULL,
    TRUTH,
    label_below,
    label_left,
    legend_above,
    look,
    new_page,
    plain,
    shortened,
    styled,
    symbol,
)
from .wording import title_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..results import Results

PANEL, HIGH, STAIR, AROUND = 1.35, 2.2, 0.3, 0.9  # inches: of a panel, of one with many lines, of a factor, of the rest
CROWDED = 60  # cells times methods
MOST = 7  # methods, more cannot be told apart here
NARROW = 8  # cells that fit in a column


def nested_height(cells: int, methods: int, estimands: int, factors: int = 2) -> float:
    """Inches."""
    panel = PANEL if cells * methods <= CROWDED else HIGH
    return estimands * panel + factors * STAIR + AROUND + 0.13 * -(-methods // 4)


def nested_numbers(results: Results, measure: str = "rmse", choice: Choice = ALL) -> tuple[Shown, pd.DataFrame]:
    """What `nested_loop` shows, with the cells in nested order, and its numbers as `measured` gives them."""
    factors = results.levels.shape[1]
    every = [cell.name for cell in results.study.design.all()]  # the width has room for all of them
    whole = of_whole_fits(results, measure)
    if whole:
        choice.lacks("estimands")
    shown = choose(
        results,
        lambda c, m, e: nested_height(c, m, e, factors),
        0 if whole else 1,
        replace(choice, cells=choice.cells or every),
        MOST,
        with_values(results, measure),
    )
    shown = replace(shown, cells=nested(results, shown.cells), estimands=(WHOLE_FIT,) if whole else shown.estimands)
    return shown, measured(results, [measure], shown)


def nested(results: Results, cells: tuple[str, ...]) -> tuple[str, ...]:
    """Cells by the levels of the first factor, then of the second, and so on, each in the order of the design."""
    ranks = steps_of(results, cells)
    return tuple(cell for _, cell in sorted(zip(map(tuple, ranks.T.tolist()), cells, strict=True), key=lambda x: x[0]))


def steps_of(results: Results, cells: tuple[str, ...]) -> np.ndarray:
    """The place of each cell's level among the levels of each factor, (factors, cells)."""
    levels = results.levels
    found = np.zeros((levels.shape[1], len(cells)), dtype=int)
    for k, factor in enumerate(levels.columns):
        order = {level: i for i, level in enumerate(dict.fromkeys(levels[factor]))}
        found[k] = [order[level] for level in levels.loc[list(cells), factor]]
    return found


@styled
def nested_loop(results: Results, measure: str = "rmse", choice: Choice = ALL) -> Figure:
    """Nested-loop plot: a measure over all cells in nested order, and the steps of the factors' levels below.

    A panel for each estimand, a line of steps for each method, with 1.96 Monte Carlo standard errors on both sides.
    What is so far off that it would flatten all others runs out of its panel, and has its number there.

    The arguments are those of `lolly`. If no choice is made, it shows all cells, the first 7 methods, and as many
    estimands as fit on a page.

    References
    ----------
    Ruecker & Schwarzer (2014), Presenting simulation results in a nested loop plot, BMC Medical Research Methodology
    14, 129.
    """
    shown, table = nested_numbers(results, measure, choice)
    n_cells, n_methods, n_estimands = shown.counts
    factors = list(results.levels.columns)
    width = FULL if n_cells > NARROW or n_methods > 4 else COLUMN
    figure = new_page(width, nested_height(*shown.counts, len(factors)))
    grid = figure.subplots(
        n_estimands + len(factors), 1, sharex=True, squeeze=False,
        height_ratios=[HIGH if n_cells * n_methods > CROWDED else PANEL] * n_estimands + [STAIR] * len(factors),
    ).ravel()  # fmt: skip
    x = np.arange(n_cells)
    for axes, estimand in zip(grid, shown.estimands, strict=False):
        value, low, high = (grid_of(table, name, shown, estimand, measure) for name in ("value", "lower", "upper"))
        for k in range(n_methods):
            draw_method(axes, x, value[:, k], low[:, k], high[:, k], look(k), k, n_methods)
        if ends := calm(np.concatenate([value, low, high], axis=None)):
            beside = np.stack([places(x, k, n_methods) for k in range(n_methods)], axis=1)
            cut_up(axes, beside, value, grid_of(table, "mcse", shown, estimand, measure), ends)
        if measure in TARGETS or "bias" in measure:
            axes.axhline(TARGETS.get(measure, 0.0), color=TRUTH, lw=0.6, zorder=0)
        if not np.isfinite(value).any():
            axes.text(0.5, 0.5, "not known", ha="center", va="center", transform=axes.transAxes)
        axes.set_ylabel(symbol(estimand) if len(estimand) <= 16 else shortened([estimand], 16)[estimand])
        axes.tick_params(axis="x", length=0, labelbottom=False)
        axes.set_xlim(-0.5, n_cells - 0.5)
        axes.set_xticks(x)
        axes.grid(axis="x")
    steps = steps_of(results, shown.cells)
    for axes, factor, own in zip(grid[n_estimands:], factors, steps, strict=True):
        levels = dict.fromkeys(str(cell[factor]) for cell in results.study.design.all())
        draw_stairs(axes, own, factor, list(levels), width)
    label_left(figure, f"{title_of(measure)} (bars: ±1.96 Monte Carlo standard errors)")
    label_below(figure, "cells in nested order")
    legend_above(figure, handles_of(shown), width)
    return figure


def handles_of(shown: Shown) -> list[Any]:
    """The legend's entries."""
    from matplotlib.lines import Line2D

    labels = shortened(shown.methods, 24).values()
    return [Line2D([], [], label=label, ms=3, **look(k)) for k, label in enumerate(labels)]


def draw_method(
    axes: Axes,
    x: np.ndarray,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    style: dict[str, Any],
    k: int,
    n: int,
) -> None:
    """Steps over the cells; points and errors of methods are beside each other."""
    edges = np.append(x - 0.5, x[-1] + 0.5)
    axes.stairs(value, edges, baseline=None, color=style["color"], ls=style["ls"], lw=0.9)
    beside = places(x, k, n)
    axes.vlines(beside, low, high, color=style["color"], lw=0.8)
    axes.plot(beside, value, **(style | {"ls": "none", "ms": 2.6, "mew": 0.7}))


def places(x: np.ndarray, k: int, n: int) -> np.ndarray:
    """Where the k-th of n methods has its points, beside one another."""
    return x + (0.0 if n == 1 else 0.7 * (k / (n - 1) - 0.5))


def draw_stairs(axes: Axes, own: np.ndarray, factor: str, levels: list[str], width: float) -> None:
    """The level of a factor in each cell, as stairs from its first to its last level."""
    n = len(own)
    axes.stairs(own, np.arange(n + 1) - 0.5, baseline=None, color=TRUTH, lw=0.9)
    axes.set_ylim(-0.4, max(len(levels) - 1, 1) + 0.4)
    letters = int(14 * width)
    words = f"{factor}: {', '.join(levels)}"
    axes.set_title(plain(words if len(words) <= letters else words[: letters - 1] + "…"), fontsize=6, loc="left", pad=1)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.spines[:].set_visible(False)
