"""From tens of clusters to a million: seconds, memory, and how far below the maximum methods end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.harness.figures.style import new_page, styled
from paper.digest import Digest
from paper.shared import bars
from paper.shared.curves import curve, dodged, letter, method_look, methods_above, whole_numbers
from paper.shared.methods import EXACT, METHODS
from paper.shared.problems import ordered
from paper.shared.style import WIDE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDIES = ("scale",)
PANELS = {
    "median_seconds": "median seconds a fit",
    "mean_memory_mib": "mean peak memory of a fit (MiB)",
    "reference_deficit": "mean log-likelihood\nbelow the maximum",
}


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """A panel for each measure against the number of clusters."""
    digest = digests["scale"]
    methods = ordered(digest.methods("median_seconds"), METHODS)
    figure = new_page(WIDE, 3.1)
    panels = figure.subplots(1, len(PANELS), sharex=True)
    for k, (axes, (measure, label)) in enumerate(zip(panels, PANELS.items(), strict=True)):
        for i, method in enumerate(methods):
            table = digest.select(measure, method)
            if len(table) and not (measure == "reference_deficit" and method in EXACT):
                x = dodged(table["clusters"].to_numpy(float), i, len(methods), 1.06)
                curve(axes, x, table["value"].to_numpy(float), bars.of_mean_cut(table), method_look(method))
        axes.set(xscale="log", yscale="log")
        axes.grid(True)
        axes.set_ylabel(label)
        whole_numbers(axes, digest.levels("clusters"))
        letter(axes, k)
    figure.supxlabel("clusters (logarithmic)")
    methods_above(figure, methods, len(methods))
    return figure
