"""Which parameters of the real sites have an interval, and where Wald and profile intervals disagree."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.programs.sites.drawing import APART
from experiments.studies.examine import POSTED
from paper.digest import Digest
from paper.shared.methods import DIRECT
from paper.shared.sites import SYMBOLS, counted
from paper.shared.writing import significant

STUDIES = ("sites",)


def table(digests: Mapping[str, Digest]) -> str:
    """A row for each parameter under the posted link, by ML."""
    digest = digests["sites"]
    fitted = int((digest.select("is_error", DIRECT, link=POSTED)["value"] == 0.0).sum())
    header = ["", "standard error", "Wald", "profile", f"ends over {APART:g} SE apart", "median, SE"]
    lines = [r"\begin{tabular}{lrrrrr}", r"\toprule", " & ".join(header) + r" \\", r"\midrule"]
    for name in dict.fromkeys(digest.select("estimate", DIRECT, None, link=POSTED)["estimand"]):
        counts, apart = counted(digest, name)
        middle = significant(float(np.median(apart)), 2) if len(apart) else "--"
        own = [
            f"${SYMBOLS.get(name, name)}$",
            *map(str, counts),
            f"{int((apart > APART).sum())} of {len(apart)}",
            middle,
        ]
        lines.append(" & ".join(own) + r" \\")
    lines += [r"\midrule", rf"\multicolumn{{6}}{{l}}{{sites that were fitted: {fitted}}} \\"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
