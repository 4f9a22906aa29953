"""Quantiles of what should be standard normal, with the band in which they lie if it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from saem.errors import ModelError, SaemError
from saem.plotting.style import COLOURS, SHADE, new_figure, verbatim

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from saem.inference.random_effects import ConditionalEffects


def quantiles(values: Any, level: float = 0.95) -> pd.DataFrame:
    """Sorted values beside those of standard normals, with exact pointwise bands.

    Parameters
    ----------
    values : (n,) array_like
        nan is left out.
    level : float
        Of the band.

    Returns
    -------
    DataFrame
        Indexed as `values` where they are a Series. `observed`, in increasing order; `expected`, the median of the
        order statistic of its rank in n independent standard normals; `lower` and `upper`, its quantiles. A uniform
        order statistic of rank i is beta(i, n + 1 - i), which is exact for each rank by itself: of all points some
        ``1 - level`` lie outside if the values are standard normal.

    Raises
    ------
    ModelError
        When there is no value.
    """
    import pandas as pd
    from scipy.special import betaincinv, ndtri

    if not 0.0 < level < 1.0:
        raise SaemError(f"the level of a band must lie between 0 and 1; got {level!r}")
    series = pd.Series(values, dtype=float).dropna().sort_values(kind="stable")
    count = len(series)
    if count == 0:
        raise ModelError("there is no value to show the quantiles of")
    rank = np.arange(1, count + 1)
    columns = {"observed": series.to_numpy()}
    for name, share in (("expected", 0.5), ("lower", 0.5 - level / 2), ("upper", 0.5 + level / 2)):
        columns[name] = ndtri(betaincinv(rank, count + 1 - rank, share))
    return pd.DataFrame(columns, index=series.index)


def plot_quantiles(values: Any, ax: Axes | None = None, level: float = 0.95, label: str = "residual") -> Axes:
    """QQ plot of values that are standard normal if the model is right, with an exact pointwise band.

    Parameters
    ----------
    values : (n,) array_like
        Such as the column `normalised` of `saem.residuals` (`standardised` is shrunken, and not standard normal).
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    level : float
        Of the band, which holds for each point by itself.
    label : str
        What the values are.
    """
    axes = new_figure(None, (4.6, 4.2)).subplots() if ax is None else ax
    points = quantiles(values, level)
    axes.fill_between(
        points["expected"], points["lower"], points["upper"], color=SHADE, lw=0, label=f"{level:.0%} band"
    )
    ends = points["expected"].iloc[[0, -1]]
    axes.plot(ends, ends, color="0.5", lw=0.8)
    inside = points["observed"].between(points["lower"], points["upper"])
    size = 4.0 if len(points) <= 500 else 2.0
    for mask, colour in ((inside, COLOURS[0]), (~inside, COLOURS[5])):
        axes.plot(points["expected"][mask], points["observed"][mask], "o", ms=size, color=colour, mew=0)
    axes.set_xlabel("standard normal quantile", fontsize=9)
    axes.set_ylabel(label, fontsize=9)
    axes.tick_params(labelsize=8)
    return axes


def plot_effect_quantiles(found: ConditionalEffects, ax: Axes | None = None, term: str | None = None) -> Axes:
    """QQ plot of the standardised random effects of a term, see `ConditionalEffects.table`.

    Shrinkage makes conditional modes look more normal than the random effects are: what is seen here is there, what is
    not seen need not be absent (Verbeke & Lesaffre 1996).

    Parameters
    ----------
    found : ConditionalEffects
        Of `saem.random_effects`.
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    term : str, optional
        As `plot_random_effects` has it.
    """
    from saem.plotting.effects import checked_term, panels

    terms = panels(found.table.index)
    name = checked_term(list(dict.fromkeys(terms)), term)
    rows = found.table[[each == name for each in terms]]
    if rows["standardised"].isna().all():
        raise ModelError(f"the random effect {name!r} is absent: its standard deviation is zero")
    return plot_quantiles(rows["standardised"].to_numpy(), ax, label=verbatim(f"standardised random effect: {name}"))
