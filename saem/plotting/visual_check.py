"""Visual predictive checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.inference.visual_check import BEYOND
from saem.plotting.style import COLOURS, new_figure, panels, verbatim

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from saem.inference.visual_check import VisualCheck

#: What band, broken line and line are.
WORDS = ("95 % of drawn data sets", "their median", "the data")


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
    if len(groups) == 1:
        figure = new_figure(figure, (5.4, 4.4))
    figure, grid = panels(figure, len(groups), 3.4)
    events = found.kind == "events"
    step = {"step": "post"} if events else {}
    style = "steps-post" if events else "default"
    for axes, group in zip(grid, groups, strict=True):
        if found.kind == "percentiles" and group != [BEYOND] and found.fit.table is not None:
            x = found.fit.table[found.column].to_numpy(dtype=float)
            response = found.fit.model.response
            if response in found.fit.table:
                y = found.fit.table[response].to_numpy(dtype=float)
                axes.plot(x, y, ".", color="0.75", ms=3, zorder=0, label="responses")
        for k, name in enumerate(group):
            part = found.table[found.table["quantity"] == name]
            colour = COLOURS[k % len(COLOURS)]
            label = dict(zip(("band", "median", "own"), WORDS, strict=True)) if k == 0 else {}
            axes.fill_between(
                part["x"], part["lower"], part["upper"], color=colour, alpha=0.2, lw=0, label=label.get("band"), **step
            )
            axes.plot(
                part["x"], part["median"], color=colour, lw=1.0, ls="--", drawstyle=style, label=label.get("median")
            )
            axes.plot(
                part["x"], part["observed"], color=colour, lw=1.2, marker="" if events else "o", ms=3.5,
                drawstyle=style, label=label.get("own"),
            )  # fmt: skip
            if len(group) > 1:
                end = part.iloc[-1]
                side = {0: "top", len(group) - 1: "bottom"}.get(k, "center")  # so that they do not overlap
                axes.annotate(
                    name, (end["x"], end["observed"]), (4, 0), textcoords="offset points", fontsize=7, color=colour,
                    va=side,
                )  # fmt: skip
        axes.margins(x=0.08)
        axes.set_xlabel(verbatim(found.column), fontsize=9)
        axes.set_ylabel(verbatim(_label(found, group)), fontsize=9)
    shares = [
        axes for axes, group in zip(grid, groups, strict=True) if found.kind != "percentiles" or group == [BEYOND]
    ]
    top = max((axes.get_ylim()[1] for axes in shares), default=1.0)
    for axes in shares:  # one scale, from zero: shares are compared with each other
        axes.set_ylim(-0.03 * min(top, 1.0), min(top, 1.03))
    _add_legend(figure, grid)
    return grid


def _add_legend(figure: Figure | SubFigure, grid: np.ndarray) -> None:
    """Say what points, lines and bands are: outside of the panels where that leaves room for it."""
    handles, labels = grid[0].get_legend_handles_labels()
    if figure.get_layout_engine() is None:
        grid[0].legend(handles, labels, fontsize=7, frameon=False)
    else:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8, frameon=False)


def _label(found: VisualCheck, group: list[str]) -> str:
    """What a panel shows."""
    response = found.fit.model.response
    if found.kind == "events":
        return "share without an event"
    if group == [BEYOND]:
        return f"share of {response} {BEYOND}"
    return f"share of {response} = {group[0]}" if found.kind == "shares" else response
