"""The path of a fit over its iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from saem.plotting.style import (
    AVERAGE,
    COLOURS,
    ESTIMATE,
    LINE,
    NORMAL_95,
    SHADE,
    chosen,
    panels,
    shared_legend,
    verbatim,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from saem.fitting.result import Fit

SETTLED = 10  # iterations after which a path has left its start


def plot_trace(
    fit: Fit, parameters: Sequence[str] | None = None, figure: Figure | SubFigure | None = None
) -> np.ndarray:
    """The path of every parameter over the iterations, one panel each.

    The burn-in is shaded, a dotted line marks where averaging starts, and the averaged path is the running mean of the
    path from there on. A horizontal line has the estimate, in a band of 1.96 Monte Carlo standard errors on both sides
    where these are known. Independent chains have a colour each; the estimate is that of all together. The first
    ten iterations may leave the panel, so that what comes after them can be seen. Of a fit by "bayes" the paths are the
    draws of its chains.

    Parameters
    ----------
    fit : Fit
    parameters : sequence of str, optional
        Which to show; all that are not fixed if omitted.
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.

    Returns
    -------
    (n_parameters,) ndarray of Axes
    """
    shown = chosen(fit, parameters)
    figure, grid = panels(figure, len(shown), 1.9, sharex=True)
    for axes, i in zip(grid, shown, strict=True):
        _draw(axes, fit, int(i))
        axes.set_title(verbatim(fit.parameters.names[i]), fontsize=10)
        axes.margins(x=0.01)
    for axes in grid[-min(3, len(grid)) :]:
        axes.set_xlabel("iteration", fontsize=9)
        axes.tick_params(labelbottom=True)
    shared_legend(figure, grid, 2 if len(grid) == 1 else 6)
    return grid


def averaged_path(path: np.ndarray, averaging_from: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (k,) of a path whose iterations are averaged, and the running means (k, n); none for a last iterate."""
    # row r + 1 has iteration r; the last row has the estimate
    rows = np.arange(averaging_from + 1, len(path) - 1) if averaging_from else np.arange(0)
    return rows, np.cumsum(path[rows], axis=0) / np.arange(1, len(rows) + 1)[:, None]


def _draw(axes: Axes, fit: Fit, i: int) -> None:
    """One panel."""
    if fit.burn_in:
        axes.axvspan(0, fit.burn_in, color=SHADE, lw=0, label="burn-in")
    if fit.averaging_from:
        axes.axvline(fit.averaging_from, color="0.4", lw=0.8, ls=":", label="averaging starts")
    chains = fit.chain_paths if fit.posterior is None else tuple(fit.posterior.draws)
    several = len(chains) > 0
    paths = chains if several else (fit.path,)
    for k, path in enumerate(paths):
        marker = "o" if len(path) <= 60 else ""
        colour = COLOURS[k % len(COLOURS)] if several else LINE
        label = f"chain {k + 1}" if several else "path"
        axes.plot(
            np.arange(len(path)), path[:, i], color=colour, lw=0.7, alpha=0.75, marker=marker, ms=2.5, label=label
        )
        rows, means = averaged_path(path, fit.averaging_from)
        if len(rows):
            text = ("averaged path (thick)" if several else "averaged path") if k == 0 else None
            axes.plot(rows, means[:, i], color=colour if several else AVERAGE, lw=1.5, label=text, zorder=3)
    half = NORMAL_95 * fit.mcse[i]
    if half > 0.0:
        low, high = fit.values[i] - half, fit.values[i] + half
        axes.axhspan(low, high, color=ESTIMATE, alpha=0.22, lw=0, label="estimate ± 1.96 MCSE", zorder=2.5)
    axes.axhline(fit.values[i], color=ESTIMATE, lw=0.9, label="estimate", zorder=2.6)
    settled = np.concatenate([path[SETTLED:, i] if len(path) > 6 * SETTLED else path[:, i] for path in paths])
    low, high = settled.min(), settled.max()
    if np.isfinite(low) and np.isfinite(high):
        margin = 0.06 * (high - low)
        axes.set_ylim(*_no_smaller((low - margin, high + margin), 0.05 * fit.se[i], float(fit.values[i])))


def _no_smaller(limits: tuple[float, float], half: float, centre: float) -> tuple[float, float]:
    """Limits at least `half` on both sides, so that a path that hardly moves does not look as if it did."""
    half = half if half > 0 else 1e-6 * (1.0 + abs(centre))
    return min(limits[0], centre - half), max(limits[1], centre + half)
