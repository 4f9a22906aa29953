"""The study `remedies`: fits that lose a variance, and how far below the maximum they end, by replicates an arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.harness.figures.style import new_page, styled
from paper.digest import Digest
from paper.shared import bars
from paper.shared.curves import curve, dodged, letter, method_look, methods_above, whole_numbers
from paper.shared.methods import DIRECT, METHODS
from paper.shared.style import WIDE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("remedies",)


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """Collapse rates above, deficits below; a panel for each ratio of the SDs."""
    digest = digests["remedies"]
    methods = [name for name in digest.methods("collapse_rate") if name != DIRECT]
    ratios, replicates = digest.levels("ratio"), digest.levels("replicates")
    figure = new_page(WIDE, 3.6)
    grid = figure.subplots(2, len(ratios), sharex=True, sharey="row", squeeze=False)
    for column, ratio in enumerate(ratios):
        for k, method in enumerate(methods):
            for axes, measure in zip(grid[:, column], ("collapse_rate", "reference_deficit"), strict=True):
                table = digest.select(measure, method, ratio=ratio)
                x = dodged(table["replicates"].to_numpy(float), k, len(methods), 1.03)
                share = measure == "collapse_rate"
                errors = bars.of_share(table) if share else bars.of_mean_cut(table)
                scale = 100.0 if share else 1.0
                curve(axes, x, scale * table["value"].to_numpy(), scale * errors, method_look(method))
        upper, lower = grid[:, column]
        letter(upper, column, rf"$\sigma_2/\sigma_1 = {ratio:g}$")
        letter(lower, len(ratios) + column)
        lower.set(xscale="log", yscale="log")
        whole_numbers(lower, replicates)
        for axes in (upper, lower):
            axes.grid(True, axis="y")
    grid[0, 0].set(ylabel="variance lost (% of fits)", ylim=(-4.0, 100.0), yticks=np.arange(0, 101, 25))
    grid[1, 0].set_ylabel("mean log-likelihood\nbelow the maximum")
    figure.supxlabel("replicates an arm (logarithmic)")
    methods_above(figure, sorted(methods, key=list(METHODS).index), 3)
    return figure
