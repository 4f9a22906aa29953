"""What estimates do across the border of uniqueness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.harness.figures.style import look, new_page, styled
from experiments.harness.performance import WHOLE_FIT
from experiments.studies.links import BORDER, scene_named
from paper.shared import bars
from paper.shared.links import AT_BORDER, LINKED, product
from paper.shared.style import WIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from paper.digest import Digest

STUDIES = ("constraints",)
NOMINAL = 0.95
NEAREST: dict[str, Any] = {"mfc": "white", "ls": ":", "ms": 2.6, "zorder": 4}


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """Coverage and error of b21, and how often ML and SAEM say that something is amiss, against C (1 - 2^d)."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    digest = digests["constraints"]
    figure = new_page(WIDE, 4.3)
    (coverage, error), (several, unfinished) = figure.subplots(2, 2, sharex=True)
    sizes = digest.levels("replicates", scene=AT_BORDER)
    for k, n in enumerate(sizes):
        label, shift = f"{n} replicates an arm", 1.0 + 0.025 * (k - (len(sizes) - 1) / 2.0)
        curve(coverage, digest, "coverage", LINKED, "b21", n, shift, look(k), label)
        curve(error, digest, "rmse", LINKED, "b21", n, shift, look(k), label)
        nearest = look(k) | NEAREST  # smaller: where both are the same, the reported one is its rim
        curve(error, digest, "rmse", LINKED, "b21_nearest", n, shift, nearest, label)
        curve(several, digest, "several_solutions_rate", LINKED, WHOLE_FIT, n, shift, look(k), label)
        curve(unfinished, digest, "not_converged_rate", "saem", WHOLE_FIT, n, shift, look(k), label)
    coverage.axhline(NOMINAL, color="0.6", lw=0.8, ls="--", zorder=0)
    error.set_yscale("log")
    effects = scene_named(AT_BORDER).effects
    for axes, letter, text in (
        (coverage, "(a)", "coverage of 95 % intervals\nof $b_{21}$"),
        (error, "(b)", "root mean square error\nof $b_{21}$"),
        (several, "(c)", "share of ML fits that report\nseveral solutions"),
        (unfinished, "(d)", "share of SAEM fits that miss\ntheir target of precision"),
    ):
        axes.axvline(BORDER, color="0.55", lw=0.8, zorder=0)
        axes.set_ylabel(text)
        axes.text(-0.13, 1.03, letter, transform=axes.transAxes, fontsize=8, ha="right")
        if axes is not error:
            axes.set_ylim(-0.03, 1.03)
    products = [product(float(sigma2)) for sigma2 in sorted(digest.levels("sigma2", scene=AT_BORDER))]
    for axes in (several, unfinished):
        axes.set_xscale("log")
        axes.set_xlabel(
            f"$C(1-2^d)$ in truth ($b_{{21}}={effects['b21']:g}$, $b_{{22}}={effects['b22']:g}$)".replace("-5", "−5")
        )
        axes.set_xticks(products, [f"{x:.3g}" for x in products])
        axes.minorticks_off()
        axes.set_xlim(min(*products, BORDER) / 1.15, max(*products, BORDER) * 1.15)
    error.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    error.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    error.yaxis.set_minor_formatter(NullFormatter())
    handles, _ = coverage.get_legend_handles_labels()
    other = Line2D([], [], label="(b) solution nearest to the truth", color="0.3", marker="o", **NEAREST)
    figure.legend(handles=[*handles, other], loc="outside upper center", ncols=len(handles) + 1)
    coverage.text(BORDER / 1.03, 0.0, r"$4/\ln 2$", fontsize=7, ha="right")
    return figure


def curve(
    axes: Axes,
    digest: Digest,
    measure: str,
    method: str,
    estimand: str,
    n: int,
    shift: float,
    style: dict[str, Any],
    label: str,
) -> None:
    """A measure of a method against the product, moved aside by a factor, with its Monte Carlo error."""
    rows = digest.select(measure, method, estimand, scene=AT_BORDER, replicates=n).sort_values("sigma2")
    if not len(rows):
        return
    is_share = measure != "rmse"
    lengths = bars.of_share(rows) if is_share else bars.of_ratio(rows)
    x = [shift * product(float(sigma2)) for sigma2 in rows["sigma2"]]
    axes.errorbar(x, rows["value"], yerr=lengths, label=label, capsize=1.5, elinewidth=0.7, **style)
