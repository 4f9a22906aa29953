"""Profile likelihoods as curves."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from saem.plotting.style import ESTIMATE, LINE, SHADE, panels, verbatim

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from saem.inference.profile_likelihood import Profile


def plot_profile(profile: Profile, figure: Figure | SubFigure | None = None) -> np.ndarray:
    """The absolute signed root of each profile, which is two straight lines where a Wald interval is right.

    Dots are the points that were computed; the band is the interval of the profile, the dashed lines the Wald
    interval, and the horizontal line the quantile that cuts them.

    Parameters
    ----------
    profile : Profile
    figure : Figure, optional
        Where to draw; a new pyplot figure if omitted.

    Returns
    -------
    (n_parameters,) ndarray of Axes
    """
    names = list(profile.intervals.index)
    figure, grid = panels(figure, len(names), 2.2)
    z = NormalDist().inv_cdf(0.5 + profile.level / 2)
    for axes, name in zip(grid, names, strict=True):
        points = profile.points[profile.points["parameter"] == name]
        row = profile.intervals.loc[name]
        ends = row[["lower", "upper"]].to_numpy(float)
        span = points["value"].min(), points["value"].max()
        axes.axvspan(*np.clip(ends, *span), color=SHADE, lw=0)
        axes.axhline(z, color="black", lw=0.8)
        for value in row[["wald_lower", "wald_upper"]].to_numpy(float):
            if np.isfinite(value):
                axes.axvline(value, color=ESTIMATE, lw=1.1, ls="--")
        axes.plot(points["value"], np.abs(points["zeta"]), "o-", color=LINE, ms=3, lw=1.2)
        axes.set_title(verbatim(name), fontsize=10)
        axes.set_ylim(bottom=0.0)
        axes.locator_params(axis="x", nbins=5)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("|zeta|")
    words = f"signed root of the deviance; band: {100 * profile.level:g} % profile interval, dashed: Wald"
    figure.supxlabel(words, fontsize=9)
    return grid
