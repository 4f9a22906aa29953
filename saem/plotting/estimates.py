"""Estimates with what the data and what the simulation leave open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from saem.plotting.style import NORMAL_95, Fits, chosen, labelled, look_of, panels, verbatim

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure


def plot_estimates(
    fits: Fits, parameters: Sequence[str] | None = None, figure: Figure | SubFigure | None = None
) -> np.ndarray:
    """Every parameter in a panel, since each has a scale of its own; one line a fit.

    A dot is the estimate, the thin line its 95 % interval, and the thick bar the 95 % Monte Carlo error (1.96 MCSE on
    both sides): what the data leave open, and what the simulation does.

    Parameters
    ----------
    fits : Fit, sequence of Fit or dict of str to Fit
        Of the same parameters. The keys of a dict are the labels.
    parameters : sequence of str, optional
        Which to show; all that are not fixed if omitted.
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.

    Returns
    -------
    (n_parameters,) ndarray of Axes
    """
    by_label = labelled(fits)
    shown = chosen(next(iter(by_label.values())), parameters)
    names = next(iter(by_label.values())).parameters.names
    figure, grid = panels(figure, len(shown), 0.75 + 0.22 * len(by_label))
    at = -np.arange(len(by_label), dtype=float)
    for k, (label, fit) in enumerate(by_label.items()):
        look = look_of(k)
        bounds = fit.intervals().to_numpy()
        for axes, i in zip(grid, shown, strict=True):
            j = fit.parameters.index(names[i])
            value, half, colour = fit.values[j], NORMAL_95 * fit.mcse[j], look["color"]
            if np.isfinite(bounds[j]).all():
                axes.hlines(at[k], *bounds[j], color=colour, lw=1.1)
            if half > 0.0:
                axes.hlines(at[k], value - half, value + half, color=colour, lw=9.0, alpha=0.5)
            axes.plot(value, at[k], "o", color="black", ms=2.2, label=verbatim(label), zorder=3)
    for axes, i in zip(grid, shown, strict=True):
        axes.set_title(verbatim(names[i]), fontsize=10)
        axes.set_ylim(-len(by_label) + 0.4, 0.6)
        axes.set_yticks(at, [verbatim(label) for label in by_label], fontsize=8)
        axes.locator_params(axis="x", nbins=5)
        axes.margins(x=0.08)
    for axes in grid:
        if not axes.get_subplotspec().is_first_col():
            axes.set_yticklabels([])
    figure.supxlabel("estimate; thin line: 95 % interval, thick bar: 95 % Monte Carlo error", fontsize=9)
    return grid
