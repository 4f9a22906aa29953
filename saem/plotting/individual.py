"""Fitted curves over the data of single clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError
from saem.families import family_of
from saem.inference.curves import column_along, curves
from saem.inference.rows import rows_of
from saem.plotting.style import ESTIMATE, LINE, panels, shared_legend, verbatim

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from saem.fitting.result import Fit

MOST = 12  # clusters


def plot_individual(
    fit: Fit,
    column: str | None = None,
    figure: Figure | SubFigure | None = None,
    clusters: Sequence[int] | None = None,
) -> np.ndarray:
    """The responses of clusters along a column, with the curve of each cluster and that of a typical one.

    Censored responses, of which a limit or an interval is known, are open triangles.

    Parameters
    ----------
    fit : Fit
    column : str, optional
        Along which; see `saem.inference.curves.curves`.
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.
    clusters : sequence of int, optional
        Positions in `fit.cluster_labels`; the first 12 if omitted.

    Returns
    -------
    (k,) ndarray of Axes
    """
    column = column_along(fit, column)
    shown = list(range(min(fit.n_clusters, MOST))) if clusters is None else [int(c) for c in clusters]
    if not shown or min(shown) < 0 or max(shown) >= fit.n_clusters:
        raise ModelError(f"clusters must be positions from 0 to {fit.n_clusters - 1}; got {clusters!r}")
    table, data = rows_of(fit)
    found = curves(fit, column)
    points = len(found) // fit.n_clusters
    limited: Any = family_of(fit.model).censored(fit.model, data)
    limited = np.zeros(len(table), dtype=bool) if limited is None else limited
    values, observed = table[column].to_numpy(dtype=float), data.observed
    figure, grid = panels(figure, len(shown), 2.4, sharex=True)
    for k, (axes, cluster) in enumerate(zip(grid, shown, strict=True)):
        part = found.iloc[cluster * points : (cluster + 1) * points]
        own = data.rows_in(cluster)
        axes.plot(part[column], part["typical"], color="0.5", lw=1.0, ls="--", label="typical")
        axes.plot(part[column], part["individual"], color=LINE, lw=1.3, label="individual")
        for rows, marker, fill in ((own & ~limited, "o", ESTIMATE), (own & limited, "v", "none")):
            label = "observed" if marker == "o" else "censored"
            if rows.any():
                axes.plot(values[rows], observed[rows], marker, ms=3.5, mfc=fill, mec=ESTIMATE, label=label)
        axes.set_title(verbatim(", ".join(map(str, fit.cluster_labels.iloc[cluster]))), fontsize=8)
        if k % min(3, len(shown)) == 0:
            axes.set_ylabel(verbatim(fit.model.response), fontsize=8)
        if k + 3 >= len(shown):
            axes.set_xlabel(verbatim(column), fontsize=8)
            axes.tick_params(labelbottom=True)
    shared_legend(figure, grid, 4)
    return grid
