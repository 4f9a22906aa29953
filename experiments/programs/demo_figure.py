"""The figure of the demonstration: how SAEM reaches the maximum, and how far both methods are from the truth."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

import saem
from saem.plotting import SHADE, plot_trace

from ..harness.figures.style import new_page, styled, symbol

SAEM = "#6fa5d6"
ML = "#8a2408"  # in grey, much darker than SAEM's
TRUTH = "#111111"
SHOWN = ("c2", "b21", "b22", "sigma1", "sigma2", "sigma")


@styled
def demo_figure(by_saem: saem.Fit, by_ml: saem.Fit, truth: Mapping[str, float]) -> Figure:
    """Traces on the left, estimates and intervals on the right."""
    figure = new_page(9.2, 4.1)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.75, 1.0], wspace=0.04)[0]
    draw_traces(left, by_saem, by_ml, truth, SHOWN)
    draw_estimates(right, by_saem, by_ml, truth)
    return figure


def draw_traces(
    figure: SubFigure, by_saem: saem.Fit, by_ml: saem.Fit, truth: Mapping[str, float], names: Sequence[str]
) -> None:
    """SAEM's path for some parameters, with the maximum-likelihood estimate and the truth."""
    panels = plot_trace(by_saem, names, figure)
    for axes, name in zip(panels, names, strict=True):
        i = by_ml.parameters.index(name)
        for drawn in [*axes.get_lines(), *axes.patches]:
            if drawn.get_label() == "path":
                drawn.set(color=SAEM, lw=0.9, alpha=1.0)
            elif drawn.get_label().startswith(("estimate", "averaged path")):
                drawn.remove()  # cannot be told from the estimate of ML here
        axes.axhline(by_ml.values[i], color=ML, lw=1.4, zorder=3)
        axes.axhline(truth[name], color=TRUTH, lw=1.0, ls=(0, (5, 3)), zorder=3)
        axes.set_title(symbol(name))
        settled = by_saem.path[10:, i]
        low, high = np.min(settled), np.max(settled)
        low, high = min(low, truth[name], by_ml.values[i]), max(high, truth[name], by_ml.values[i])
        axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
        axes.set_xlim(0, len(by_saem.path) - 1)
        axes.locator_params(axis="y", nbins=5)
    figure.legends.clear()
    handles = [
        Line2D([], [], color=SAEM, lw=1.4, label="SAEM's path"),
        Line2D([], [], color=ML, lw=1.4, label="maximum likelihood"),
        Line2D([], [], color=TRUTH, lw=1.0, ls=(0, (5, 3)), label="truth"),
        Patch(color=SHADE, label="burn-in"),
        Line2D([], [], color="0.4", lw=0.8, ls=":", label="averaging starts"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=7, handlelength=2.2)
    figure.suptitle("The path of SAEM to the constrained maximum", x=0.01, ha="left", fontsize=9)


def draw_estimates(figure: SubFigure, by_saem: saem.Fit, by_ml: saem.Fit, truth: Mapping[str, float]) -> None:
    """Both estimates with their intervals, as distances from the truth in standard errors."""
    axes: Axes = figure.subplots()
    names = by_ml.parameters.names
    at = np.arange(len(names))[::-1].astype(float)
    centre = np.array([truth[name] for name in names])
    markers = ((by_saem, SAEM, "o", 0.13, "SAEM"), (by_ml, ML, "D", -0.13, "maximum likelihood"))
    for fit, colour, marker, offset, label in markers:
        bounds = fit.intervals().to_numpy()
        low, high = ((bounds[:, k] - centre) / by_ml.se for k in (0, 1))
        axes.hlines(at + offset, low, high, color=colour, lw=1.5)
        face = "white" if fit is by_ml else colour
        value = (fit.values - centre) / by_ml.se
        axes.plot(value, at + offset, marker, ms=5, color=colour, mfc=face, mew=1.3, label=label)
    axes.axvline(0.0, color=TRUTH, lw=1.0, ls=(0, (5, 3)), zorder=1)
    axes.set_yticks(at, [symbol(name) for name in names], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("distance from the truth, in standard errors")
    axes.grid(axis="x", color="0.9", lw=0.7)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7)
    figure.suptitle("Estimates with 95 % intervals", x=0.01, ha="left", fontsize=9)


def save_figure(path: Path, by_saem: saem.Fit, by_ml: saem.Fit, truth: Mapping[str, float]) -> None:
    """Write the figure for the screen and for print."""
    demo_figure(by_saem, by_ml, truth).savefig(path, dpi=240)


def save_picture(path: Path, by_saem: saem.Fit, by_ml: saem.Fit, truth: Mapping[str, float]) -> None:
    """Write the figure with few colours, so that it is small enough for a repository."""
    from PIL import Image

    buffer = io.BytesIO()
    demo_figure(by_saem, by_ml, truth).savefig(buffer, format="png", dpi=155, facecolor="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(buffer) as image:
        image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
