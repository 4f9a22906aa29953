"""Methods in rows, a marker for each level of a cost factor, a panel for each problem: how figures show equal cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.harness.figures.style import new_page
from paper.shared import bars
from paper.shared.curves import letter, short
from paper.shared.methods import EXACT, METHODS, method_name
from paper.shared.problems import ordered, problem_name
from paper.shared.style import WIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from paper.digest import Digest

MEDIAN, MEAN = "median_reference_deficit", "reference_deficit"
TARGET = 0.01  # of the deficit
MOST_NAMES = 18  # of powers of ten on the axes of all panels
#: From the smallest budget to the largest: told apart by shape and by how dark they are.
MARKERS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "color": "#3288bd", "mfc": "white"},
    {"marker": "s", "color": "#0b4f80", "mfc": "#7fb8dd"},
    {"marker": "D", "color": "#111111", "mfc": "#111111"},
    {"marker": "^", "color": "#7f1d06", "mfc": "#7f1d06"},
)


def equal_cost_page(digest: Digest) -> Figure:
    """Median log-likelihood below the maximum with its error, and the mean as a cross."""
    factor = next(name for name in digest.factors if name != "budget")
    problems, budgets = digest.levels(factor), digest.levels("budget")
    methods = ordered(set(digest.methods(MEDIAN)) - set(EXACT), METHODS)
    figure = new_page(WIDE, 0.95 + 0.30 * len(methods))
    panels = figure.subplots(1, len(problems), sharex=True, sharey=True, squeeze=False)[0]
    for k, (axes, problem) in enumerate(zip(panels, problems, strict=True)):
        for row, method in enumerate(methods):
            for i, budget in enumerate(budgets):
                y = row + 0.26 * (i - (len(budgets) - 1) / 2.0)
                where = {factor: problem, "budget": budget}
                draw_row(axes, digest, method, where, y, MARKERS[i % len(MARKERS)])
            if row:
                axes.axhline(row - 0.5, color="0.88", lw=0.5)
        axes.axvline(TARGET, color="0.4", lw=0.7, ls=(0, (4, 2.5)), zorder=1)
        axes.set_xscale("log")
        axes.tick_params(axis="y", length=0)
        letter(axes, k, problem_name(problem).replace(", ", ",\n" if len(problems) > 3 else ", "))
    tidy(panels[0], methods, len(panels))
    figure.supxlabel("log-likelihood below the maximum: median, and mean (logarithmic)")
    figure.legend(handles=entries(budgets), loc="outside upper center", ncols=len(budgets) + 2)
    return figure


def draw_row(axes: Axes, digest: Digest, method: str, where: dict[str, Any], y: float, style: dict[str, Any]) -> None:
    """One method at one budget."""
    median, mean = digest.select(MEDIAN, method, **where), digest.select(MEAN, method, **where)
    if len(mean):
        axes.plot(mean["value"], [y], marker="x", ms=3.4, mew=0.8, ls="none", color=style["color"], zorder=3)
    if len(median):
        x = median["value"].to_numpy(float)
        own: dict[str, Any] = {"ms": 3.3, "mew": 0.7, "elinewidth": 0.8, "capsize": 0.0, "ls": "none", "zorder": 4}
        errors, places = bars.of_mean_cut(median), np.array([y])
        axes.errorbar(x, places, xerr=errors, **(own | style))
        bars.cut_ends(axes, x, places, errors, style["color"], across=True)


def tidy(axes: Axes, methods: list[str], panels: int) -> None:
    """Names of the methods, and whole powers of ten, as many of them named as there is room for."""
    from matplotlib.ticker import FixedLocator, NullFormatter

    axes.set_yticks(range(len(methods)), [method_name(name) for name in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    low, high = np.log10(axes.get_xlim())
    powers = [k for k in range(-12, 6) if low <= k <= high]
    every = 1 if panels * len(powers) <= MOST_NAMES else 2
    named = [k for k in powers if k % every == 0]
    axes.set_xticks([10.0**k for k in named], [f"$10^{{{k}}}$" for k in named])
    axes.xaxis.set_minor_locator(FixedLocator([10.0**k for k in powers]))
    axes.xaxis.set_minor_formatter(NullFormatter())


def entries(budgets: list[Any]) -> list[Any]:
    """The legend."""
    from matplotlib.lines import Line2D

    shown = [
        Line2D([], [], ls="none", ms=4.0, label=f"{short(budget)} random effects", **MARKERS[i % len(MARKERS)])
        for i, budget in enumerate(budgets)
    ]
    cross = Line2D([], [], ls="none", marker="x", ms=4.0, mew=0.8, color="0.2", label="mean")
    line = Line2D([], [], ls=(0, (4, 2.5)), lw=0.7, color="0.4", label="target")
    return [*shown, cross, line]
