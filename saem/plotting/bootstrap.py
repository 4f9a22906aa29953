"""The estimates of a bootstrap as histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from saem.plotting.style import ESTIMATE, LINE, SHADE, chosen, panels, verbatim

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from saem.inference.bootstrap import Bootstrap


def plot_bootstrap(
    bootstrap: Bootstrap,
    parameters: Sequence[str] | None = None,
    level: float = 0.95,
    figure: Figure | SubFigure | None = None,
) -> np.ndarray:
    """A histogram of the replicates of every parameter.

    The line is the estimate, the band the percentile interval. Standard deviations of exactly zero are a bar of their
    own, with their share; replicates in which a correlation is undefined are left out and counted. All numbers are in
    `Bootstrap.estimates`, `Bootstrap.table` and `Bootstrap.intervals`.

    Parameters
    ----------
    bootstrap : Bootstrap
    parameters : sequence of str, optional
        Which to show; all that are not fixed if omitted.
    level : float
        Of the interval.
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.

    Returns
    -------
    (n_parameters,) ndarray of Axes
    """
    fit = bootstrap.fit
    names = [fit.parameters.names[i] for i in chosen(fit, parameters)]
    table, intervals = bootstrap.table.loc[names], bootstrap.intervals(level).loc[names]
    figure, grid = panels(figure, len(names), 2.2)
    for axes, name in zip(grid, names, strict=True):
        values, row = bootstrap.values_of(name), table.loc[name]
        zero, undefined = row["at_zero"], int(row["undefined"])
        spread = values[values != 0.0] if zero > 0.0 else values
        if len(spread):
            edges = np.histogram_bin_edges(spread, "fd" if np.ptp(np.quantile(spread, [0.25, 0.75])) > 0.0 else 10)
            if zero > 0.0:  # no bin of the others reaches below zero
                edges = edges[edges > 0.0]
                edges = np.append(0.0, edges)
            axes.hist(spread, edges, color=LINE, alpha=0.75, lw=0)
        if zero > 0.0:
            span = float(np.ptp(values)) or 1.0
            axes.bar(0.0, len(values) - len(spread), width=0.03 * span, color="black", label="exactly zero")
        ends = intervals.loc[name].to_numpy(float)
        if np.isfinite(ends).all():
            axes.axvspan(*ends, color=SHADE, lw=0, zorder=0)
        if np.isfinite(row["bias"]):
            axes.axvline(row["estimate"], color=ESTIMATE, lw=1.4)
        notes = [f"{100 * zero:.3g} % at zero"] if zero > 0.0 else []
        notes += [f"{undefined} undefined"] if undefined else []
        axes.set_title(verbatim(f"{name} ({', '.join(notes)})" if notes else name), fontsize=10)
        axes.locator_params(axis="x", nbins=5)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("replicates", fontsize=9)
    figure.supxlabel(f"replicates; line: estimate, band: {100 * level:g} % percentile interval", fontsize=9)
    return grid
