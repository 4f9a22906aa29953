"""Where the mean squared error comes from: squared bias and variance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.plotting.style import NORMAL_95

from .choosing import ALL, Choice, Shown, choose, grid_of, measured, with_values
from .forest import ACROSS, forest_height, new_forest
from .limits import LABEL, calm, cut_across
from .style import COLUMN, DARK, FULL, LIGHT, TRUTH, label_below, legend_above, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..results import Results


CUT = 3.0  # units where the panels end: what is longer is cut, and has its number


def bias_variance_numbers(
    results: Results, choice: Choice = ALL, *, relative: bool = True
) -> tuple[Shown, pd.DataFrame]:
    """What `bias_variance` shows, and its numbers.

    Returns
    -------
    Shown
    DataFrame
        Columns `cell`, `method`, `estimand`, `squared_bias`, `variance` (of the replicates, with divisor n), which add
        up to `mse`, its `mcse`, `n`, and the `unit` that they are divided by in the figure: the mean squared error of
        the reference in the cell, or the smallest one there if there is no reference or it has none; 1 if not
        `relative`.
    """
    shown = choose(results, forest_height, ACROSS, choice, among=with_values(results, "mse"))
    table = measured(results, ["mse", "bias"], shown)
    keys = ["cell", "method", "estimand"]
    found = (
        table[table["measure"] == "mse"].drop(columns=["measure", "lower", "upper"]).rename(columns={"value": "mse"})
    )
    found = found.reset_index(drop=True)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite bars are left out
        found["squared_bias"] = table.loc[table["measure"] == "bias", "value"].to_numpy() ** 2
        found["variance"] = np.maximum(found["mse"] - found["squared_bias"], 0.0)
    found["unit"] = 1.0
    if relative:
        mse = measured(results, ["mse"], replace(shown, methods=tuple(results.study.methods)))
        positive = mse[mse["value"] > 0.0]
        smallest = positive.groupby(["cell", "estimand"])["value"].min()
        own = positive[positive["method"] == results.study.reference].set_index(["cell", "estimand"])["value"]
        unit = own.combine_first(smallest)
        found["unit"] = [unit.get(key, 1.0) for key in zip(found["cell"], found["estimand"], strict=True)]
    return shown, found[[*keys, "squared_bias", "variance", "mse", "mcse", "n", "unit"]]


@styled
def bias_variance(results: Results, choice: Choice = ALL, *, relative: bool = True) -> Figure:
    """Squared bias and variance, stacked to the mean squared error: a panel an estimand, a bar a cell and method.

    Lines at the ends of the bars are 1.96 Monte Carlo standard errors of the mean squared error on both sides. The unit
    is taken as known: they are not those of a ratio, for which see `experiments.performance.paired`. Bars of more than
    three units are cut, and have their number with its Monte Carlo standard error.

    Parameters
    ----------
    results : Results
    choice : Choice
        If omitted as much as fits on a page, see `choosing.choose`.
    relative : bool
        Whether the bars of a cell are in units of the reference's mean squared error there (without a reference, of the
        smallest one); otherwise in squares of the estimand's unit.

    Raises
    ------
    ModelError
        When a name is not known.
    """
    from matplotlib.patches import Patch

    shown, table = bias_variance_numbers(results, choice, relative=relative)
    forest = new_forest(shown, results.study)
    style: dict[str, Any] = {"height": 0.72, "lw": 0.5, "edgecolor": TRUTH}
    long = table.assign(measure="mse")
    for estimand, axes in forest.panels.items():
        names = ("squared_bias", "variance", "mse", "mcse", "unit")
        bias, variance, mse, mcse, unit = (grid_of(long, name, shown, estimand, "mse") for name in names)
        at = forest.at.ravel()
        known = np.isfinite(mse).ravel()
        bias, variance, mse, mcse = ((x / unit).ravel() for x in (bias, variance, mse, mcse))
        axes.barh(at[known], bias[known], facecolor=DARK, **style)
        axes.barh(at[known], variance[known], left=bias[known], facecolor=LIGHT, **style)
        axes.hlines(at, mse - NORMAL_95 * mcse, mse + NORMAL_95 * mcse, color=TRUTH, lw=0.9, zorder=3)
        axes.set_xlim(left=0.0)
        if relative and known.any():
            axes.axvline(1.0, color=TRUTH, lw=0.6, zorder=0)
            for k in np.flatnonzero(known & (mse > CUT)):
                axes.text(CUT, at[k], f"{mse[k]:.3g} ({mcse[k]:.2g}) ▸", ha="right", va="center", **LABEL)
            if (mse[known] > CUT).any():
                axes.set_xlim(right=CUT)
        if not relative and (ends := calm(np.concatenate([mse, mse + NORMAL_95 * mcse]), 0.0)):
            cut_across(axes, at, mse, mcse, (0.0, ends[1]))
        if not known.any():
            axes.text(0.5, 0.5, "not known", ha="center", va="center", transform=axes.transAxes)
    if relative:
        whose = f"that of {results.study.reference}" if results.study.reference else "the smallest"
        label = f"mean squared error, in units of {whose} in the cell (lines: ±1.96 Monte Carlo SE)"
    else:
        label = "mean squared error (lines: ±1.96 Monte Carlo SE)"
    label_below(forest.figure, label)
    handles = [Patch(fc=DARK, ec=TRUTH, label="squared bias"), Patch(fc=LIGHT, ec=TRUTH, label="variance")]
    legend_above(forest.figure, handles, FULL if len(shown.estimands) > 1 else COLUMN)
    return forest.figure
