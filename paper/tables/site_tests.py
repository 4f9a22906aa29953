"""On how many of the real sites the data contradict a link."""

from __future__ import annotations

from collections.abc import Mapping

from paper.digest import Digest
from paper.shared.methods import DIRECT
from paper.shared.sites import HELD, LAWS, LEVELS

STUDIES = ("sites",)


def table(digests: Mapping[str, Digest]) -> str:
    """A row for each link: sites tested and rejections, by both laws of the statistic."""
    digest = digests["sites"]
    top = " & ".join(rf"\multicolumn{{2}}{{c}}{{rejected at {100 * level:g}\,\%}}" for level in LEVELS)
    lines = [r"\begin{tabular}{llrrrrr}", r"\toprule", rf"& & & {top} \\", r"\cmidrule(lr){4-5} \cmidrule(lr){6-7}"]
    header = ["link", "tested where", "sites", *([*LAWS.values()] * len(LEVELS))]
    lines += [" & ".join(header) + r" \\", r"\midrule"]
    for link in digest.levels("link"):
        counts = [str(rejected(digest, measure, link, level)) for level in LEVELS for measure in LAWS]
        lines.append(" & ".join([link, HELD[link], str(len(digest.select("p", DIRECT, link=link))), *counts]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def rejected(digest: Digest, measure: str, link: str, level: float) -> int | str:
    """How many p-values are at most a level; a dash where there are none."""
    p = digest.select(measure, DIRECT, link=link)["value"]
    return int((p <= level).sum()) if len(p) else "--"
