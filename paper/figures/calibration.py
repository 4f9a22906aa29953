"""Are Monte Carlo errors what they say: spread and mean of (estimate - maximum) / MCSE, by method and problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures.style import BAND, look, new_page, styled
from paper.digest import Digest
from paper.shared.curves import NORMAL_95, letter, method_name
from paper.shared.problems import ordered, problem_name
from paper.shared.style import METHODS, WIDE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDIES = ("calibration", "calibration_slopes")
PANELS = {
    "mcse_calibration_spread_claimed": (1.0, "SD of (estimate − maximum) / MCSE"),
    "mcse_calibration_mean_claimed": (0.0, "mean of (estimate − maximum) / MCSE"),
}
ROW = 0.38  # inches
WIDEST, LEAST = 8.0, 0.05  # half of an axis: in median errors at most, and at least
COLUMNS = 4  # of the legend


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """A mark for each parameter, a line of them for each problem."""
    problems = [(name, level) for name in STUDIES for level in digests[name].levels(digests[name].factors[0])]
    tables = {measure: {name: known(digests[name], measure) for name in STUDIES} for measure in PANELS}
    shown = {str(method) for parts in tables.values() for part in parts.values() for method in part["method"]}
    methods = ordered(shown, METHODS)
    figure = new_page(WIDE, 1.0 + ROW * len(methods))
    panels = figure.subplots(1, 2, sharey=True)
    step = 1.0 / (len(problems) + 1.0)
    for panel, (axes, (measure, (ideal, label))) in enumerate(zip(panels, PANELS.items(), strict=True)):
        half = band(axes, ideal, list(tables[measure].values()))
        for k, (study, level) in enumerate(problems):
            part = tables[measure][study]
            part = part[part[digests[study].factors[0]] == level]
            for row, method in enumerate(methods):
                values = part.loc[part["method"] == method, "value"].to_numpy(float)
                points(axes, values, row - 0.5 + (k + 1.0) * step, mark(k), ideal, half)
        for row in range(1, len(methods)):
            axes.axhline(row - 0.5, color="0.8", lw=0.5)
        axes.set_xlabel(label)
        axes.locator_params(axis="x", nbins=6)
        axes.tick_params(axis="y", length=0)
        letter(axes, panel)
    panels[0].set_yticks(range(len(methods)), [method_name(name) for name in methods])
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    handles = entries([level for _, level in problems])
    figure.legend(handles=handles, loc="outside upper center", ncols=COLUMNS, handlelength=1.4, handletextpad=0.5)
    return figure


def band(axes: Axes, ideal: float, tables: list[pd.DataFrame]) -> float:
    """Where 95 % of the values of right errors would be, in grey; and how far the axis reaches to both sides."""
    value, error = (np.concatenate([part[name].to_numpy() for part in tables]) for name in ("value", "mcse"))
    typical = float(np.median(error))
    half = max(LEAST, min(float(np.abs(value - ideal).max()), WIDEST * typical))
    axes.axvspan(ideal - NORMAL_95 * typical, ideal + NORMAL_95 * typical, color=BAND, lw=0, zorder=0)
    axes.axvline(ideal, color="0.4", lw=0.6, zorder=1)
    for sign in (-1.0, 1.0):
        if np.any(sign * (value - ideal) > half):
            axes.axvline(ideal + 1.05 * sign * half, color="0.4", lw=0.6, ls=(0, (2, 2)), zorder=1)
    return half


def points(axes: Axes, values: np.ndarray, y: float, style: dict[str, Any], ideal: float, half: float) -> None:
    """The parameters of a method on a problem; those that are off the scale at its end, the furthest with its value."""
    away = values - ideal
    inside = np.abs(away) <= half
    axes.plot(values[inside], np.full(int(inside.sum()), y), **style, zorder=3)
    for sign, beyond in ((-1.0, away < -half), (1.0, away > half)):
        if beyond.any():
            furthest = values[beyond][np.argmax(np.abs(away[beyond]))]
            at = ideal + 1.1 * sign * half
            axes.plot([at], [y], **style, zorder=3)
            where: dict[str, Any] = {"ha": "left" if sign > 0 else "right", "va": "center", "fontsize": 5.0}
            axes.annotate(f"{furthest:.1f}", (at, y), (2.5 * sign, 0), textcoords="offset points", **where)


def known(digest: Digest, measure: str) -> pd.DataFrame:
    """The values that have an error."""
    table: pd.DataFrame = digest.select(measure, estimand=None)
    found: pd.DataFrame = table[table["mcse"] > 0.0]
    return found


def mark(k: int) -> dict[str, Any]:
    """Of the k-th problem."""
    style = look(k)
    return {name: style[name] for name in ("color", "marker", "mfc", "mec")} | {"ls": "none", "ms": 2.8, "mew": 0.5}


def entries(levels: list[Any]) -> list[Any]:
    """The legend."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], label=problem_name(level), **(mark(k) | {"ms": 4.0})) for k, level in enumerate(levels)]
