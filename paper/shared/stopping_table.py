"""Rules to stop in a table: a block for each problem, a row for each method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper.shared.methods import DIRECT, EXACT, METHODS, method_name
from paper.shared.problems import ordered, problem_name
from paper.shared.tabular import MISSING, number, share, tabular
from paper.shared.writing import both

if TYPE_CHECKING:
    from paper.digest import Digest

HEADER = (
    ("", r"\multicolumn{2}{c}{share (\%)}", r"median", r"median", r"largest distance"),
    ("method", "claims", "targets met", r"draws ($10^6$)", "seconds", "(standard errors)"),
)


def stopping_table(digest: Digest) -> str:
    """Claims, whether they are true, and what they cost."""
    factor = digest.factors[0]
    methods = [name for name in ordered(digest.methods("convergence_rate"), METHODS) if name not in EXACT]
    body: list[list[str]] = []
    for level in digest.levels(factor):
        where = {factor: level}
        direct = number(digest.select("median_seconds", DIRECT, **where))
        title = problem_name(level)
        body.append([rf"\emph{{{title[0].upper() + title[1:]}}} (direct ML: {direct}\,s)"])
        for method in methods:
            if not len(digest.select("convergence_rate", method, **where)):
                continue
            distance = digest.select("largest_distance", method, **where)
            body.append(
                [
                    r"\quad " + method_name(method),
                    share(digest.select("convergence_rate", method, **where)),
                    share(digest.select("targets_met", method, **where)),
                    number(digest.select("median_draws", method, **where), 1e-6),
                    number(digest.select("median_seconds", method, **where)),
                    both(digest.at("largest_distance", method, **where)) if len(distance) else MISSING,
                ]
            )
    return tabular("@{}lrrrrr@{}", HEADER, r"\cmidrule(lr){2-3}", body)
