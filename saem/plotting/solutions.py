"""Whether a link has one solution: its two sides along the direction that the data leave free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.plotting.style import ESTIMATE, LINE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from saem.inference.identifiability import Identifiability

NEGLIGIBLE = 1e-9  # of the largest range: a parameter that moves by rounding only


def plot_solutions(found: Identifiability, ax: Axes | None = None, parameter: str | None = None) -> Axes:
    """The residual of a link along the free direction of the means, where all points have the highest likelihood.

    Every zero is a solution, and the data cannot tell them apart.

    Parameters
    ----------
    found : Identifiability
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    parameter : str, optional
        On the horizontal axis; of those that move, the one that moves most relative to the others if omitted.

    Raises
    ------
    ModelError
        When it is not one equation along one direction that decides.
    """
    link = found.link
    if not len(link):
        raise ModelError(
            "there is nothing to draw: this figure is for one equation along the only direction that the data leave"
        )
    ranges = {str(name): float(np.ptp(link[name])) for name in link.columns[2:]}
    moving = [name for name, size in ranges.items() if size > NEGLIGIBLE * max(ranges.values())]
    if parameter is None:
        parameter = max(moving, key=lambda name: ranges[name])
    elif parameter not in moving:
        raise ModelError(f"{parameter} does not move along the free direction; those that do are {', '.join(moving)}")
    axes = new_figure(None, (5.4, 3.4)).subplots() if ax is None else ax
    axes.axhline(0.0, color="0.5", lw=0.8)
    axes.plot(link[parameter], link["residual"], color=LINE, lw=1.5)
    zeros = found.solutions[parameter]
    axes.plot(zeros, np.zeros(len(zeros)), "o", color=ESTIMATE, ms=6, zorder=3)
    places = max(0, 2 - int(np.floor(np.log10(ranges[parameter]))))
    for value in zeros:
        text = f"{value:.{places}f}"
        axes.annotate(text, (value, 0.0), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xlim(link[parameter].min(), link[parameter].max())
    axes.set_xlabel(f"{parameter} (moving with {', '.join(name for name in moving if name != parameter)})", fontsize=9)
    axes.set_ylabel("left side - right side", fontsize=9)
    axes.tick_params(labelsize=8)
    return axes
