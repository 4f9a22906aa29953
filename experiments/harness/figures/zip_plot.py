"""Zip plots: all confidence intervals of an estimand, the worst on top."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError

from ..performance import COUNTED
from ..performance.parts import given_in
from .choosing import ALL, MOST_METHODS, Choice, Shown, choose, measured, named
from .limits import calm
from .style import (
    BAND,
    COLUMN,
    DARK,
    DASHES,
    FULL,
    LIGHT,
    TRUTH,
    cell_labels,
    label_below,
    label_left,
    new_page,
    plain,
    shortened,
    styled,
    symbol,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..results import Results

ACROSS = 5
ROW, AROUND = 1.3, 0.75  # inches
MOST_LINES = 1000  # in a panel; of more, every k-th is drawn


def zip_height(cells: int, methods: int, estimands: int) -> float:
    """Inches; a cell takes a row of panels, or several."""
    return cells * -(-methods // ACROSS) * ROW + AROUND


def zip_numbers(
    results: Results, estimand: str | None = None, choice: Choice = ALL
) -> tuple[Shown, pd.DataFrame, pd.DataFrame]:
    """What `zip_plot` shows, its intervals, and the coverage of every panel as `measured` gives it.

    The intervals have the columns `cell`, `method`, `estimand`, `replicate`, `estimate`, `se`, `lower`, `upper`,
    `truth`, `z` = abs(estimate - truth) / se, `exists`, `covers`, and `centile`, the rank by z in per cent. Those
    without z are above the others, and replicates without an interval, which does not cover, on top.
    """
    name = named("estimand", None if estimand is None else [estimand], list(results.study.estimands))[0]
    if estimand is None:
        name = worst_covered(results)
    choice.lacks("estimands", "on")
    methods = choice.methods if choice.methods is not None else giving_intervals(results, name) or None
    shown = choose(results, zip_height, 0, replace(choice, estimands=[name], methods=methods))
    rows = results.rows
    use = (
        rows["estimand"].eq(name) & rows["status"].isin(COUNTED) & np.isfinite(rows["estimate"]) & rows["truth"].notna()
    )
    keys = ["cell", "method", "estimand", "replicate", "estimate", "se", "lower", "upper", "truth"]
    table = rows.loc[use, keys].copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (np.abs(table["estimate"] - table["truth"]) / table["se"]).to_numpy(float)
    table["z"] = np.where(np.isfinite(z), z, np.nan)
    table["exists"] = table["lower"].notna() & table["upper"].notna()
    table["covers"] = table["exists"] & (table["lower"] <= table["truth"]) & (table["truth"] <= table["upper"])
    table = table.astype({"cell": str, "method": str, "estimand": str})
    table = table[table["cell"].isin(shown.cells) & table["method"].isin(shown.methods)]
    table["last"] = ~table["exists"]
    table = table.sort_values(["cell", "method", "last", "z", "replicate"], na_position="last").drop(columns="last")
    group = table.groupby(["cell", "method"], sort=False)
    table["centile"] = 100.0 * (group.cumcount() + 0.5) / group["z"].transform("size")
    return shown, table.reset_index(drop=True), measured(results, ["coverage"], shown)


def giving_intervals(results: Results, estimand: str) -> list[str]:
    """The methods that give intervals of an estimand, as many as a figure shows: others would be empty panels."""
    given = given_in(results.rows)["interval"]
    return [name for name in results.study.methods if (name, estimand) in given][:MOST_METHODS]


def worst_covered(results: Results) -> str:
    """The estimand whose coverage is furthest from 95 % in some cell and method; the first if none is known."""
    found = results.complete
    own = found[(found["measure"] == "coverage") & found["value"].notna()]
    if not len(own):
        return next(iter(results.study.estimands))
    return str(own["estimand"].to_numpy()[int(np.argmax(np.abs(own["value"].to_numpy() - 0.95)))])


@styled
def zip_plot(results: Results, estimand: str | None = None, choice: Choice = ALL) -> Figure:
    """Zip plot of an estimand: a panel for every cell and method, a line for every interval.

    Intervals are ordered by abs(estimate - truth) / se from below; those that miss the true value are dark. The
    horizontal line is the coverage, broken lines are 1.96 Monte Carlo standard errors above and below: if the intervals
    that miss were just those with the largest distances, dark would begin there. Replicates without an interval count
    as missing the value, and are a hatched band on top. Intervals may run out of their panel, whose ends are the 1st
    and the 99th centile of the ends of all intervals in its cell that are not wild, see `limits.calm`; of more than
    1000 intervals every k-th is drawn. Methods that give no interval of the estimand are left out.

    Parameters
    ----------
    results : Results
    estimand : str, optional
        If omitted, the one whose coverage is furthest from 95 % in any cell.
    choice : Choice
        Of methods and cells; if omitted as many as fit on a page, see `choosing.choose`.

    Raises
    ------
    ModelError
        When a name is not known, or there is no interval at all.

    References
    ----------
    Morris, White & Crowther (2019), Statistics in Medicine 38, 2074-2102, figure 5 and section 5.
    """
    shown, table, coverage = zip_numbers(results, estimand, choice)
    name = shown.estimands[0]
    if not table["exists"].any():
        raise ModelError(f"a zip plot needs intervals and true values; {name!r} has none in the cells shown")
    across = min(ACROSS, len(shown.methods))
    rows = -(-len(shown.methods) // across)
    figure = new_page(COLUMN if across == 1 else FULL, max(2.2, zip_height(*shown.counts)))
    grid = figure.subplots(len(shown.cells) * rows, across, sharey=True, squeeze=False)
    short = shortened(shown.methods, 17 if across == ACROSS else 30)
    titles = cell_labels(results.study, shown.cells, 18, lines=2)
    for i, cell in enumerate(shown.cells):
        own = table[table["cell"] == cell]
        ends = own[["lower", "upper"]].to_numpy(float)
        ends = ends[np.isfinite(ends)]
        for k in range(rows * across):
            axes = grid[i * rows + k // across, k % across]
            if k >= len(shown.methods):
                axes.remove()
                continue
            method = shown.methods[k]
            (row,) = coverage[(coverage["cell"] == cell) & (coverage["method"] == method)].to_dict("records")
            draw_panel(axes, own[own["method"] == method], row)
            if len(ends):
                axes.set_xlim(*ends_of_panel(own, ends))
            if i == 0 or rows > 1:
                axes.set_title(short[method], pad=11)
            if k % across == 0:
                axes.set_ylabel(titles[cell], fontsize=6.5)
    label_left(figure, "fractional centile of |estimate − truth| / SE")
    what = symbol(name) if len(name) <= 40 else plain(name)
    label_below(figure, f"95 % intervals of {what}; dark: those that miss the true value (vertical line)")
    return figure


def ends_of_panel(own: pd.DataFrame, ends: np.ndarray) -> tuple[float, float]:
    """The 1st and the 99th centile of the ends of intervals, if these are not wild; the true value is in."""
    low, high = calm(ends.ravel()) or (-np.inf, np.inf)
    inner = ends[(low <= ends) & (ends <= high)]
    truth = float(own["truth"].iloc[0])
    low, high = (min(float(np.percentile(inner, 1.0)), truth), max(float(np.percentile(inner, 99.0)), truth))
    space = 0.05 * (high - low) or 1.0
    return low - space, high + space


def draw_panel(axes: Axes, part: pd.DataFrame, coverage: dict[str, float]) -> None:
    """The intervals of a method in a cell, and its coverage."""
    axes.set_ylim(0.0, 100.0)
    axes.set_yticks([0, 50, 95])
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=6)
    if not len(part):
        axes.text(0.5, 0.5, "no result", ha="center", va="center", transform=axes.transAxes)
        return
    low, value, high = (100.0 * coverage[key] for key in ("lower", "value", "upper"))
    for height, line in ((low, DASHES), (value, "-"), (high, DASHES)):
        axes.axhline(height, color="0.3", lw=0.6, ls=line, zorder=2.5)
    axes.axvline(float(part["truth"].iloc[0]), color=TRUTH, lw=0.7, zorder=4)
    there = part[part["exists"]]
    thin = max(0.25, min(1.4, 55.0 / max(len(part), 1)))
    for covers, colour, z in ((True, LIGHT, 1), (False, DARK, 3)):
        lines = there[there["covers"] == covers]
        lines = lines.iloc[:: max(1, -(-len(there) // MOST_LINES))]
        ends = np.clip(lines[["lower", "upper"]].to_numpy(float), -1e300, 1e300)
        axes.hlines(
            lines["centile"], ends[:, 0], ends[:, 1], color=colour, lw=thin, zorder=z,
            rasterized=len(lines) > 300, label="covers" if covers else "misses",
        )  # fmt: skip
    missing = len(part) - len(there)
    if missing:
        start = 100.0 * len(there) / len(part)
        axes.axhspan(start, 100.0, facecolor=BAND, edgecolor="0.6", hatch="////", lw=0, zorder=2)
    text = f"{value:.1f} % ({(high - value) / 1.96:.1f})" if high == high else f"{value:.1f} %"
    words = [text, *([f"{missing} without" if missing < len(part) else "no interval"] if missing else [])]
    axes.text(1.0, 1.02, ", ".join(words), transform=axes.transAxes, fontsize=5.5, ha="right", va="bottom")
