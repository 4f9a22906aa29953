"""The paths of methods on one data set; they are not stored, so that the methods are run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError
from saem.plotting.style import NORMAL_95

from ..study.asking import ask
from ..study.records import FAILED, in_words
from ..study.truths import Truths
from .choosing import ALL, Choice, named
from .style import (
    DASHES,
    FULL,
    TRUTH,
    label_below,
    legend_above,
    look,
    new_page,
    shortened,
    styled,
    symbol,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..results import Results
    from ..study import Study

MOST_SECONDS = 20.0  # that the gallery lets a replicate take
MOST_PANELS = 12
PANEL, AROUND = 1.35, 0.75  # inches


class TooSlow(Exception):
    """No replicate can be run again in time."""


@dataclass(frozen=True)
class Paths:
    """The paths of methods on one data set.

    Attributes
    ----------
    cell : str
    replicate : int
    methods : tuple of str
        All that were run, in the order of the study.
    traces : DataFrame
        Columns `method`, `iteration`, `estimand`, `value`; the last iteration is the estimate.
    ends : DataFrame
        Columns `method`, `estimand`, `estimate`, `mcse`, of the methods that ended.
    truth : mapping of str to float
    reference : str or None
    without : tuple of str
        Methods without a path, with the reason.
    """

    cell: str
    replicate: int
    methods: tuple[str, ...]
    traces: pd.DataFrame
    ends: pd.DataFrame
    truth: Mapping[str, float]
    reference: str | None
    without: tuple[str, ...]


def paths_of(study: Study, path: Path, cell: str | None = None, replicate: int = 0, choice: Choice = ALL) -> Paths:
    """Run the methods of one replicate again, and keep their paths.

    Data and random numbers are those of the study. The arguments are those of `traces`.

    Raises
    ------
    ModelError
        When a name is not known, or the data cannot be generated.
    """
    import pandas as pd

    from ..running import job_of

    choice.lacks("cells", "on")
    cells = {one.name: one for one in study.design.all()}
    name = named("cell", None if cell is None else [cell], list(cells))[0]
    chosen = named("method", choice.methods, list(study.methods))
    if choice.methods is not None and study.reference is not None and study.reference not in chosen:
        chosen.append(study.reference)
    job, own = job_of(study, path), cells[name]
    tables, ends, without = [], [], []
    for method in chosen:
        try:
            what = f"{method} on replicate {replicate} of {name}"
            own_ends, trace = ask(job.functions, study.run, "traced", job, own, replicate, method, what=what)
        except ModelError as error:
            without.append(f"{method} ({in_words(error)})")
            continue
        ends += [(method, key, estimate, mcse) for key, (estimate, mcse) in own_ends.items()]
        if trace is None:
            without.append(method)
            continue
        long = trace.rename_axis("iteration").reset_index()
        tables.append(long.melt("iteration", var_name="estimand").assign(method=method))
    shown = ["method", "iteration", "estimand", "value"]
    return Paths(
        cell=name,
        replicate=replicate,
        methods=tuple(name for name in study.methods if name in chosen),
        traces=pd.concat(tables, ignore_index=True)[shown] if tables else pd.DataFrame(columns=shown),
        ends=pd.DataFrame(ends, columns=["method", "estimand", "estimate", "mcse"]),
        truth=Truths(path, study.run).of(own),
        reference=study.reference,
        without=tuple(without),
    )


def quiet_replicate(results: Results, seconds: float = MOST_SECONDS) -> tuple[str, int]:
    """The first cell and replicate that all methods ended, in so many seconds altogether.

    Raises
    ------
    TooSlow
        When there is none.
    """
    fits = results.rows.drop_duplicates(["cell", "replicate", "method"])
    fits = fits.assign(failed=fits["status"].isin(FAILED), cell=fits["cell"].astype(str))
    found = fits.groupby(["cell", "replicate"]).agg(
        count=("method", "size"), failed=("failed", "any"), seconds=("seconds", "sum")
    )
    found = found[(found["count"] == len(results.study.methods)) & ~found["failed"] & (found["seconds"] <= seconds)]
    for cell in results.study.design.all():
        if cell.name in found.index.get_level_values(0):
            return cell.name, int(found.loc[cell.name].index.min())
    raise TooSlow(f"there is no replicate in which no method failed and all together took at most {seconds:g} s")


def traces(
    study: Study,
    path: Path,
    cell: str | None = None,
    replicate: int = 0,
    choice: Choice = ALL,
) -> Figure:
    """The path of every method on one data set over its iterations, a panel for each estimand.

    The methods are run again, since paths are not stored. A horizontal line is the reference's estimate, a broken one
    the true value; the bar at the end of a path is 1.96 Monte Carlo standard errors of the estimate on both sides,
    where it has one. The axis of the iterations is logarithmic, without the start. A panel is as high as the second
    halves of the paths, so that their beginnings may leave it. Methods without a path are named below the panels.

    Parameters
    ----------
    study : Study
    path : Path
        Of its TOML file.
    cell : str, optional
        The name of a cell; the first one if omitted.
    replicate : int
    choice : Choice
        Of estimands and methods; if omitted the first 12 estimands, and all methods. The reference is run in any case.

    Raises
    ------
    ModelError
        When a name is not known, the data cannot be generated, or no method gives its path.
    """
    shown = named("estimand", choice.estimands, list(study.estimands))
    return draw_paths(
        paths_of(study, path, cell, replicate, choice), tuple(shown if choice.estimands else shown[:MOST_PANELS])
    )


@styled
def draw_paths(paths: Paths, estimands: tuple[str, ...]) -> Figure:
    """Draw what `paths_of` found."""
    from matplotlib.lines import Line2D

    if not len(paths.traces):
        raise ModelError(f"no method gives its path: {', '.join(paths.without)}")
    across = min(3 if len(estimands) <= 9 else 4, len(estimands))
    rows = -(-len(estimands) // across)
    width = FULL if across > 1 else 4.4
    figure = new_page(width, rows * PANEL + AROUND + 0.13 * -(-len(paths.methods) // 4))
    grid = figure.subplots(rows, across, sharex=True, squeeze=False).ravel()
    for axes in grid[len(estimands) :]:
        axes.remove()
    drawn = set(paths.traces["method"])
    styles = {name: look(k) for k, name in enumerate(paths.methods)}
    for k, (axes, estimand) in enumerate(zip(grid, estimands, strict=False)):
        own = paths.traces[paths.traces["estimand"] == estimand]
        ends = paths.ends[paths.ends["estimand"] == estimand].set_index("method")
        draw_panel(axes, own, ends, paths, float(paths.truth.get(estimand, np.nan)), styles)
        axes.set_title(symbol(estimand) if len(estimand) <= 26 else shortened([estimand], 26)[estimand])
        axes.tick_params(labelbottom=k + across >= len(estimands))
    short = shortened(paths.methods, 24)
    handles = [
        Line2D([], [], label=short[name], ms=3, **(styles[name] | {"ls": "-"}))
        for name in paths.methods
        if name in drawn
    ]
    if paths.reference is not None:
        handles.append(Line2D([], [], color=TRUTH, lw=0.8, label=f"estimate of {short[paths.reference]}"))
    handles.append(Line2D([], [], color=TRUTH, lw=0.8, ls=DASHES, label="true value"))
    without = f"\nwithout a path: {', '.join(paths.without)}" if paths.without else ""
    without = without if len(without) < 110 else without[:108] + "…"
    label_below(figure, "iteration (logarithmic)" + without.replace("$", r"\$"))
    legend_above(figure, handles, width)
    return figure


def draw_panel(
    axes: Axes, own: pd.DataFrame, ends: pd.DataFrame, paths: Paths, truth: float, styles: Mapping[str, dict]
) -> None:
    """The paths of one estimand."""
    settled = [truth]
    for name, style in styles.items():
        part = own[own["method"] == name]
        if not len(part):
            continue
        x, y = part["iteration"].to_numpy(float), part["value"].to_numpy(float)
        rough = float(np.abs(np.diff(y)).sum())  # smooth paths are drawn over rough ones
        marks = np.unique(np.geomspace(1, max(len(x) - 1, 1), 7).astype(int)) - 1  # what tells paths apart in grey
        solid = style | {"ls": "-", "ms": 2.2, "mew": 0.5, "markevery": list(marks), "zorder": 1 + 1 / (1 + rough)}
        axes.plot(x[1:], y[1:], lw=0.7, alpha=0.8, **solid)
        estimate, mcse = ends.loc[name, ["estimate", "mcse"]]
        axes.plot(x[-1], estimate, **(style | {"ls": "none", "ms": 3.2, "zorder": 3}))
        if mcse > 0.0:
            axes.vlines(x[-1], estimate - NORMAL_95 * mcse, estimate + NORMAL_95 * mcse, color=style["color"], lw=1.0)
        settled += [*y[len(y) // 2 :], estimate]
    if paths.reference in ends.index:
        level = float(ends.loc[paths.reference, "estimate"])
        axes.axhline(level, color=TRUTH, lw=0.7, zorder=0)
        settled.append(level)
    axes.axhline(truth, color=TRUTH, lw=0.7, ls=DASHES, zorder=0)
    finite = np.array(settled)[np.isfinite(settled)]
    if len(finite):
        low, high = float(finite.min()), float(finite.max())
        space = 0.12 * (high - low) or 0.05 * max(abs(low), 1.0)
        axes.set_ylim(low - space, high + space)
    axes.set_xscale("log")
    axes.locator_params(axis="y", nbins=5)
