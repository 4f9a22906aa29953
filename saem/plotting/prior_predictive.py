"""The data that priors expect, beside the observed data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.plotting.style import ESTIMATE, LINE, panels, verbatim

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from saem.inference.prior_predictive import PriorPredictive

SHOWN = (0.01, 0.99)  # quantiles under the prior, so that a few huge draws do not make a figure of themselves


def plot_prior_predictive(found: PriorPredictive, figure: Figure | SubFigure | None = None) -> np.ndarray:
    """Histograms of summaries of data under the prior, one panel a summary, with the observed data as a line.

    Parameters
    ----------
    found : PriorPredictive
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.

    Returns
    -------
    (6,) ndarray of Axes
    """
    names = list(map(str, found.statistics))
    figure, grid = panels(figure, len(names), 2.2)
    for axes, name in zip(grid, names, strict=True):
        values, observed = found.statistics[name].to_numpy(), float(found.observed_statistics[name])
        axes.set_title(verbatim(name), fontsize=9)
        if not np.isfinite(observed):
            axes.text(0.5, 0.5, "not defined", transform=axes.transAxes, ha="center", fontsize=8)
            continue
        low, high = np.quantile(values, SHOWN)
        low, high = min(low, observed), max(high, observed)
        axes.hist(values[(values >= low) & (values <= high)], bins=40, color=LINE, alpha=0.6)
        axes.axvline(observed, color=ESTIMATE, lw=1.6)
        axes.set_yticks([])
    return grid
