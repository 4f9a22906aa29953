"""Figures of a fit. Each function takes a `Fit` and returns matplotlib Axes; nothing else is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError, nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from saem.comparison import Comparison
    from saem.result import Fit

LINE = "#1f5a8a"
ESTIMATE = "#c2410c"
SHADE = "#e7e5e4"


def plot_trace(
    fit: Fit, parameters: Sequence[str] | None = None, figure: Figure | SubFigure | None = None
) -> np.ndarray:
    """The path of every parameter over the iterations, one panel each.

    The burn-in is shaded, a dotted line marks where averaging starts, a horizontal line the estimate.

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
    if isinstance(parameters, str):
        parameters = [parameters]
    if parameters is None:
        shown = np.flatnonzero(~fit.parameters.fixed)
    else:
        shown = np.array([fit.parameters.index(name) for name in parameters], dtype=np.int64)
    if not len(shown):
        raise ModelError("plot_trace needs at least one parameter; got an empty list")
    n_columns = min(3, len(shown))
    n_rows = -(-len(shown) // n_columns)
    figure = _figure(figure, (3.6 * n_columns, 0.6 + 1.9 * n_rows))
    grid = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False).ravel()
    iterations = np.arange(len(fit.path))
    marker = "o" if len(iterations) <= 60 else ""
    for axes, i in zip(grid, shown, strict=False):
        if fit.burn_in:
            axes.axvspan(0, fit.burn_in, color=SHADE, lw=0, label="burn-in")
        if fit.averaging_from:
            axes.axvline(fit.averaging_from, color="0.4", lw=0.8, ls=":", label="averaging starts")
        axes.plot(iterations, fit.path[:, i], color=LINE, lw=0.9, marker=marker, ms=2.5, label="path")
        axes.axhline(fit.values[i], color=ESTIMATE, lw=0.9, label="estimate")
        axes.set_ylim(*_no_smaller(axes.get_ylim(), 0.05 * fit.se[i], float(fit.values[i])))
        axes.set_title(fit.parameters.names[i], fontsize=10)
        axes.tick_params(labelsize=8)
        axes.margins(x=0.01)
    for axes in grid[len(shown) :]:
        axes.remove()
    for axes in grid[max(0, len(shown) - n_columns) : len(shown)]:
        axes.set_xlabel("iteration", fontsize=9)
        axes.tick_params(labelbottom=True)
    grid[0].legend(fontsize=7, frameon=False)
    return np.asarray(grid[: len(shown)])


def plot_random_effects(fit: Fit, ax: Axes | None = None, term: str | None = None) -> Axes:
    """Caterpillar plot: the conditional mode of every cluster's random effect with its 95 % interval.

    Clusters are sorted by size within their variance group, and coloured by it.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    term : str, optional
        Which term of the random effects; the first if omitted.

    Returns
    -------
    Axes
    """
    if term is None:
        term = fit.term_names[0]
    if term not in fit.term_names:
        raise ModelError(
            f"there is no random-effect term {term!r}{nearest(term, fit.term_names)}; "
            f"the terms are {', '.join(map(repr, fit.term_names))}"
        )
    k = fit.term_names.index(term)
    modes, half = fit.random_effects[:, k], 1.96 * fit.random_effect_sds[:, k]
    group = fit.cluster_group if len(fit.cluster_group) else np.zeros(len(modes), np.int64)
    order = np.lexsort((modes, group))
    height = float(np.clip(1.0 + 0.16 * len(modes), 2.5, 9.0))
    axes = _figure(None, (6.0, height)).subplots() if ax is None else ax
    for g in np.unique(group):
        at = np.flatnonzero(group[order] == g)
        members = order[at]
        colour = f"C{g}"
        label = (fit.group_levels[g] or None) if g < len(fit.group_levels) else None
        axes.hlines(at, modes[members] - half[members], modes[members] + half[members], color=colour, lw=1.0, alpha=0.7)
        axes.plot(modes[members], at, "o", ms=3.5 if len(modes) <= 200 else 1.0, color=colour, label=label)
    axes.axvline(0.0, color="0.6", lw=0.8, zorder=0)
    columns = ", ".join(map(str, fit.cluster_labels.columns))
    if len(modes) <= 60:
        axes.set_yticks(np.arange(len(modes)), [_label(fit, c) for c in order], fontsize=7)
        axes.set_ylabel(columns, fontsize=9)
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(modes):,} clusters ({columns})", fontsize=9)
    axes.set_ylim(-1, len(modes))
    axes.set_xlabel(f"random effect: {term}", fontsize=9)
    if any(fit.group_levels):
        axes.legend(fontsize=8, frameon=False)
    return axes


def plot_comparison(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Every method's estimates as differences to the reference, in its standard errors, with their Monte Carlo errors.

    Parameters
    ----------
    comparison : Comparison
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.

    Returns
    -------
    Axes
    """
    reference = comparison.fits[comparison.reference]
    shown = np.flatnonzero(reference.se > 0.0)
    others = [name for name in comparison.fits if name != comparison.reference]
    height = 1.2 + 0.14 * len(shown) * len(comparison.fits)
    axes = _figure(None, (7.0, height)).subplots() if ax is None else ax
    for k, name in enumerate(others):
        fit = comparison.fits[name]
        at = -np.arange(len(shown)) - 0.7 * (k + 1) / (len(others) + 1)
        distance = comparison.distances(name)[shown]
        half = np.nan_to_num(1.96 * fit.mcse[shown] / reference.se[shown])
        axes.hlines(at, distance - half, distance + half, color=f"C{k}", lw=1.4, alpha=0.7)
        axes.plot(distance, at, "osD^v"[k % 5], ms=4.5, color=f"C{k}", label=name)
    axes.axvline(0.0, color="0.6", lw=0.8, zorder=0)
    axes.set_yticks(-np.arange(len(shown)) - 0.35, [reference.parameters.names[i] for i in shown])
    axes.set_xlabel(
        f"difference to {comparison.reference}, in standard errors; lines: 95 % Monte Carlo error", fontsize=9
    )
    if others:
        axes.legend(fontsize=8, frameon=False)
    return axes


def _no_smaller(limits: tuple[float, float], half: float, centre: float) -> tuple[float, float]:
    """Limits at least `half` on both sides, so that a path that hardly moves does not look as if it did."""
    half = half if half > 0 else 1e-6 * (1.0 + abs(centre))
    return min(limits[0], centre - half), max(limits[1], centre + half)


def _label(fit: Fit, cluster: int) -> str:
    return ", ".join(str(value) for value in fit.cluster_labels.iloc[cluster])


def _figure(figure: Any, size: tuple[float, float]) -> Any:
    """`figure`, or else a new pyplot figure, which `plt.show()` will show."""
    if figure is not None:
        return figure
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout="constrained")
