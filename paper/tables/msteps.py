"""Constrained maximisers: how often they reach the maximum of Q, from near and from far, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping

from paper.digest import Digest
from paper.shared.pooling import counted
from paper.shared.problems import MAXIMISERS, ordered
from paper.shared.tabular import MISSING, number, share, tabular
from paper.shared.writing import latex, significant

STUDIES = ("msteps",)
REFEREE = "referee"
TITLES = (r"maximum reached (\%)", "iterations", "milliseconds")


def table(digests: Mapping[str, Digest]) -> str:
    """A LaTeX tabular; means over the cells with equal weights."""
    digest = digests["msteps"]
    starts = digest.levels("start")
    each = len(starts)
    header = [
        ["", *(rf"\multicolumn{{{each}}}{{c}}{{{text}}}" for text in TITLES), "wrong", "residual"],
        ["maximiser", *(starts * len(TITLES)), "claims", r"of $c$"],
    ]
    methods = [name for name in ordered(digest.methods("maximum_rate"), MAXIMISERS) if name != REFEREE]
    body = []
    for method in methods:
        row = [MAXIMISERS.get(method, method.replace("_", " "))]
        row += [share(digest.select("maximum_rate", method, start=start)) for start in starts]
        row += [number(digest.select("median_iterations", method, start=start)) for start in starts]
        row += [number(digest.select("median_seconds", method, start=start), 1e3) for start in starts]
        wrong = digest.select("wrong_claims", method)
        row.append("{} of {}".format(*(latex(f"{count:,}") for count in counted(wrong))) if len(wrong) else MISSING)
        residual = digest.select("median_residual", method)
        row.append(significant(float(residual["value"].max()), 1) if len(residual) else MISSING)
        body.append(row)
    ends = [(2 + k * each, 1 + (k + 1) * each) for k in range(len(TITLES))]
    rules = " ".join(rf"\cmidrule(lr){{{first}-{last}}}" for first, last in ends)
    return tabular("@{}l" + "r" * (len(TITLES) * each + 2) + "@{}", header, rules, body)
