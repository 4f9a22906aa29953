"""Which parameters of the real sites have an interval, and where Wald and profile intervals disagree."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.sites.drawing import APART
from paper.digest import Digest
from paper.shared.writing import significant

STUDIES = ("sites",)
LINK, ML = "posted", "ml"
SYMBOLS = {
    "mu": r"\mu",
    "c2": "c_2",
    "alpha2": r"\alpha_2",
    "b21": "b_{21}",
    "b22": "b_{22}",
    "sigma1": r"\sigma_1",
    "sigma2": r"\sigma_2",
    "sigma": r"\sigma",
}


def table(digests: Mapping[str, Digest]) -> str:
    """A row for each parameter under the posted link, by ML."""
    digest = digests["sites"]
    fitted = int((digest.select("is_error", ML, link=LINK)["value"] == 0.0).sum())
    header = ["", "standard error", "Wald", "profile", f"ends over {APART:g} SE apart", "median, SE"]
    lines = [r"\begin{tabular}{lrrrrr}", r"\toprule", " & ".join(header) + r" \\", r"\midrule"]
    for name in dict.fromkeys(digest.select("estimate", ML, None, link=LINK)["estimand"]):
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


def counted(digest: Digest, name: str) -> tuple[tuple[int, int, int], np.ndarray]:
    """How many sites have a standard error, a Wald and a profile interval; and the distances of their ends."""

    def ends(measure: str) -> set[str]:
        rows = digest.select(measure, ML, name, link=LINK)
        return set(rows.loc[np.isfinite(rows["value"]), "site"])

    wald, profile = ends("wald_lower") & ends("wald_upper"), ends("lower") & ends("upper")
    apart = digest.select("apart", ML, name, link=LINK)["value"].to_numpy()
    return (len(ends("se")), len(wald), len(profile)), apart
