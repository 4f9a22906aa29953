"""The real sites: the treatment effect under the posted link, and whether the data contradict a link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.harness.figures.style import LINES, look, new_page, styled
from experiments.harness.performance import WHOLE_FIT
from paper.shared.style import WIDE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from paper.digest import Digest

STUDIES = ("sites",)
LINK, ML = "posted", "ml"
LEVEL = 0.05


@styled
def draw(digests: Mapping[str, Digest]) -> Figure:
    """(a) c2 with profile intervals, (b) both p-values of the posted link, (c) p-values of all links."""
    digest = digests["sites"]
    figure = new_page(WIDE, 3.3)
    effects, laws, links = figure.subplots(1, 3, width_ratios=[1.0, 1.25, 0.95])
    draw_effects(effects, digest)
    draw_laws(laws, digest)
    draw_links(links, digest)
    for axes, letter in ((effects, "(a)"), (laws, "(b)"), (links, "(c)")):
        axes.text(-0.2, 1.03, letter, transform=axes.transAxes, fontsize=8, ha="right")
    return figure


def wide(digest: Digest, estimand: str, link: str, names: tuple[str, ...]) -> pd.DataFrame:
    """Measures of ML under a link, by site; nan where a site lacks one."""
    import pandas as pd

    rows = pd.concat([digest.select(name, ML, estimand, link=link) for name in names])
    return rows.pivot(index="site", columns="measure", values="value").reindex(columns=names)


def draw_effects(axes: Axes, digest: Digest) -> None:
    """Sorted estimates of c2 with an interior maximum; ends that are far off or not there are arrows."""
    status = wide(digest, WHOLE_FIT, LINK, ("is_converged",))["is_converged"]
    found = wide(digest, "c2", LINK, ("estimate", "lower", "upper"))
    found = found[status.reindex(found.index) == 1.0].sort_values("estimate")
    y = np.arange(1, len(found) + 1)
    estimate = found["estimate"].to_numpy()
    low, high = estimate.min(initial=1.0) / 2.0, estimate.max(initial=1.0) * 2.0
    for column, end, marker in (("lower", low, "<"), ("upper", high, ">")):
        x = found[column].to_numpy()
        inside = (x >= low) & (x <= high)  # not so for what is not there
        axes.hlines(y, estimate, np.where(inside, x, end), color="0.55", lw=0.7, zorder=1)
        axes.plot(np.full((~inside).sum(), end), y[~inside], ls="none", marker=marker, ms=2.8, color="0.55", zorder=1)
    axes.plot(estimate, y, ls="none", marker="o", ms=2.2, color="#0072B2", zorder=2)
    axes.axvline(1.0, color="0.3", lw=0.7, ls="--", zorder=0)
    axes.set(xscale="log", xlim=(low / 1.15, high * 1.15))
    axes.set_xlabel("$c_2$ under the posted link")
    axes.set_ylabel(f"{len(found)} sites with an interior maximum")
    axes.set_yticks([])


def draw_laws(axes: Axes, digest: Digest) -> None:
    """The p-value of the posted link by bootstrap against that by chi-square, and where it would be by this law."""
    p = digest.select("p", ML, link=LINK).set_index("site")["value"]
    drawn = digest.select("p_bootstrap", ML, link=LINK).set_index("site")
    p = p[p.index.isin(drawn.index)]
    drawn = drawn.loc[p.index]
    least = max(1e-6, min(p.min(), drawn["value"].min())) / 1.6 if len(p) else 0.01
    x = np.geomspace(least, 1.0, 400)
    if len(drawn):
        axes.fill_between(x, *reachable(x, int(drawn["n"].median())), color="0.86", lw=0, zorder=0)
    style = {"ls": "none", "marker": "o", "ms": 3.2, "color": "#0072B2", "mfc": "none", "mew": 0.7}
    axes.plot(p, drawn["value"], **style)
    axes.plot([least, 1.0], [least, 1.0], color="0.4", lw=0.7, zorder=1)
    for line in (axes.axvline, axes.axhline):
        line(LEVEL, color="0.4", lw=0.7, ls="--", zorder=1)
    lowest = max(least, float(drawn["value"].min()) / 1.3 if len(drawn) else least)
    axes.set(xscale="log", yscale="log", xlim=(least, 1.3), ylim=(lowest, 1.3))
    axes.set_xlabel("p-value by chi-square")
    axes.set_ylabel("p-value by bootstrap")


def reachable(p: np.ndarray, samples: int) -> np.ndarray:
    """Ends (2, k) of 95 % of (1 + exceeding) / (1 + samples) if a sample exceeds with p, and half a step beyond."""
    from scipy.stats import binom

    exceeding = binom.ppf([[0.025], [0.975]], samples, p) + [[-0.5], [0.5]]
    return np.asarray((1.0 + exceeding) / (1.0 + samples))


def draw_links(axes: Axes, digest: Digest) -> None:
    """How many of the sites that were tested have a bootstrap p-value up to p; without a departure, a share of p."""
    for k, link in enumerate(digest.levels("link")):
        rows = digest.select("p_bootstrap", ML, link=link)
        p = np.sort(rows["value"].to_numpy())
        if len(p):
            style = look(k) | {"marker": "none", "ls": LINES[k]}
            axes.step(
                [0.0, *p, 1.0], np.array([0, *range(1, len(p) + 1), len(p)]) / len(p), where="post", label=link, **style
            )
    axes.plot([0.0, 1.0], [0.0, 1.0], color="0.6", lw=0.7, zorder=0)
    axes.set(xlim=(0.0, 1.0), ylim=(0.0, 1.02))
    axes.set_xlabel("p-value by bootstrap")
    axes.set_ylabel("share of tested sites")
    axes.legend(loc="lower right")
