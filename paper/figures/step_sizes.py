"""The study of step sizes: the distance to the maximum against the iterations, beside what linear theory says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.harness.figures.style import look, new_page, styled, symbol
from paper.digest import Digest
from paper.shared import bars
from paper.shared.curves import curve, dodged, letter, plain_decades, whole_numbers
from paper.shared.style import WIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDIES = ("schedules",)
SLOW, FAST = "b22", "sigma"
SCHEDULES = {
    "one_over_k": r"$1/k$",
    "two_thirds": r"$k^{-2/3}$",
    "averaged_067": r"$k^{-2/3}$, averaged",
    "averaged_055": r"$k^{-0.55}$, averaged from the 200th on",
}


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """A slow parameter and a fast one: markers are simulated, lines are theory."""
    from experiments.studies.problems import problems
    from paper.theory.step_sizes import rates_of

    digest = digests["schedules"]
    rates = rates_of(problems()[str(digest.levels("problem")[0])])
    methods = [name for name in SCHEDULES if name in digest.methods("rms_distance")]
    levels = digest.levels("iterations")
    figure = new_page(WIDE, 2.75)
    panels = figure.subplots(1, 2, sharex=True)
    for k, (axes, parameter) in enumerate(zip(panels, (SLOW, FAST), strict=True)):
        for i, method in enumerate(methods):
            table = digest.select("rms_distance", method, parameter)
            x = dodged(table["iterations"].to_numpy(float), i, len(methods), 1.02)
            y = table["value"].to_numpy(float)
            style = look(i)
            curve(axes, x, y, bars.of_mean_cut(table), style | {"ls": "none"}, zorder=3)
            after, theory = predicted(method, int(max(levels)), rates, parameter)
            shown = after >= 0.8 * min(levels)
            axes.plot(after[shown], theory[shown], color=style["color"], ls=style["ls"], lw=0.9, zorder=2)
        axes.set(xscale="log", yscale="log")
        axes.grid(True)
        whole_numbers(axes, levels)
        plain_decades(axes.yaxis)
        letter(axes, k, symbol(parameter))
        guide(axes, levels, 0.5, r"$k^{-1/2}$")
    slowest = 1.0 - float(rates.rates[-1])
    guide(panels[0], levels, slowest, f"$k^{{-{slowest:.2f}}}$", above=True)
    panels[0].set_ylabel("RMS distance to the maximum\n(standard errors)")
    figure.supxlabel("iterations after the burn-in (logarithmic)")
    figure.legend(handles=[entry(i, SCHEDULES[name]) for i, name in enumerate(methods)], **place())
    return figure


def predicted(method: str, iterations: int, rates: Any, parameter: str) -> tuple[np.ndarray, np.ndarray]:
    """Iterations after the burn-in, and the distance by linear theory after each."""
    from experiments.studies.schedules import BURN_IN, schedule_of
    from paper.theory.step_sizes import rms_distances

    n_latent = 60  # matters to no schedule of the study: all have one draw
    distances = rms_distances(rates, schedule_of(method, iterations).steps(n_latent))
    return np.arange(1, iterations + 1, dtype=float), distances[BURN_IN:, rates.parameters.index(parameter)]


def guide(axes: Axes, levels: list[Any], slope: float, text: str, above: bool = False) -> None:
    """A short line of a slope, below or above all points."""
    bottom, top = axes.get_ylim()
    right = float(max(levels))
    x = np.array([right / 5.0, right])
    y = x**-slope
    y *= (top * 1.05 / y[0]) if above else (bottom * 1.15 / y[-1])
    axes.plot(x, y, color="0.55", lw=0.6)
    axes.annotate(text, (x[0], y[0]), (-3, 0), textcoords="offset points", ha="right", va="center", color="0.25")
    axes.set_ylim(min(bottom, 0.85 * y.min()), max(top, 1.25 * y.max()))


def entry(i: int, label: str) -> Any:
    """A schedule in the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **(look(i) | {"ms": 3.6}))


def place() -> dict[str, Any]:
    """Where the legend is."""
    return {"loc": "outside upper center", "ncols": len(SCHEDULES)}
