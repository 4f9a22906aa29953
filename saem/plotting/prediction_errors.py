"""Prediction errors in three panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.plotting.quantiles import plot_quantiles
from saem.plotting.residuals import binned
from saem.plotting.style import ESTIMATE, LINE, NORMAL_95, SHADE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from saem.inference.prediction_errors import PredictionErrors

WIDTH = 0.5  # of a bar


def plot_npde(found: PredictionErrors, figure: Figure | SubFigure | None = None) -> np.ndarray:
    """Normalised prediction distribution errors: their quantiles, their histogram, and against the fitted mean.

    The histogram has the counts that are expected of standard normals; the panel on the right means over bins with 95 %
    intervals. The titles have the p-values of the tests.

    Parameters
    ----------
    found : PredictionErrors
        Of `saem.npde`.
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.

    Returns
    -------
    (3,) ndarray of Axes
    """
    from scipy.special import ndtr

    grid = new_figure(figure, (11.4, 3.6)).subplots(1, 3)
    table = found.table[found.table["npde"].notna()]  # rows that say nothing have none
    errors, fitted = table["npde"].to_numpy(), table["fitted_marginal"].to_numpy()
    tests = {str(name): (float(value), float(p)) for name, value, p in found.tests.itertuples()}
    plot_quantiles(errors, grid[0], label="npde")
    grid[0].set_title("normality: p = {:.2g}".format(tests["normality"][1]), fontsize=9)

    end = WIDTH * np.ceil(max(3.0, np.abs(errors).max()) / WIDTH)
    edges = np.linspace(-end, end, round(2 * end / WIDTH) + 1)
    grid[1].hist(errors, bins=edges, color=SHADE, edgecolor="0.6", lw=0.6)
    expected = len(errors) * np.diff(ndtr(edges))
    grid[1].plot(edges[:-1] + WIDTH / 2, expected, "o-", color=LINE, ms=3, lw=1.2, label="expected")
    grid[1].legend(fontsize=8, frameon=False)
    grid[1].set_title("variance {:.3f}: p = {:.2g}".format(*tests["variance"]), fontsize=9)
    grid[1].set_xlabel("npde", fontsize=9)
    grid[1].set_ylabel("rows", fontsize=9)

    grid[2].axhline(0.0, color="0.6", lw=0.8, zorder=0)
    for line in (-NORMAL_95, NORMAL_95):
        grid[2].axhline(line, color="0.6", lw=0.8, ls="--", zorder=0)
    grid[2].plot(fitted, errors, "o", ms=4.0 if len(errors) <= 500 else 2.0, color=LINE, alpha=0.7, mew=0)
    means = binned(fitted, errors)
    if len(means):
        grid[2].errorbar(means["x"], means["mean"], NORMAL_95 * means["se"], color=ESTIMATE, lw=1.2, marker="s", ms=3)
    grid[2].set_title("mean {:.3f}: p = {:.2g}".format(*tests["mean"]), fontsize=9)
    grid[2].set_xlabel("fitted value, without random effects", fontsize=9)
    grid[2].set_ylabel("npde", fontsize=9)
    for axes in grid:
        axes.tick_params(labelsize=8)
    return np.asarray(grid)
