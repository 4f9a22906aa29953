"""How far methods stay below the reference's likelihood, and what they cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError, nearest

from ..performance import WHOLE_FIT
from .choosing import ALL, Choice, Shown, choose, grid_of, measured
from .style import (
    BAND,
    FULL,
    cell_labels,
    label_below,
    label_left,
    legend_above,
    legend_rows,
    look,
    new_page,
    shortened,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..results import Results

COSTS = {"seconds": "seconds a fit", "draws": "random effects drawn a fit"}
STATISTICS = ("mean", "median")
FLOOR = 1e-10  # of the log-likelihood: what is nearer to zero is rounding
SPAN = 10.0  # the least of an axis, largest over smallest
ROW, AROUND = 1.45, 0.75  # inches


def columns_of(cells: int) -> int:
    """Panels side by side."""
    return min(cells, 3 if cells <= 9 else 4 if cells <= 16 else 5)


def cost_height(cells: int, methods: int, estimands: int) -> float:
    """Inches; the figure has no estimands."""
    return -(-cells // columns_of(cells)) * ROW + AROUND + 0.13 * -(-methods // 4)


def cost_numbers(
    results: Results,
    cost: str = "seconds",
    choice: Choice = ALL,
    *,
    statistic: str = "mean",
) -> tuple[Shown, pd.DataFrame]:
    """What `deficit_cost` shows, and its numbers as `measured` gives them: deficits and costs, a row each."""
    for what, given, known in (("cost", cost, tuple(COSTS)), ("statistic", statistic, STATISTICS)):
        if given not in known:
            raise ModelError(f"{what} must be one of {', '.join(known)}; got {given!r}{nearest(str(given), known)}")
    choice.lacks("estimands")
    shown = replace(choose(results, cost_height, 0, choice), estimands=(WHOLE_FIT,))
    deficit = "deficit" if statistic == "mean" else "median_deficit"
    return shown, measured(results, [deficit, f"{statistic}_{cost}"], shown)


@styled
def deficit_cost(
    results: Results,
    cost: str = "seconds",
    choice: Choice = ALL,
    *,
    statistic: str = "mean",
) -> Figure:
    """Log-likelihood below the reference's on the same data against cost: a panel for each cell.

    Both axes are logarithmic, with 1.96 Monte Carlo standard errors on both sides; an error that reaches zero ends at
    the axis. What has no logarithm is drawn, too: deficits from -1e-10 to 1e-10 (rounding) in a grey strip at the
    foot, those below -1e-10 (a method that on average is above its reference) as a triangle there, and a cost of zero
    in a strip on the left.

    Parameters
    ----------
    results : Results
        Of a study with a reference.
    cost : str
        "seconds" or "draws".
    choice : Choice
        Of methods and cells; if omitted as many as fit on a page, see `choosing.choose`.
    statistic : str
        "mean" or "median", of deficits and of costs.

    Raises
    ------
    ModelError
        When a name is not known, or no deficit is.
    """
    shown, table = cost_numbers(results, cost, choice, statistic=statistic)
    y_name, x_name = "deficit" if statistic == "mean" else "median_deficit", f"{statistic}_{cost}"
    grids = {
        key: [grid_of(table, column, shown, WHOLE_FIT, name) for column in ("value", "lower", "upper")]
        for key, name in (("x", x_name), ("y", y_name))
    }
    known = np.isfinite(grids["x"][0]) & np.isfinite(grids["y"][0])
    if not known.any():
        raise ModelError(f"deficit against {cost} needs a reference and log-likelihoods; no cell shown has them")
    n_cells = len(shown.cells)
    columns = columns_of(n_cells)
    labels = list(shortened(shown.methods, 24).values())
    rows = -(-n_cells // columns)
    height = max(2.4, rows * ROW + AROUND + 0.13 * legend_rows(labels, FULL))
    width = FULL if columns > 1 else 4.4
    figure = new_page(width, height)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[n_cells:]:
        axes.remove()
    scales = Scale.of(grids["x"], known, 0.0), Scale.of(grids["y"], known, FLOOR)
    lines = 2 if columns > 3 else 1
    names = cell_labels(results.study, shown.cells, 100 // columns if lines == 1 else 24, lines)
    for i, (axes, cell) in enumerate(zip(grid, shown.cells, strict=False)):
        axes.set_title(names[cell], fontsize=7 if lines == 1 else 6)
        set_scales(axes, *scales, i % columns == 0, i + columns >= n_cells)
        if not known[i].any():
            axes.text(0.5, 0.5, "not known", ha="center", va="center", transform=axes.transAxes)
        in_strip = [k for k in np.flatnonzero(known[i]) if not grids["x"][0][i, k] > 0.0]
        for k in np.flatnonzero(known[i]):
            point = {key: [values[i, k] for values in grids[key]] for key in grids}
            among = (in_strip.index(k) + 1) / (len(in_strip) + 1) if k in in_strip else 0.5
            draw_point(axes, point, *scales, look(int(k)), among)
    label_below(figure, f"{COSTS[cost]}, {statistic} (logarithmic)")
    label_left(figure, f"{statistic} log-likelihood below the reference's (logarithmic)")
    legend_above(figure, handles_of(labels, known), width)
    return figure


def handles_of(labels: list[str], known: np.ndarray) -> list[Any]:
    """The legend's entries."""
    from matplotlib.lines import Line2D

    said = [label if known[:, k].any() else f"{label} (not known)" for k, label in enumerate(labels)]
    return [Line2D([], [], label=label, **(look(k) | {"ls": "none"})) for k, label in enumerate(said)]


class Scale:
    """A logarithmic axis with a strip for what has no logarithm.

    Attributes
    ----------
    strip : float or None
        Where values not above the floor are drawn; None if there is none.
    ends : tuple of float
        Of the axis.
    floor : float
    """

    def __init__(self, low: float, high: float, floor: float, zeros: bool) -> None:
        if high < SPAN * low:  # so that a strip is no large part of the axis
            middle = np.sqrt(low * high)
            low, high = middle / np.sqrt(SPAN), middle * np.sqrt(SPAN)
        if high > 100.0 * low:
            low = 10.0 ** np.floor(np.log10(low))  # a tick above the strip tells where the logarithm begins
        room = (high / low) ** 0.06
        step = (high / low) ** 0.16  # the strip is as wide on paper for all spans
        self.floor, self.edge = floor, low / room
        self.strip = self.edge / step**0.5 if zeros else None
        self.ends = (self.edge / step if zeros else self.edge, high * room)

    @classmethod
    def of(cls, grids: list[np.ndarray], known: np.ndarray, floor: float) -> Scale:
        """For values with their errors."""
        value, high = grids[0][known], grids[2][known]
        above = value > floor
        tops = high[(high > floor) & np.isfinite(high)]
        if not above.any():
            return cls(max(floor, 1e-10), max(floor, 1e-10) * 10.0, floor, True)
        top = float(max(value[above].max(), tops.max(initial=0.0)))
        return cls(float(value[above].min()), top, floor, not bool(above.all()))

    def place(self, value: float, among: float = 0.5) -> float:
        """Of a value on the axis; in the strip at this part of its width, so that methods do not hide one another."""
        return value if value > self.floor else float(self.ends[0] * (self.edge / self.ends[0]) ** among)


def set_scales(axes: Axes, x: Scale, y: Scale, left: bool, bottom: bool) -> None:
    """Logarithmic axes; the strips are grey, and their tick says what is in them."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

    axes.set(xscale="log", yscale="log", xlim=x.ends, ylim=y.ends)
    axes.grid(True)
    for scale, axis, span, word in (
        (x, axes.xaxis, axes.axvspan, "0"),
        (y, axes.yaxis, axes.axhspan, "≤ $10^{-10}$"),
    ):
        low, high = scale.edge, scale.ends[1]
        if scale.strip is not None:
            low *= (scale.edge / scale.strip) ** 0.7  # not beside the strip's own label
        short = high < 100.0 * scale.edge  # too few powers of ten
        locator = LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,), numticks=6)
        ticks = [t for t in locator.tick_values(low, high) if low <= t <= high]
        axis.set_minor_formatter(NullFormatter())
        axis.set_minor_locator(FixedLocator([]))
        words = [f"{t:g}" if short and 1e-3 <= t < 1e4 else power(t) for t in ticks]
        if scale.strip is not None:
            span(scale.ends[0], scale.edge, color=BAND, lw=0, zorder=0)
            ticks, words = [scale.strip, *ticks], [word, *words]
        axis.set_ticks(ticks, words)
    axes.tick_params(labelleft=left, labelbottom=bottom, labelsize=6.5)


def power(value: float) -> str:
    """`10^3`, or `2·10^3`, as a formula."""
    exponent = int(np.floor(np.log10(value) + 1e-9))
    factor = round(value / 10.0**exponent)
    return f"$10^{{{exponent}}}$" if factor == 1 else rf"${factor}\!\cdot\!10^{{{exponent}}}$"


def draw_point(
    axes: Axes, point: dict[str, list[float]], x: Scale, y: Scale, style: dict[str, Any], among: float
) -> None:
    """A method in a cell, with its errors where they are known."""
    at = x.place(point["x"][0], among), y.place(point["y"][0])
    colour = style["color"]
    for key, scale, line, other in (("x", x, axes.hlines, at[1]), ("y", y, axes.vlines, at[0])):
        value, low, high = point[key]
        if value > scale.floor and np.isfinite(low) and high > low:
            line(other, max(low, scale.ends[0]), high, color=colour, lw=0.9)
    negative = point["y"][0] < -y.floor
    axes.plot(*at, marker="v" if negative else style["marker"], mfc=style["mfc"], color=colour, ls="none", zorder=3)
    if negative:
        axes.annotate(f"{point['y'][0]:.1e}", at, (5, 0), textcoords="offset points", fontsize=5, va="center")
