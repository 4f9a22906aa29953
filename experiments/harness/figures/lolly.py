"""Lollipops: a measure by cell and method with its Monte Carlo error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..performance import WHOLE_FIT
from .choosing import ALL, Choice, Shown, choose, grid_of, measured, with_values
from .forest import ACROSS, forest_height, new_forest
from .limits import calm, cut_across
from .style import TRUTH, label_below, look, styled
from .wording import title_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..results import Results

NOMINAL = 0.95
#: What a measure would be for a perfect method; stems begin there, or at zero.
TARGETS = {
    "coverage": NOMINAL,
    "coverage_existing": NOMINAL,
    "coverage_bias_eliminated": NOMINAL,
    "mcse_calibration_spread": 1.0,
    "convergence_rate": 1.0,
}


def lolly_numbers(results: Results, measure: str = "bias", choice: Choice = ALL) -> tuple[Shown, pd.DataFrame]:
    """What `lolly` shows, and its numbers as `measured` gives them."""
    if of_whole_fits(results, measure):
        choice.lacks("estimands")
        shown = choose(results, lambda c, m, e: forest_height(c, m, 1), 0, choice)
        shown = replace(shown, estimands=(WHOLE_FIT,))
    else:
        shown = choose(results, forest_height, ACROSS, choice, among=with_values(results, measure))
    return shown, measured(results, [measure], shown)


def of_whole_fits(results: Results, measure: str) -> bool:
    """Whether a measure is one of fits, not of estimands."""
    own = results.complete.loc[results.complete["measure"] == measure, "estimand"]
    return bool(len(own)) and bool((own == WHOLE_FIT).all())


@styled
def lolly(results: Results, measure: str = "bias", choice: Choice = ALL) -> Figure:
    """Lollipop plot of a measure: a panel for each estimand, a line for each cell and method.

    The stem begins at the value of a perfect method (0 for bias, 0.95 for coverage), the head is the measure, and
    brackets are 1.96 Monte Carlo standard errors on both sides. Where there is no result, there is no lollipop. What is
    so far off that it would flatten all others runs out of its panel, and has its number there.

    Parameters
    ----------
    results : Results
    measure : str
        Of `experiments.performance.performance`, or of the study's own.
    choice : Choice
        If omitted as much as fits on a page, see `choosing.choose`.

    Raises
    ------
    ModelError
        When a name is not known.

    References
    ----------
    Gasparini (2018), rsimsum: Summarise results from Monte Carlo simulation studies, Journal of Open Source Software
    3, 739.
    """
    shown, table = lolly_numbers(results, measure, choice)
    target = TARGETS.get(measure, 0.0)
    forest = new_forest(shown, results.study)
    for estimand, axes in forest.panels.items():
        value, low, high = (grid_of(table, name, shown, estimand, measure) for name in ("value", "lower", "upper"))
        axes.axvline(target, color=TRUTH, lw=0.7, zorder=1)
        for k in range(len(shown.methods)):
            at, x = forest.at[:, k], value[:, k]
            style = look(k)
            axes.hlines(at, np.where(np.isfinite(x), target, np.nan), x, color=style["color"], lw=0.9)
            for end, bracket in ((low, "$($"), (high, "$)$")):
                axes.plot(end[:, k], at, marker=bracket, ls="none", color=TRUTH, ms=4.5, mew=0.2, zorder=3)
            axes.plot(x, at, **(style | {"ls": "none", "ms": 3.4, "zorder": 2}))
        if ends := calm(np.concatenate([value, low, high], axis=None), target):
            mcse = grid_of(table, "mcse", shown, estimand, measure)
            cut_across(axes, forest.at, value, mcse, ends)
        if not np.isfinite(value).any():
            axes.text(0.5, 0.5, "not known", ha="center", va="center", transform=axes.transAxes)
    label_below(forest.figure, f"{title_of(measure)}, brackets: ±1.96 Monte Carlo standard errors")
    return forest.figure
