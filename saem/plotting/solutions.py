"""Whether a link has one solution: its two sides along the direction that the data leave free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.plotting.style import ESTIMATE, LINE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from saem.inference.identifiability import Identifiability


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

    Returns
    -------
    Axes

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
    moving = [name for name in link.columns[2:] if np.ptp(link[name]) > 0.0]
    if parameter is None:
        parameter = max(moving, key=lambda name: float(np.ptp(link[name])))
    elif parameter not in moving:
        raise ModelError(f"{parameter} does not move along the free direction; those that do are {', '.join(moving)}")
    axes = new_figure(None, (5.4, 3.4)).subplots() if ax is None else ax
    axes.axhline(0.0, color="0.5", lw=0.8)
    axes.plot(link[parameter], link["residual"], color=LINE, lw=1.5)
    zeros = found.solutions[parameter]
    axes.plot(zeros, np.zeros(len(zeros)), "o", color=ESTIMATE, ms=6, zorder=3)
    for value in zeros:
        axes.annotate(f"{value:.3g}", (value, 0.0), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xlim(link[parameter].min(), link[parameter].max())
    axes.set_xlabel(f"{parameter} (moving with {', '.join(name for name in moving if name != parameter)})", fontsize=9)
    axes.set_ylabel("left side - right side", fontsize=9)
    axes.tick_params(labelsize=8)
    return axes
