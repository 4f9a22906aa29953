"""How often tests reject a link that holds, with few replicates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.studies.link_tests import LEVELS
from paper.digest import Digest
from paper.shared.sites import HELD, LAWS
from paper.shared.tabular import MISSING
from paper.shared.writing import percentage

STUDIES = ("link_tests",)
METHODS = dict(zip(("chi_square", "bootstrap"), LAWS.values(), strict=True))


def table(digests: Mapping[str, Digest]) -> str:
    """A row for each link and number of replicates: rejections by both laws of the statistic, in per cent."""
    digest = digests["link_tests"]
    top = " & ".join(
        rf"\multicolumn{{{len(METHODS)}}}{{c}}{{rejected at {100 * level:g}\,\%}}" for level in LEVELS.values()
    )
    lines = [r"\begin{tabular}{llrrrrr}", r"\toprule", rf"& & & {top} \\", r"\cmidrule(lr){4-5} \cmidrule(lr){6-7}"]
    header = ["link", "interactions held", "replicates", *([*METHODS.values()] * len(LEVELS))]
    lines += [" & ".join(header) + r" \\", r"\midrule"]
    for link in digest.levels("link"):
        for replicates in digest.levels("replicates"):
            where = {"link": link, "replicates": replicates}
            shares = [rejected(digest, measure, method, where) for measure in LEVELS for method in METHODS]
            if any(share != MISSING for share in shares):
                lines.append(" & ".join([str(link), HELD[str(link)], str(replicates), *shares]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def rejected(digest: Digest, measure: str, method: str, where: Mapping[str, Any]) -> str:
    """A share in per cent, with its Monte Carlo error."""
    found = digest.select(measure, method, **where)
    if not len(found):
        return MISSING
    return percentage(float(found["value"].iloc[0]), float(found["mcse"].iloc[0]))
