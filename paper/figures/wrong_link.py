"""What a link that does not hold costs, by how far the truth departs from it, and whether the test sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.harness.figures.style import look, new_page, styled
from paper.digest import Absent
from paper.shared import bars
from paper.shared.links import C2, DEPARTING, LINKED
from paper.shared.style import WIDE
from paper.theory.links import setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from paper.digest import Digest

STUDIES = ("constraints",)
LEVEL, NOMINAL = 0.05, 0.95
POINTS = 49  # of a curve, closer where it is steep


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """Bias and coverage of c2 under the link, and rejections of it, against the departure, with what theory says."""
    from matplotlib.lines import Line2D

    digest = digests["constraints"]
    kind = DEPARTING | {"sigma2": with_departures(digest)}
    sizes = [
        n for n in digest.levels("replicates", **kind) if len(digest.levels("departure", replicates=n, **kind)) > 1
    ]
    figure = new_page(WIDE, 2.7)
    bias, coverage, power = figure.subplots(1, 3)
    most = max(float(delta) for delta in digest.levels("departure", **kind))
    grid = most * np.linspace(0.0, 1.0, POINTS) ** 2
    for k, n in enumerate(sizes):
        style = look(k)
        of_theory = [setting(replicates=n, departure=float(delta), **kind) for delta in grid]
        shift = 0.016 * most * (k - (len(sizes) - 1) / 2.0)
        points(bias, digest, "bias", "c2", n, kind, style, shift)
        points(coverage, digest, "coverage", "c2", n, kind, style, shift)
        points(power, digest, "rejection", "lr", n, kind, style, shift)
        theory = {"color": style["color"], "ls": style["ls"], "lw": 1.0, "zorder": 1}
        coverage.plot(grid, [own.coverage(C2) for own in of_theory], **theory)
        power.plot(grid, [own.power for own in of_theory], **theory)
    if sizes:
        at = of_theory[0].names.index("c2")
        bias.plot(grid, [own.limit[at] - own.truth[at] for own in of_theory], color="black", lw=1.0)
        first = [own.first_order_bias[at] for own in of_theory]
        shown = np.array(first) > -1.05
        bias.plot(grid[shown], np.array(first)[shown], color="black", lw=0.8, ls=":")
    bias.set_ylim(-1.1, 0.08)
    coverage.axhline(NOMINAL, color="0.6", lw=0.8, ls="--", zorder=0)
    power.axhline(LEVEL, color="0.6", lw=0.8, ls="--", zorder=0)
    for axes, letter, text in (
        (bias, "(a)", "bias of $c_2$ under the link"),
        (coverage, "(b)", "coverage of 95 % intervals of $c_2$"),
        (power, "(c)", "share of tests that reject the link"),
    ):
        axes.set_ylabel(text)
        axes.text(-0.2, 1.03, letter, transform=axes.transAxes, fontsize=8, ha="right")
        if axes is not bias:
            axes.set_ylim(-0.03, 1.03)
    figure.supxlabel("departure of $c_2$ from the link, in truth", fontsize=7.5)
    handles = [Line2D([], [], label=f"{n} replicates an arm", **look(k)) for k, n in enumerate(sizes)]
    limit = [
        Line2D([], [], color="black", lw=1.0, label="limit"),
        Line2D([], [], color="black", lw=0.8, ls=":", label="first order"),
    ]
    bias.legend(handles=limit, loc="upper right")
    figure.legend(handles=handles, loc="outside upper center", ncols=max(1, len(handles)))
    return figure


def with_departures(digest: Digest) -> float:
    """The sigma2 of the cells of `DEPARTING` that have departures.

    Raises
    ------
    Absent
        When there is none.
    """
    cells = digest.cells
    is_own = (cells["scene"] == DEPARTING["scene"]) & (cells["link"] == DEPARTING["link"])
    own = cells[is_own & (cells["departure"] != 0.0)]
    if not len(own):
        raise Absent(f"{digest.name} has no departures from a link")
    return float(own["sigma2"].iloc[0])


def points(
    axes: Axes,
    digest: Digest,
    measure: str,
    estimand: str,
    n: int,
    kind: Mapping[str, Any],
    style: Mapping[str, Any],
    shift: float,
) -> None:
    """A measure at the departures of the study, with its Monte Carlo error."""
    rows = digest.select(measure, LINKED, estimand, replicates=n, **kind).sort_values("departure")
    is_share = measure != "bias"
    lengths = bars.of_share(rows) if is_share else bars.of_mean(rows)
    x = rows["departure"].to_numpy(float) + shift
    axes.errorbar(
        x, rows["value"], yerr=lengths, capsize=1.5, elinewidth=0.7, **(dict(style) | {"ls": "none", "ms": 3.4})
    )
