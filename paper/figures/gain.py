"""What a link that holds is worth: the precision that it adds to every estimate, beside what theory says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.harness.figures.style import look, new_page, styled
from paper.shared import bars
from paper.shared.links import AT_BORDER, ESTIMANDS, LINKED
from paper.shared.style import WIDE
from paper.theory.links import setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from paper.digest import Digest

STUDIES = ("constraints",)
LABELS = {
    "effect1": "effect on the\nunmodified form",
    "effect2": "effect on the\nmodified form",
    "sigma2": "SD between replicates,\ntreatment, $\\sigma_2$",
}
SCENES = {
    "saturated": "saturated",
    "null": "saturated, no effect",
    "interaction": "$b_{21}=0$",
    "additive": "$b_{21}=b_{22}=0$",
    "three_forms": "three forms",
}
TICKS = (-50, 0, 100, 400, 1500, 5000)  # per cent


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """A row for each model and link, a mark for each number of replicates, a line where theory puts it."""
    from matplotlib.lines import Line2D

    digest = digests["constraints"]
    kinds = kinds_of(digest)
    sizes = sorted({n for kind in kinds for n in digest.levels("replicates", departure=0.0, **kind)})
    figure = new_page(WIDE, 1.2 + 0.42 * len(kinds))
    panels = figure.subplots(1, len(ESTIMANDS), sharex=True, sharey=True)
    for axes, letter, (estimand, weights) in zip(panels, "abc", ESTIMANDS.items(), strict=True):
        for row, kind in enumerate(kinds):
            if row % 2:
                axes.axhspan(row - 0.5, row + 0.5, color="0.95", lw=0, zorder=0)
            expected = 1.0 + setting(kind["scene"], kind["link"], float(kind["sigma2"]), 1).gain(weights) / 100.0
            axes.plot([expected, expected], [row - 0.42, row + 0.42], color="black", lw=1.6, zorder=1)
            for k, n in enumerate(sizes):
                found = digest.select("precision_gain_to_free", LINKED, estimand, replicates=n, departure=0.0, **kind)
                ratio = found.assign(value=1.0 + found["value"] / 100.0, mcse=found["mcse"] / 100.0)
                y = np.full(len(found), row + 0.62 * ((k + 0.5) / len(sizes) - 0.5))
                style = look(k) | {"ls": "none", "ms": 3.6, "mew": 0.8}
                axes.errorbar(ratio["value"], y, xerr=bars.of_ratio(ratio), capsize=1.3, elinewidth=0.7, **style)
        axes.axvline(1.0, color="0.6", lw=0.6, zorder=0)
        axes.set_title(f"({letter}) {LABELS[estimand]}", fontsize=7.5)
        axes.set_xscale("log")
        axes.set_xticks([1.0 + tick / 100.0 for tick in TICKS], [f"{tick}".replace("-", "−") for tick in TICKS])
        axes.minorticks_off()
        axes.set_xlim(0.35, 90.0)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(kinds)), [name_of(kind) for kind in kinds])
    panels[0].set_ylim(len(kinds) - 0.5, -0.5)
    figure.supxlabel("precision gained by the link (per cent; axis logarithmic in 1 + gain)", fontsize=7.5)
    handles = [Line2D([], [], label=str(n), **(look(k) | {"ls": "none"})) for k, n in enumerate(sizes)]
    handles.append(Line2D([], [], color="black", lw=1.6, label="theory"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), title="replicates an arm")
    return figure


def kinds_of(digest: Digest) -> list[dict[str, Any]]:
    """Scene, link and sigma2 of the cells where the link holds, in the order of the study."""
    cells = digest.cells
    held = cells[(cells["departure"] == 0.0) & (cells["scene"] != AT_BORDER)]
    names = ["scene", "link", "sigma2"]
    kinds = held[names].drop_duplicates().itertuples(index=False, name=None)
    return [dict(zip(names, levels, strict=True)) for levels in kinds]


def name_of(kind: Mapping[str, Any]) -> str:
    """A row in words, in two lines."""
    scene = SCENES.get(str(kind["scene"]), str(kind["scene"]))
    return f"{scene}\n{kind['link']}, $\\sigma_2={kind['sigma2']:g}$"
