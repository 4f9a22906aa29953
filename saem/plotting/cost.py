"""What an estimate costs: Monte Carlo error and deficit on the way, and the acceptance rate of a Markov kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError, nearest
from saem.fitting.parts import STUCK
from saem.plotting.style import ESTIMATE, LINE, Fits, labelled, look_of, new_figure, verbatim
from saem.stopping import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from saem.fitting.result import Fit

Curve = tuple[np.ndarray, np.ndarray]
COSTS = {"draws": "random effects drawn", "iteration": "iterations", "seconds": "seconds"}
FLOOR = 1e-10  # of the log-likelihood: a deficit below is rounding
NAMED = 8  # clusters that are stuck
SIZE = (6.4, 4.2)


def plot_error(fits: Fits, ax: Axes | None = None, cost: str = "draws", target: float | None = Target.mcse) -> Axes:
    """The largest MCSE/SE of every fit against its cost, both on logarithmic scales.

    Exact methods are left out; methods without a Monte Carlo error are in the legend only. A fit without a history,
    such as that of independent chains, is a single marker.

    Parameters
    ----------
    fits : Fit, sequence of Fit or dict of str to Fit
        The keys of a dict are the labels.
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    cost : str
        "draws" of random effects, "iteration" or "seconds".
    target : float or None
        Where to draw a line.
    """
    axes = _axes(ax)
    groups = {label: [fit] for label, fit in labelled(fits).items()}
    draw_curves(axes, groups, lambda fit: error_curve(fit, cost), cost, "largest MCSE / SE", target)
    return axes


def plot_deficit(
    fits: Fits,
    ax: Axes | None = None,
    cost: str = "draws",
    target: float | None = Target.deficit,
    maximum: float | None = None,
) -> Axes:
    """How far the log-likelihood of every fit was below its maximum against its cost, both on logarithmic scales.

    Deficits of less than 1e-10 are rounding: they are drawn there, as open triangles.

    Parameters
    ----------
    fits, ax, cost, target
        As in `plot_error`.
    maximum : float, optional
        The log-likelihood from which deficits count; the maximum beside each estimate if omitted.
    """
    axes = _axes(ax)
    groups = {label: [fit] for label, fit in labelled(fits).items()}
    draw_curves(axes, groups, lambda fit: deficit_curve(fit, cost, maximum), cost, DEFICIT_LABEL, target, FLOOR)
    return axes


DEFICIT_LABEL = "log-likelihood below the maximum"


def plot_acceptance(fit: Fit, ax: Axes | None = None) -> Axes:
    """The acceptance rate of the Markov kernel since the last look, against the iteration.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.

    Raises
    ------
    ModelError
        When the random effects are drawn without a Markov kernel.
    """
    history = fit.history
    known = np.isfinite(history["acceptance"].to_numpy(dtype=float))
    if not known.any():
        raise ModelError(
            f"the fit by {fit.method} has no acceptance rate: its random effects are drawn from their exact "
            "conditional distribution, or not at all. Only families that draw by a Markov kernel have one"
        )
    axes = _axes(ax)
    axes.plot(history["iteration"][known], history["acceptance"][known], "o-", color=LINE, lw=1.0, ms=3.5)
    axes.set(ylim=(0.0, 1.0), xlabel="iteration", ylabel="accepted share of the moves", title=verbatim(fit.method))
    return axes


def plot_cluster_acceptance(fit: Fit, ax: Axes | None = None) -> Axes:
    """The acceptance rate of the Markov kernel of every cluster since its adaptation stopped, in increasing order.

    The dashed line is where a cluster counts as stuck; such clusters are named.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.

    Raises
    ------
    ModelError
        When the fit has no such rates.
    """
    rates = fit.acceptance_rates
    if not np.isfinite(rates).any():
        raise ModelError(
            f"the fit by {fit.method} has no acceptance rates by cluster: its random effects are drawn in another way, "
            "or too few moves were made since the kernel stopped to adapt"
        )
    axes = _axes(ax)
    order = np.argsort(rates, kind="stable")[: int(np.isfinite(rates).sum())]
    rank = np.arange(1, len(order) + 1)
    stuck = rates[order] < STUCK
    axes.axhline(STUCK, color="0.6", lw=0.8, ls="--", zorder=0)
    axes.plot(rank[~stuck], rates[order][~stuck], "o", color=LINE, ms=3.5 if len(rank) <= 500 else 1.5)
    axes.plot(rank[stuck], rates[order][stuck], "o", color=ESTIMATE, ms=3.5)
    for k in np.flatnonzero(stuck)[:NAMED]:
        text = verbatim(", ".join(map(str, fit.cluster_labels.iloc[int(order[k])])))
        axes.annotate(text, (rank[k], rates[order[k]]), (4, 3), textcoords="offset points", fontsize=7, color="0.3")
    axes.set(ylim=(0.0, 1.0), xlabel="rank of the cluster", ylabel="accepted share of the moves")
    return axes


def error_curve(fit: Fit, cost: str) -> Curve:
    """Cost (k,) and largest MCSE/SE (k,) at every look, or at the end alone."""
    if len(fit.looks):
        return _column(fit, cost), _column(fit, "mcse_share")
    shares = np.divide(fit.mcse, fit.se, out=np.full(len(fit.se), np.nan), where=fit.se > 0.0)
    return _end(fit, cost), np.array([np.nanmax(shares)]) if np.isfinite(shares).any() else np.array([np.nan])


def deficit_curve(fit: Fit, cost: str, maximum: float | None) -> Curve:
    """Cost (k,) and deficit (k,) at every look, or at the end alone."""
    if len(fit.looks):
        return _column(fit, cost), _column(fit, "deficit") if maximum is None else maximum - _column(fit, "loglik")
    return _end(fit, cost), np.array([np.nan if maximum is None else maximum - fit.loglik])


def draw_curves(
    axes: Axes,
    groups: Mapping[str, Sequence[Fit]],
    curve: Callable[[Fit], Curve],
    cost: str,
    ylabel: str,
    target: float | None,
    floor: float = 0.0,
) -> None:
    """Draw the curves of groups of fits, one look and one label for each; what is below the floor is drawn on it."""
    if cost not in COSTS:
        raise ModelError(f"there is no cost {cost!r}{nearest(cost, COSTS)}; use one of {', '.join(COSTS)}")
    simulated = {label: [fit for fit in group if fit.drawn > 0] for label, group in groups.items()}
    simulated = {label: group for label, group in simulated.items() if group}
    if not simulated:
        raise ModelError(f"{', '.join(groups)}: exact methods draw nothing, and have no cost to be shown")
    clipped = False
    axes.set(xscale="log", yscale="log")
    for k, (label, group) in enumerate(simulated.items()):
        look: dict[str, Any] = look_of(k)
        found = [(x, y) for x, y in map(curve, group) if len(x)]
        several = len(found) > 1
        if several and len({len(x) for x, _ in found}) == 1:  # looked at together
            found.append((np.median([x for x, _ in found], axis=0), np.median([y for _, y in found], axis=0)))
        shown = False
        for x, y in reversed(found):
            known = (x > 0.0) & np.isfinite(y) & ((y > 0.0) | (floor > 0.0))
            x, y = x[known], y[known]
            low = y < floor
            clipped |= bool(low.any())
            thin = {"lw": 0.7, "ms": 2.0 if len(x) == 1 else 0.0, "alpha": 0.35} if several and shown else {"lw": 1.4}
            if len(x):
                style = {"ms": 4.5 if len(x) <= 30 else 2.5} | look | thin
                axes.plot(x, np.maximum(y, floor), label=None if shown else verbatim(label), **style)
                axes.plot(x[low], np.full(low.sum(), floor), "v", ms=8, mfc="white", color=look["color"], zorder=3)
                shown = True
        if not shown:
            axes.plot([], [], lw=1.4, ms=4.5, label=verbatim(f"{label} (not known)"), **look)
    if target is not None:
        axes.axhline(target, color=ESTIMATE, lw=0.9, ls=(0, (5, 3)), zorder=0, label=f"target {target:g}")
    axes.set_xlabel(COSTS[cost], fontsize=9)
    axes.set_ylabel(f"{ylabel}\n(open triangles: less than {floor:g}, rounding)" if clipped else ylabel, fontsize=9)
    axes.grid(color="0.92", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=8)
    for axis in (axes.xaxis, axes.yaxis):
        _plain_ticks(axis)
    if len(axes.get_legend_handles_labels()[1]) <= 5:
        axes.legend(fontsize=8, frameon=False)
    else:  # it would cover the curves
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _plain_ticks(axis: Axis) -> None:
    """Labels such as 0.05 in place of powers of ten; at 2 and 5 too where the scale is short."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    plain = FuncFormatter(lambda value, _: _short(value))
    low, high = axis.get_view_interval()
    axis.set_major_formatter(plain)
    axis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axis.set_minor_formatter(plain if high < 200.0 * low else NullFormatter())


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:,g} M"
    return f"{value / 1e3:g} k" if value >= 1e4 else f"{value:,.12g}"


def _column(fit: Fit, name: str) -> np.ndarray:
    return fit.history[name].to_numpy(dtype=float)


def _end(fit: Fit, cost: str) -> np.ndarray:
    return np.array([{"draws": fit.drawn, "iteration": fit.iterations, "seconds": fit.seconds}[cost]], dtype=float)


def _axes(ax: Axes | None) -> Axes:
    axes: Axes = new_figure(None, SIZE).subplots() if ax is None else ax
    return axes
