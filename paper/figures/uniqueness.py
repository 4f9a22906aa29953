"""Where the posted link has one solution: the equation that it is to satisfy, and the region of uniqueness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.harness.figures.style import new_page, styled
from experiments.studies.links import BORDER
from paper.shared.style import WIDE
from paper.theory.uniqueness import (
    EXAMPLE,
    band,
    border_of_d,
    gain_of,
    height,
    least_difference,
    roots,
    steepness,
    width,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from paper.digest import Digest

STUDIES = ()
REACH = 2.2  # of the axis of b21
ONE_TO_ONE, STEEP = 3.0, 8.0  # C of a curve with one solution, and of one that is far beyond the border
WIDTHS = (0.1, 1.0, 5.0)  # contours
MOST, LEAST_D = 14.0, -6.0  # of the plane


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """(a) h for four values of C; (b) how wide the interval with three solutions is, by variances and interactions."""
    figure = new_page(WIDE, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=[1.0, 1.05])
    draw_equation(left)
    draw_region(right)
    for axes, letter in ((left, "(a)"), (right, "(b)")):
        axes.text(-0.14, 1.04, letter, transform=axes.transAxes, fontsize=8, ha="right")
    return figure


def draw_equation(axes: Axes) -> None:
    """h less its value at the centre of symmetry, and an inset where it is taken three times."""
    c, d = EXAMPLE
    b = np.linspace(-REACH, REACH, 801)
    edge = BORDER / (1.0 - 2.0**d)
    curves: list[tuple[float, dict[str, Any], str]] = [
        (ONE_TO_ONE, {"color": "0.45", "ls": "--"}, f"$C={ONE_TO_ONE:g}$: one solution"),
        (edge, {"color": "#E69F00", "ls": "-."}, f"$C={edge:.3f}$: the border"),
        (c, {"color": "#0072B2", "ls": "-"}, f"$C={c:g}$: three solutions"),
        (STEEP, {"color": "black", "ls": ":"}, f"$C={STEEP:g}$: three solutions"),
    ]
    inset = axes.inset_axes((0.58, 0.095, 0.41, 0.22))
    for own, look, label in curves:
        y = height(b, own, d) - height(0.0, own, d)
        axes.plot(b, y, label=label, lw=1.2, **look)
        inset.plot(b, 1000.0 * y, lw=1.0, **look)
    solutions = np.array(roots(float(height(0.0, c, d)), c, d))
    for panel in (axes, inset):
        panel.axhline(0.0, color="0.75", lw=0.6, zorder=0)
        panel.plot(solutions, 0.0 * solutions, ls="none", marker="o", ms=3.2, color="#0072B2", mec="white", mew=0.4)
    low, high = (1000.0 * (end - float(height(0.0, c, d))) for end in band(c, d))
    inset.axhspan(low, high, color="#0072B2", alpha=0.15, lw=0)
    inset.set(xlim=(-0.65, 0.65), ylim=(-4.0, 4.0), xticks=list(solutions), yticks=[-3, 0, 3])
    inset.set_xticklabels([f"{x:.3f}".rstrip("0").rstrip(".").replace("-", "−") for x in solutions])
    inset.tick_params(labelsize=6.5, pad=1.5)
    inset.text(0.03, 0.95, "× 1000", transform=inset.transAxes, fontsize=6.5, va="top")
    axes.set_xlim(-REACH, REACH)
    axes.set_ylim(-1.45, 1.45)
    axes.set_xlabel("interaction $b_{21}$")
    axes.set_ylabel("$h(b_{21}) - h(0)$")
    axes.legend(loc="upper left", handlelength=2.6, borderaxespad=0.0, labelspacing=0.3)


def draw_region(axes: Axes) -> None:
    """The border, and the width of the interval of m with three solutions beyond it."""
    v = np.linspace(5.0, MOST, 226)
    d = np.linspace(LEAST_D, 0.5, 201)
    across = np.array([[width(steepness(gain_of(x), y)) for x in v] for y in d])
    edge = border_of_d(v)
    axes.fill_between(v, LEAST_D, edge, where=np.isfinite(edge), color="#0072B2", alpha=0.16, lw=0)
    axes.plot(v, edge, color="black", lw=1.4)
    lines = axes.contour(v, d, across, levels=WIDTHS, colors="#0b4f80", linewidths=0.8, linestyles=["-", "--", "-."])
    where = [(at_width(own), LEAST_D * 0.62) for own in WIDTHS]
    axes.clabel(lines, fmt=lambda level: f"{level:g}", fontsize=6.5, manual=where, inline_spacing=2)
    axes.axvline(least_difference(), color="0.6", lw=0.7, ls=":")
    axes.text(
        least_difference() - 0.12, LEAST_D * 0.5, f"{least_difference():.2f}", rotation=90, ha="right", fontsize=6.5
    )
    axes.text(6.1, -1.2, "one\nsolution", fontsize=7.5, ha="center", va="center")
    axes.text(12.75, -4.4, "three\nsolutions\nfor some\nmeans", fontsize=7.5, ha="center", va="center")
    c, own = EXAMPLE
    axes.plot([2.0 * np.log(c) / np.log(2.0) ** 2], [own], marker="o", ms=4, color="black", mfc="white", ls="none")
    axes.set_xlim(5.0, MOST)
    axes.set_ylim(LEAST_D, 0.5)
    axes.set_xlabel(r"difference of the variances $\sigma_2^2-\sigma_1^2$")
    axes.set_ylabel("difference of the interactions\n$d=b_{22}-b_{21}$")


def at_width(wanted: float) -> float:
    """The difference of the variances that has this width where the label is put."""
    from scipy.optimize import brentq

    return float(brentq(lambda v: width(steepness(gain_of(v), LEAST_D * 0.62)) - wanted, 7.0, 40.0))
