"""Are Monte Carlo errors what they say: spread and mean of (estimate - maximum) / MCSE, by method and problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.harness.figures.style import new_page, styled
from experiments.harness.performance.proportions import QUANTILE
from paper.digest import Digest
from paper.shared.curves import letter
from paper.shared.methods import METHODS, method_name
from paper.shared.problems import ordered, problem_name
from paper.shared.style import WIDE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDIES = ("calibration", "calibration_slopes")
PANELS = {
    "mcse_calibration_spread_claimed": (1.0, "SD of (estimate − maximum) / MCSE"),
    "mcse_calibration_mean_claimed": (0.0, "mean of (estimate − maximum) / MCSE"),
}
ROW = 0.56  # inches
WIDEST, LEAST = 5.0, 0.05  # half of an axis: in median errors at most, and at least
COLUMNS = 5  # of the legend
BAND = "0.86"
#: Neighbours differ in shape and in filling, which is seen in grey, too.
MARKS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "color": "#0b4a8a", "mfc": "#0b4a8a"},
    {"marker": "s", "color": "#b35900", "mfc": "white"},
    {"marker": "D", "color": "#00664b", "mfc": "#00664b", "ms": 3.4},
    {"marker": "^", "color": "#8c2d6b", "mfc": "white", "ms": 4.2},
    {"marker": "v", "color": "#111111", "mfc": "#56B4E9", "ms": 4.2},
    {"marker": "P", "color": "#a63603", "mfc": "white", "ms": 4.4},
    {"marker": "X", "color": "#111111", "mfc": "#111111", "ms": 4.2},
    {"marker": "*", "color": "#0072B2", "mfc": "white", "ms": 5.4},
)


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
        half = reach(tables[measure].values(), ideal)
        for k, (study, level) in enumerate(problems):
            part = tables[measure][study]
            part = part[part[digests[study].factors[0]] == level]
            middle = np.arange(len(methods)) - 0.5 + (k + 1.0) * step
            band(axes, middle, step, ideal, tables[measure][study]["mcse"].median())
            for y, method in zip(middle, methods, strict=True):
                values = part.loc[part["method"] == method, "value"].to_numpy(float)
                points(axes, values, y, mark(k), ideal, half)
        axes.axvline(ideal, color="0.4", lw=0.6, zorder=1)
        for row in range(1, len(methods)):
            axes.axhline(row - 0.5, color="0.8", lw=0.5)
        axes.set_xlabel(label)
        axes.locator_params(axis="x", nbins=6)
        axes.tick_params(axis="y", length=0)
        letter(axes, panel)
    panels[0].set_yticks(range(len(methods)), [method_name(name) for name in methods])
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    handles = entries([level for _, level in problems])
    figure.legend(handles=handles, loc="outside upper center", ncols=COLUMNS, handlelength=1.2, handletextpad=0.4)
    return figure


def reach(tables: Iterable[pd.DataFrame], ideal: float) -> float:
    """How far an axis reaches to both sides."""
    own = [part for part in tables if len(part)]
    furthest = max((float(np.abs(part["value"] - ideal).max()) for part in own), default=LEAST)
    error = max((float(part["mcse"].median()) for part in own), default=LEAST)
    return max(LEAST, min(furthest, WIDEST * error))


def band(axes: Axes, middle: np.ndarray, height: float, ideal: float, error: float) -> None:
    """Where 95 % of the values of right errors would be in the lines of a problem, by the error of its study."""
    length = QUANTILE * error
    axes.barh(middle, 2.0 * length, height=1.01 * height, left=ideal - length, color=BAND, lw=0, zorder=0)


def points(axes: Axes, values: np.ndarray, y: float, style: dict[str, Any], ideal: float, half: float) -> None:
    """The parameters of a method on a problem; those that are off the scale at its end, the furthest with its value."""
    away = values - ideal
    inside = np.abs(away) <= half
    axes.plot(values[inside], np.full(int(inside.sum()), y), **style, zorder=3)
    for sign, beyond in ((-1.0, away < -half), (1.0, away > half)):
        if beyond.any():
            furthest = values[beyond][np.argmax(np.abs(away[beyond]))]
            axes.axvline(ideal + 1.05 * sign * half, color="0.4", lw=0.6, ls=(0, (2, 2)), zorder=1)
            at = ideal + 1.1 * sign * half
            axes.plot([at], [y], **style, zorder=3)
            where: dict[str, Any] = {"ha": "left" if sign > 0 else "right", "va": "center", "fontsize": 6.5}
            axes.annotate(f"{furthest:.1f}", (at, y), (3.0 * sign, 0), textcoords="offset points", **where)
            axes.plot([ideal + 1.2 * sign * half], [y], alpha=0.0)  # room for the value


def known(digest: Digest, measure: str) -> pd.DataFrame:
    """The values that have an error."""
    table: pd.DataFrame = digest.select(measure, estimand=None)
    found: pd.DataFrame = table[table["mcse"] > 0.0]
    return found


def mark(k: int) -> dict[str, Any]:
    """Of the k-th problem."""
    return {"ls": "none", "ms": 3.8, "mew": 0.7} | MARKS[k % len(MARKS)]


def entries(levels: list[Any]) -> list[Any]:
    """The legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks = [Line2D([], [], label=problem_name(level), **mark(k)) for k, level in enumerate(levels)]
    return [*marks, Patch(color=BAND, lw=0, label="95 % if errors are right")]
