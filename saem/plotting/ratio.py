"""The law of a likelihood ratio under the smaller model, as a bootstrap has drawn it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saem.plotting.style import ESTIMATE, LINE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from saem.inference.bootstrap_ratio import BootstrapTest


def plot_ratio(test: BootstrapTest, ax: Axes | None = None) -> Axes:
    """The share of replicates beyond each value of the statistic, beside that of the chi-square; the line is LR.

    All numbers are in `BootstrapTest.replicates`.

    Parameters
    ----------
    test : BootstrapTest
    ax : Axes, optional
        Where to draw; a new pyplot figure if omitted.
    """
    from scipy.stats import chi2

    axes = new_figure(None, (5.0, 3.4)).subplots() if ax is None else ax
    ratios = np.sort(test.ratios)
    beyond = 1.0 - np.arange(len(ratios)) / len(ratios)
    axes.step(ratios, beyond, color=LINE, lw=1.5, where="pre", label=f"{len(ratios)} replicates")
    values = np.linspace(0.0, 1.05 * max(float(ratios[-1]), test.statistic, float(chi2.ppf(0.99, test.df))), 200)
    axes.plot(values, chi2.sf(values, test.df), color="0.4", lw=1.0, ls="--", label=f"chi-square({test.df})")
    axes.axvline(test.statistic, color=ESTIMATE, lw=1.4, label=f"observed: p = {test.p:.3g}")
    axes.set_yscale("log")
    axes.set_ylim(0.5 / len(ratios), 1.2)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("likelihood ratio", fontsize=9)
    axes.set_ylabel("share beyond", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    return axes
