"""Several methods on the same data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.plotting.cost import DEFICIT_LABEL, FLOOR, deficit_curve, draw_curves, error_curve
from saem.plotting.style import NORMAL_95, look_of, new_figure, verbatim
from saem.stopping import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from saem.comparison import Comparison


def plot_comparison(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Every method's estimates as differences to the reference, in its standard errors, with their Monte Carlo errors.

    Parameters
    ----------
    comparison : Comparison
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    """
    reference = comparison.fits[comparison.reference]
    shown = np.flatnonzero(reference.se > 0.0)
    others = [name for name in comparison.fits if name != comparison.reference]
    height = comparison_height(comparison)
    axes = new_figure(None, (7.0, height)).subplots() if ax is None else ax
    for k, name in enumerate(others):
        fit, look = comparison.fits[name], look_of(k)
        at = -np.arange(len(shown)) - 0.8 * (k + 1) / (len(others) + 1)
        distance = comparison.distances(name)[shown]
        half = np.nan_to_num(NORMAL_95 * fit.mcse[shown] / reference.se[shown])
        axes.hlines(at, distance - half, distance + half, color=look["color"], lw=1.4, alpha=0.7)
        axes.plot(distance, at, look["marker"], ms=4.0, color=look["color"], label=verbatim(name))
    axes.axvline(0.0, color="0.6", lw=0.8, zorder=0)
    for edge in range(1, len(shown)):
        axes.axhline(-edge + 0.1, color="0.92", lw=0.6, zorder=0)
    axes.set_yticks(-np.arange(len(shown)) - 0.4, [verbatim(reference.parameters.names[i]) for i in shown])
    axes.set_xlabel(
        f"difference to {verbatim(comparison.reference)}, in standard errors; lines: 95 % Monte Carlo error", fontsize=9
    )
    if others:
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return axes


def comparison_height(comparison: Comparison) -> float:
    """Inches in which the points of `plot_comparison` do not overlap."""
    n = int((comparison.fits[comparison.reference].se > 0.0).sum())
    return 1.2 + 0.1 * n * len(comparison.fits)


def plot_cost(comparison: Comparison, figure: Figure | SubFigure | None = None, cost: str = "draws") -> np.ndarray:
    """Deficit and largest MCSE/SE of all Monte Carlo methods against their cost, in two panels.

    Deficits count from the highest log-likelihood that any of the methods knows. Repetitions with other seeds are
    thin curves, around the median over seeds where they were looked at together. See `plot_deficit` and `plot_error`.

    Parameters
    ----------
    comparison : Comparison
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.
    cost : str
        "draws" of random effects, "iteration" or "seconds".

    Returns
    -------
    (2,) ndarray of Axes

    Raises
    ------
    ModelError
        When no Monte Carlo method is among them.
    """
    figure = new_figure(figure, (10.0, 4.6))
    groups = {name: fits for name, fits in comparison.repetitions.items() if fits[0].method != "reml"}
    left, right = figure.subplots(1, 2)
    maximum = comparison.maximum
    draw_curves(left, groups, lambda fit: deficit_curve(fit, cost, maximum), cost, DEFICIT_LABEL, Target.deficit, FLOOR)
    draw_curves(right, groups, lambda fit: error_curve(fit, cost), cost, "largest MCSE / SE", Target.mcse)
    left.get_legend().remove()
    return np.array([left, right])
