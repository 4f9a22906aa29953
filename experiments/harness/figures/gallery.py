"""All figures that apply to a study, with captions that can be read alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import SaemError

from .bias_variance import bias_variance, bias_variance_numbers
from .choosing import Choice, Shown, with_values
from .coverage_map import coverage_map, coverage_numbers
from .deficit_cost import FLOOR, cost_numbers, deficit_cost
from .lolly import lolly, lolly_numbers
from .nested_loop import nested_loop, nested_numbers
from .saving import save
from .traces import Paths, TooSlow, draw_paths, paths_of, quiet_replicate
from .wording import title_of
from .zip_plot import giving_intervals, zip_numbers, zip_plot

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..results import Results

MOST_PAGES = 3  # of a figure whose estimands do not fit on one
ERRORS = "1.96 Monte Carlo standard errors on both sides"


@dataclass(frozen=True)
class Drawing:
    """A figure with its name, that of a file, and its caption."""

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Drawn:
    """A figure in files.

    Attributes
    ----------
    name, caption : str
    files : tuple of Path
    """

    name: str
    caption: str
    files: tuple[Path, ...]


class Gallery(list[Drawn]):
    """Figures in files; `left_out` says by name why the others are not drawn."""

    def __init__(self, figures: list[Drawn], left_out: dict[str, str]) -> None:
        super().__init__(figures)
        self.left_out = left_out


class LeftOut(Exception):
    """A figure does not apply, and why."""


def draw_all(results: Results, folder: Path, *, replay: bool = True) -> Gallery:
    """Draw what applies to a study, as PNG and as PDF.

    Parameters
    ----------
    results : Results
    folder : Path
        For the files.
    replay : bool
        Whether to run one replicate again for the figure of traces, which are not stored.

    Returns
    -------
    Gallery
        A list of `Drawn`, with the attribute `left_out`, a dict of reasons by name.
    """
    drawings, left_out = draw(results, replay=replay)
    return Gallery(
        [Drawn(one.name, one.caption, save(one.figure, folder, one.name)) for one in drawings],
        left_out,
    )


def draw(results: Results, *, replay: bool = True) -> tuple[list[Drawing], dict[str, str]]:
    """The figures that apply, and why the others do not, by name.

    The rules: bias, or the empirical SE where no true value is known, as lollipops; coverage and zip plot where there
    are intervals and true values; the nested loop where there are several cells; bias and variance where there are
    true values; deficits where there is a reference with log-likelihoods; traces where a replicate in which no method
    failed takes less than 20 seconds. Where not all estimands fit on a page there are several, at most three.
    """
    makers: dict[str, Callable[[Results], Iterator[Drawing]]] = {
        "bias": lollies,
        "coverage": coverage_maps,
        "zip": zips,
        "bias_variance": bias_variances,
        "nested_loop": nested_loops,
        "deficit_seconds": lambda found: costs(found, "seconds"),
        "deficit_draws": lambda found: costs(found, "draws"),
    }
    if replay:
        makers["traces"] = all_traces
    drawings: list[Drawing] = []
    left_out = {}
    factors = " / ".join(results.levels.columns)
    order = f" Levels without names are those of {factors}." if results.levels.shape[1] > 2 else ""
    for name, maker in makers.items():
        try:
            drawings += [replace(one, caption=f"{one.caption}{order}") for one in maker(results)]
        except LeftOut as reason:
            left_out[name] = str(reason)
    if not replay:
        left_out["traces"] = "no replicate was run again"
    return drawings, left_out


def known(table: pd.DataFrame, measure: str) -> bool:
    """Whether a measure has a value anywhere."""
    return bool(np.isfinite(table.loc[table["measure"] == measure, "value"].to_numpy(float)).any())


def replicates_in(results: Results) -> str:
    """How many replicates a cell has, in words."""
    counts = results.rows.groupby("cell", observed=True)["replicate"].nunique()
    all_counts = [int(counts.get(cell.name, 0)) for cell in results.study.design.all()]
    low, high = min(all_counts), max(all_counts)
    many = f"{high:,}" if low == high else f"{low:,} to {high:,}"
    return f"{many} replicate{'' if high == 1 else 's'} in a cell"


def pages(
    results: Results, numbers: Callable[[Choice], Shown], measure: str
) -> Iterator[tuple[str, Choice, Shown, str]]:
    """The end of a figure's name, its choice, what it shows, and a note on estimands shown nowhere; for each page.

    Parameters
    ----------
    results : Results
    numbers : callable
        What the figure shows of a choice.
    measure : str
    """
    names, size = tuple(with_values(results, measure)), max(1, len(numbers(Choice()).estimands))
    parts = [names[k : k + size] for k in range(0, len(names), size)]
    rest = [name for part in parts[MOST_PAGES:] for name in part]
    note = f" Not drawn: {', '.join(rest)}." if rest else ""
    for k, part in enumerate(parts[:MOST_PAGES]):
        yield (f"_{k + 1}" if len(parts) > 1 else ""), Choice(part), numbers(Choice(part)), note


def lollies(results: Results) -> Iterator[Drawing]:
    """Lollipops of the bias."""
    measure = "bias" if known(results.complete, "bias") else "empirical_se"
    if not known(results.complete, measure):
        raise LeftOut("no estimand has an estimate")
    start = "0" if measure == "empirical_se" else "0, no bias"
    for end, choice, shown, note in pages(results, lambda chosen: lolly_numbers(results, measure, chosen)[0], measure):
        caption = (
            f"{title_of(measure).capitalize()} of {', '.join(shown.estimands)} by cell and method "
            f"({replicates_in(results)}). Stems begin at {start}; brackets are {ERRORS}. Scales differ between "
            f"estimands.{shown.note()}{note}"
        )
        yield Drawing(f"{measure}{end}", caption, lolly(results, measure, choice))


def any_interval(results: Results) -> bool:
    """Whether there is an interval whose true value is known."""
    rows = results.rows
    return bool((rows["lower"].notna() & rows["upper"].notna() & rows["truth"].notna()).any())


def coverage_maps(results: Results) -> Iterator[Drawing]:
    """Heat maps of coverage."""
    if not any_interval(results):
        raise LeftOut("there are no intervals of estimands whose true value is known")
    for end, choice, shown, note in pages(results, lambda chosen: coverage_numbers(results, chosen)[0], "coverage"):
        caption = (
            f"Coverage of 95 % intervals of {', '.join(shown.estimands)} in per cent, Monte Carlo standard errors in "
            f"brackets ({replicates_in(results)}); a missing interval does not cover. Darker is lower. Triangles mark "
            "coverages that differ from 95 % by more than two Monte Carlo standard errors of their size at 95 %."
            f"{shown.note()}{note}"
        )
        yield Drawing(f"coverage{end}", caption, coverage_map(results, choice))


def zips(results: Results) -> Iterator[Drawing]:
    """The zip plot of the estimand that is covered worst."""
    if not any_interval(results):
        raise LeftOut("there are no intervals of estimands whose true value is known")
    shown, table, _ = zip_numbers(results)
    if not table["exists"].any():
        raise LeftOut(f"{shown.estimands[0]}, which is covered worst, has no interval at all")
    left = [name for name in results.study.methods if name not in giving_intervals(results, shown.estimands[0])]
    without = f" Without intervals of it: {', '.join(left)}." if 0 < len(left) < len(results.study.methods) else ""
    caption = (
        f"Zip plot of the 95 % intervals of {shown.estimands[0]}, the estimand whose coverage is furthest from 95 % "
        f"in some cell ({replicates_in(results)}). A line is the interval of a replicate; they are ordered by the "
        "distance of the estimate to the truth in standard errors, the largest on top. Light intervals cover the true "
        "value (vertical line), dark ones miss it, and hatched are replicates without an interval. Numbers, and "
        "horizontal lines with broken lines around them: coverage and its Monte Carlo standard error, 1.96 of these "
        f"above and below. Intervals may run out of their panel.{without}{shown.note()}"
    )
    yield Drawing("zip", caption, zip_plot(results))


def bias_variances(results: Results) -> Iterator[Drawing]:
    """Bars of squared bias and variance."""
    if not known(results.complete, "mse"):
        raise LeftOut("no true value is known")
    reference = results.study.reference
    unit = f"the mean squared error of {reference}" if reference else "the smallest mean squared error"
    for end, choice, shown, note in pages(results, lambda chosen: bias_variance_numbers(results, chosen)[0], "mse"):
        caption = (
            f"Squared bias (dark) and variance (light) of {', '.join(shown.estimands)}, which add up to the mean "
            f"squared error, by cell and method ({replicates_in(results)}). The unit of a cell is {unit} there, a "
            f"vertical line; lines at the ends of bars are {ERRORS} of the mean squared error, not of its ratio to the "
            f"unit. Bars of more than three units are cut, and have their number.{shown.note()}{note}"
        )
        yield Drawing(f"bias_variance{end}", caption, bias_variance(results, choice))


def nested_loops(results: Results) -> Iterator[Drawing]:
    """The root mean squared error over all cells."""
    if len(results.study.design.all()) < 2:
        raise LeftOut("the design has one cell only")
    measure = "rmse" if known(results.complete, "rmse") else "empirical_se"
    if not known(results.complete, measure):
        raise LeftOut("no estimand has a spread")
    for end, choice, shown, note in pages(results, lambda chosen: nested_numbers(results, measure, chosen)[0], measure):
        caption = (
            f"{title_of(measure).capitalize()} of {', '.join(shown.estimands)} over all cells "
            f"({replicates_in(results)}). From left to right the levels of the factors change as the steps below each "
            f"other say, the first factor slowest. Vertical lines are {ERRORS}.{shown.note()}{note}"
        )
        yield Drawing(f"nested_loop{end}", caption, nested_loop(results, measure, choice))


def costs(results: Results, cost: str) -> Iterator[Drawing]:
    """Deficit against cost."""
    if results.study.reference is None:
        raise LeftOut("the study has no reference method")
    if not (known(results.complete, "deficit") and known(results.complete, f"mean_{cost}")):
        raise LeftOut("there are no log-likelihoods to compare, or no costs")
    drawn = results.complete.loc[results.complete["measure"] == "mean_draws", "value"]
    if cost == "draws" and not (drawn > 0.0).any():
        raise LeftOut("no method draws")
    shown, _ = cost_numbers(results, cost)
    what = "seconds" if cost == "seconds" else "draws of random effects"
    caption = (
        f"Mean log-likelihood below that of {results.study.reference} on the same data, against the mean number of "
        f"{what} of a fit, by cell ({replicates_in(results)}); lines are {ERRORS}. Both axes are logarithmic; deficits "
        f"below {FLOOR:g}, which is rounding, are in the grey strip at the foot, as triangles with their value where "
        f"they are below -{FLOOR:g}, and costs of zero in the strip on the left.{shown.note()}"
    )
    yield Drawing(f"deficit_{cost}", caption, deficit_cost(results, cost))


def all_traces(results: Results) -> Iterator[Drawing]:
    """The paths of the methods on one data set."""
    try:
        cell, replicate = quiet_replicate(results)
        paths = paths_of(results.study, results.path, cell, replicate)
    except (TooSlow, SaemError) as reason:
        raise LeftOut(str(reason)) from None
    if not len(paths.traces):
        raise LeftOut("no method gives its path")
    without = f" Without a path: {', '.join(paths.without)}." if paths.without else ""
    first = tuple(results.study.estimands)[:12]
    rest = (
        f" The first {len(first)} of {len(results.study.estimands)} estimands."
        if len(first) < len(results.study.estimands)
        else ""
    )
    moved = elsewhere(results, paths)
    if moved:
        without += (
            f" Run again, {', '.join(moved)} ended elsewhere than the store has it: the study's functions or the "
            "versions of packages changed since then."
        )
    level = f" Horizontal lines: the estimate of {results.study.reference}." if results.study.reference else ""
    caption = (
        f"Paths of the methods on the data of replicate {replicate} of the cell {cell}, by iteration, which costs "
        f"differently for each method.{level} Broken lines: true values. Bars at the ends: {ERRORS} of the estimates, "
        f"where they have any.{without}{rest}"
    )
    yield Drawing("traces", caption, draw_paths(paths, first))


def elsewhere(results: Results, paths: Paths) -> list[str]:
    """Methods whose estimates are not those of the store."""
    rows = results.rows
    own = rows[(rows["cell"] == paths.cell) & (rows["replicate"] == paths.replicate)]
    stored = own.astype({"method": str, "estimand": str}).set_index(["method", "estimand"])["estimate"]
    again = paths.ends.set_index(["method", "estimand"])["estimate"]
    same = np.isclose(again, stored.reindex(again.index), rtol=1e-6, atol=1e-9, equal_nan=True)
    return list(dict.fromkeys(again.index.get_level_values("method")[~same]))
