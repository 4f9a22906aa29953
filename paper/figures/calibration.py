"""Are Monte Carlo errors what they say: spread and mean of (estimate - maximum) / MCSE, by method and problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures.style import BAND, look, new_page, styled
from paper.curves import NORMAL_95, letter, method_name
from paper.digest import Digest
from paper.problems import ordered, problem_name
from paper.style import METHODS, WIDE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDIES = ("calibration", "calibration_slopes")
PANELS = {
    "mcse_calibration_spread": (1.0, "SD of (estimate − maximum) / MCSE"),
    "mcse_calibration_mean": (0.0, "mean of (estimate − maximum) / MCSE"),
}
ROW = 0.42  # inches


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """A mark for each parameter, a line of them for each problem, and a method's average below."""
    problems = [(name, level) for name in STUDIES for level in digests[name].levels(digests[name].factors[0])]
    tables = {measure: [known(digests[name], measure) for name in STUDIES] for measure in PANELS}
    shown = {str(method) for part in tables["mcse_calibration_spread"] for method in part["method"]}
    methods = ordered(shown, METHODS)
    figure = new_page(WIDE, 1.0 + ROW * len(methods))
    panels = figure.subplots(1, 2, sharey=True)
    step = 1.0 / (len(problems) + 2.0)
    for panel, (axes, (measure, (ideal, label))) in enumerate(zip(panels, PANELS.items(), strict=True)):
        error = np.concatenate([part["mcse"].to_numpy() for part in tables[measure]])
        half = NORMAL_95 * float(np.median(error))
        axes.axvspan(ideal - half, ideal + half, color=BAND, lw=0, zorder=0)
        axes.axvline(ideal, color="0.4", lw=0.6, zorder=1)
        for row, method in enumerate(methods):
            own = {}
            for k, (study, level) in enumerate(problems):
                part = tables[measure][STUDIES.index(study)]
                part = part[(part["method"] == method) & (part[digests[study].factors[0]] == level)]
                if len(part):
                    own[k] = part
                    y = np.full(len(part), row - 0.5 + (k + 1.0) * step)
                    axes.plot(part["value"], y, **mark(k), zorder=3)
            average(axes, row + 0.5 - step, list(own.values()))
            if row:
                axes.axhline(row - 0.5, color="0.8", lw=0.5)
        axes.set_xlabel(label)
        axes.locator_params(axis="x", nbins=6)
        axes.tick_params(axis="y", length=0)
        letter(axes, panel)
    panels[0].set_yticks(range(len(methods)), [method_name(name) for name in methods])
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    handles, columns = entries([level for _, level in problems]), 5
    columns = -(-len(handles) // -(-len(handles) // columns))  # rows of about the same length
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=1.4, handletextpad=0.5)
    return figure


def known(digest: Digest, measure: str) -> pd.DataFrame:
    """The values that have an error."""
    table: pd.DataFrame = digest.select(measure, estimand=None)
    found: pd.DataFrame = table[table["mcse"] > 0.0]
    return found


def mark(k: int) -> dict[str, Any]:
    """Of the k-th problem."""
    style = look(k)
    return {name: style[name] for name in ("color", "marker", "mfc", "mec")} | {"ls": "none", "ms": 2.8, "mew": 0.5}


def average(axes: Axes, y: float, parts: list[pd.DataFrame]) -> None:
    """The average over problems and parameters with its error.

    Parameters on the same data depend on one another: the error of their average is taken to be the average of their
    errors, which it is at most.
    """
    if parts:
        value = float(np.mean([part["value"].mean() for part in parts]))
        error = float(np.sqrt(np.sum([part["mcse"].mean() ** 2 for part in parts]))) / len(parts)
        half = NORMAL_95 * error
        own: dict[str, Any] = {
            "fmt": "|",
            "color": "black",
            "ms": 4.5,
            "mew": 1.2,
            "elinewidth": 1.0,
            "capsize": 0.0,
            "zorder": 4,
        }
        axes.errorbar([value], [y], xerr=[half], **own)


def entries(levels: list[Any]) -> list[Any]:
    """The legend."""
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], label=problem_name(level), **(mark(k) | {"ms": 4.0})) for k, level in enumerate(levels)]
    return [*marks, Line2D([], [], color="black", lw=1.0, marker="|", ms=5.0, mew=1.2, label="average")]
