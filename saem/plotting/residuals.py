"""Residuals against fitted values, and observed against predicted values by cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from saem.errors import ModelError, nearest
from saem.plotting.style import COLOURS, ESTIMATE, LINE, NORMAL_95, look_of, new_figure, verbatim

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from saem.fitting.result import Fit

MAX_BINS, LEAST_IN_BIN = 12, 8
MAX_CELLS = 12
NAMED = 3  # rows
FITTED = {"standardised": "fitted_conditional", "conditional": "fitted_conditional"}
KINDS = ("standardised", "normalised", "conditional", "marginal")


def binned(x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Means of y at each x where these are few and often, else in bins of x with equal counts; empty below two bins.

    Parameters
    ----------
    x, y : (n,) ndarray

    Returns
    -------
    DataFrame with columns `x`, `mean`, `se`, `rows`.
    """
    import pandas as pd

    count = min(MAX_BINS, len(x) // LEAST_IN_BIN)
    if count < 2:
        return pd.DataFrame(columns=["x", "mean", "se", "rows"], dtype=float)
    bins = pd.Series(x)
    if bins.nunique() > MAX_BINS or bins.value_counts().min() < LEAST_IN_BIN:
        bins = pd.qcut(bins, count, labels=False, duplicates="drop")
    grouped = pd.DataFrame({"x": x, "y": y}).groupby(bins)
    found = pd.DataFrame({"x": grouped["x"].mean(), "mean": grouped["y"].mean()})
    found["se"] = grouped["y"].std(ddof=1) / np.sqrt(grouped["y"].count())
    found["rows"] = grouped["y"].count()
    return found.reset_index(drop=True)


def plot_residuals(residuals: pd.DataFrame, ax: Axes | None = None, kind: str = "standardised") -> Axes:
    """Residuals against the fitted values that they are of, with means over bins and their 95 % intervals.

    The largest three are named by the index of the table; dashed lines are at 1.96 where the scale is standard. In
    small clusters, residuals with random effects rise with their fitted values in the right model, too, since both are
    shrunken; "normalised" ones do not.

    Parameters
    ----------
    residuals : DataFrame
        Of `saem.residuals`.
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    kind : str
        "standardised", "conditional" (against the fitted values with random effects), "normalised" or "marginal"
        (against those without).
    """
    if kind not in KINDS:
        raise ModelError(f"the kind of residuals must be one of {', '.join(KINDS)}; got {kind!r}{nearest(kind, KINDS)}")
    if kind not in residuals:
        raise ModelError(f"the family of the model has no {kind} residuals; it has {', '.join(residuals.columns)}")
    axes = new_figure(None, (5.6, 4.0)).subplots() if ax is None else ax
    against = FITTED.get(kind, "fitted_marginal")
    x, y = residuals[against].to_numpy(), residuals[kind].to_numpy()
    axes.axhline(0.0, color="0.6", lw=0.8, zorder=0)
    if kind in ("standardised", "normalised"):
        for end in (-NORMAL_95, NORMAL_95):
            axes.axhline(end, color="0.6", lw=0.8, ls="--", zorder=0)
    axes.plot(x, y, "o", ms=4.0 if len(x) <= 500 else 2.0, color=LINE, alpha=0.7, mew=0)
    means = binned(x, y)
    if len(means):
        half = NORMAL_95 * means["se"]
        axes.errorbar(means["x"], means["mean"], half, color=ESTIMATE, lw=1.2, marker="s", ms=3, label="mean of a bin")
    for row in np.argsort(-np.abs(y), kind="stable")[:NAMED]:
        axes.annotate(
            str(residuals.index[row]), (x[row], y[row]), (4, 3), textcoords="offset points", fontsize=7, color="0.3"
        )
    axes.margins(x=0.07)
    axes.set_xlabel(f"fitted value, {'with' if 'conditional' in against else 'without'} random effects", fontsize=9)
    axes.set_ylabel(f"{kind} residual", fontsize=9)
    axes.tick_params(labelsize=8)
    return axes


def cells(fit: Fit, by: str | Sequence[str] | None = None) -> pd.Series:
    """The cell of every row: the levels of some columns, joined by ", ".

    Parameters
    ----------
    fit : Fit
    by : str or sequence of str, optional
        Columns of `Fit.table`; the factors of the mean if omitted.

    Returns
    -------
    Series with the index of the table; one cell of all rows where the mean has no factor.
    """
    import pandas as pd

    if fit.table is None:
        raise ModelError("this fit was saved without its table; fit again, and go on from the new fit")
    table = fit.table
    if by is None:
        named = fit.model.design_columns
        names = [name for name in named if not pd.api.types.is_numeric_dtype(table[name].dtype)]
    else:
        names = [by] if isinstance(by, str) else list(by)
        for name in names:
            if name not in table:
                raise ModelError(f"the table of the fit has no column {name!r}{nearest(name, table.columns)}")
    joined = pd.Series("", index=table.index)
    for k, name in enumerate(names):
        joined = joined + (", " if k else "") + table[name].astype(str)
    return joined


def plot_observed(
    fit: Fit, residuals: pd.DataFrame, ax: Axes | None = None, by: str | Sequence[str] | None = None
) -> Axes:
    """Observed against fitted values, with random effects, in the colour of their cell.

    A large mark is the mean of a cell against its fitted mean without random effects: on the diagonal where that fits.

    Parameters
    ----------
    fit : Fit
    residuals : DataFrame
        Of `saem.residuals(fit)`.
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    by : str or sequence of str, optional
        Columns whose levels are the cells; the factors of the mean if omitted. Beyond 12 cells there is one colour.
    """
    axes = new_figure(None, (5.2, 4.6)).subplots() if ax is None else ax
    cell = cells(fit, by)
    observed = residuals["fitted_conditional"] + residuals["conditional"]
    names = list(dict.fromkeys(cell))
    low = min(observed.min(), residuals["fitted_conditional"].min())
    high = max(observed.max(), residuals["fitted_conditional"].max())
    axes.plot([low, high], [low, high], color="0.6", lw=0.8, zorder=0)
    size = 4.0 if len(cell) <= 500 else 2.0
    if len(names) > MAX_CELLS:
        axes.plot(residuals["fitted_conditional"], observed, "o", ms=size, color=COLOURS[0], alpha=0.6, mew=0)
    else:
        for k, name in enumerate(names):
            here, look = (cell == name).to_numpy(), look_of(k)
            style = {"color": look["color"], "marker": look["marker"], "ls": ""}
            x = residuals["fitted_conditional"][here]
            axes.plot(x, observed[here], ms=size, alpha=0.6, mew=0, label=verbatim(name) or None, **style)
            if name == "":
                continue
            mean = residuals["fitted_marginal"][here].mean(), observed[here].mean()
            axes.plot(*mean, ms=9, mec="black", mew=0.9, **style)
        if names != [""]:
            axes.legend(fontsize=8, frameon=False, loc="upper left")
    axes.set_xlabel("fitted value (large marks: cell means)" if names != [""] else "fitted value", fontsize=9)
    axes.set_ylabel(verbatim(f"observed {fit.model.response}"), fontsize=9)
    axes.tick_params(labelsize=8)
    return axes
