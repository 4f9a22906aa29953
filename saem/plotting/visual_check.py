"""Visual predictive checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.inference.visual_check import BEYOND
from saem.plotting.style import COLOURS, panels, verbatim

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from saem.inference.visual_check import VisualCheck


def plot_visual_check(found: VisualCheck, figure: Figure | SubFigure | None = None) -> np.ndarray:
    """Summaries of the data (points) over bands in which 95 % of those of drawn data lie, with their medians (lines).

    Percentiles share a panel, with the responses behind them; every category has a panel of its own, and so has the
    share of responses beyond a limit.

    Parameters
    ----------
    found : VisualCheck
        Of `saem.visual_check`.
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.

    Returns
    -------
    (k,) ndarray of Axes
    """
    names = list(dict.fromkeys(found.table["quantity"]))
    groups = [[name] for name in names]
    if found.kind == "percentiles":
        apart = [[name] for name in names if name == BEYOND]
        groups = [[name for name in names if name != BEYOND], *apart]
    _, grid = panels(figure, len(groups), 3.4)
    for axes, group in zip(grid, groups, strict=True):
        if found.kind == "percentiles" and group != [BEYOND] and found.fit.table is not None:
            x = found.fit.table[found.column].to_numpy(dtype=float)
            response = found.fit.model.response
            if response in found.fit.table:
                axes.plot(x, found.fit.table[response], ".", color="0.75", ms=3, zorder=0)
        for k, name in enumerate(group):
            part = found.table[found.table["quantity"] == name]
            colour = COLOURS[k % len(COLOURS)]
            step = "post" if found.kind == "events" else None
            axes.fill_between(part["x"], part["lower"], part["upper"], color=colour, alpha=0.2, lw=0, step=step)
            style = "steps-post" if step else "default"
            axes.plot(part["x"], part["median"], color=colour, lw=1.0, ls="--", drawstyle=style)
            marker = "" if step else "o"
            axes.plot(part["x"], part["observed"], color=colour, lw=1.2, marker=marker, ms=3.5, drawstyle=style)
            if len(group) > 1:
                end = part.iloc[-1]
                axes.annotate(
                    name, (end["x"], end["observed"]), (4, 0), textcoords="offset points", fontsize=7, color=colour
                )
        axes.margins(x=0.08)
        axes.set_xlabel(verbatim(found.column), fontsize=9)
        axes.set_ylabel(verbatim(_label(found, group)), fontsize=9)
        if found.kind != "percentiles" or group == [BEYOND]:
            low, high = axes.get_ylim()
            axes.set_ylim(max(low, -0.03), min(high, 1.03))
    return grid


def _label(found: VisualCheck, group: list[str]) -> str:
    """What a panel shows."""
    response = found.fit.model.response
    if found.kind == "events":
        return "share without an event"
    if group == [BEYOND]:
        return f"share of {response} {BEYOND}"
    return f"share of {response} = {group[0]}" if found.kind == "shares" else response
