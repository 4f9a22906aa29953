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
MEASURES = ("mcse_calibration_spread", "mcse_calibration_mean")
IDEAL = {MEASURES[0]: 1.0, MEASURES[1]: 0.0}
SAID = {
    MEASURES[0]: "SD of (estimate − maximum) / MCSE",
    MEASURES[1]: "mean of (estimate − maximum) / MCSE",
}


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """A line over the parameters for each method and problem, and a marker at their average."""
    problems = [(name, level) for name in STUDIES for level in digests[name].levels(digests[name].factors[0])]
    found = {measure: summaries(digests, measure) for measure in MEASURES}
    methods = ordered({method for method, *_ in found[MEASURES[0]]}, METHODS)
    height = 0.058 * len(methods) * (len(problems) + 1.5)
    figure = new_page(WIDE, 1.0 + height)
    panels = figure.subplots(1, 2, sharey=True)
    step = 1.0 / (len(problems) + 1.5)
    for panel, (axes, measure) in enumerate(zip(panels, MEASURES, strict=True)):
        half = NORMAL_95 * float(np.median([part["single"] for part in found[measure].values()]))
        axes.axvspan(IDEAL[measure] - half, IDEAL[measure] + half, color=BAND, lw=0, zorder=0)
        axes.axvline(IDEAL[measure], color="0.4", lw=0.6, zorder=1)
        for row, method in enumerate(methods):
            for k, (study, level) in enumerate(problems):
                part = found[measure].get((method, study, level))
                if part is not None:
                    point(axes, row + (k - (len(problems) - 1) / 2.0) * step, part, look(k))
            if row:
                axes.axhline(row - 0.5, color="0.85", lw=0.5)
        axes.set_xlabel(SAID[measure])
        letter(axes, panel)
    panels[0].set_yticks(range(len(methods)), [method_name(name) for name in methods])
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    panels[0].tick_params(axis="y", length=0)
    panels[1].tick_params(axis="y", length=0)
    figure.legend(handles=[entry(k, level) for k, (_, level) in enumerate(problems)], **place())
    return figure


def summaries(digests: Mapping[str, Digest], measure: str) -> dict[tuple[str, str, Any], dict[str, float]]:
    """By method, study and problem: average and range over the parameters, and the errors.

    `average_error` is the mean of the parameters' errors, which is the average's if they go all together, and too
    large otherwise.
    """
    found = {}
    for study in STUDIES:
        digest = digests[study]
        factor = digest.factors[0]
        table: pd.DataFrame = digest.select(measure, estimand=None)
        table = table[table["mcse"].notna()]
        for (method, level), part in table.groupby(["method", factor], sort=False):
            value, error = part["value"].to_numpy(), part["mcse"].to_numpy()
            found[str(method), study, level] = {
                "average": float(value.mean()),
                "low": float(value.min()),
                "high": float(value.max()),
                "average_error": float(error.mean()),
                "single": float(np.median(error)),
            }
    return found


def point(axes: Axes, y: float, part: Mapping[str, float], style: Mapping[str, Any]) -> None:
    """One method on one problem."""
    colour, half = style["color"], NORMAL_95 * part["average_error"]
    axes.plot([part["low"], part["high"]], [y, y], color=colour, lw=0.5, zorder=2)
    axes.plot([part["average"] - half, part["average"] + half], [y, y], color=colour, lw=1.6, zorder=3)
    own = {name: style[name] for name in ("color", "marker", "mfc", "mec")}
    axes.plot([part["average"]], [y], ls="none", ms=3.2, mew=0.6, zorder=4, **own)


def entry(k: int, level: Any) -> Any:
    """A problem in the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=problem_name(level), **(look(k) | {"ls": "none", "ms": 3.6}))


def place() -> dict[str, Any]:
    """Where the legend is."""
    return {"loc": "outside upper center", "ncols": 4}
