"""How the fits of the real sites end, and how near SAEM is to ML."""

from __future__ import annotations

from collections.abc import Mapping

from paper.digest import Digest
from paper.real_data import STATUSES
from paper.shared.methods import METHODS
from paper.shared.writing import significant

STUDIES = ("sites",)
WORDS = {
    "converged": "interior",
    "boundary": "boundary",
    "several_solutions": "several",
    "not_identified": "not ident.",
    "not_converged": "not conv.",
    "error": "no fit",
}


def table(digests: Mapping[str, Digest]) -> str:
    """A row for each link and method; statuses that no fit has are left out."""
    digest = digests["sites"]
    seen = [name for name in STATUSES if digest.select(f"is_{name}")["value"].any()]
    header = ["link", "method", *(WORDS[name] for name in seen), "median", "largest"]
    top = rf"& & \multicolumn{{{len(seen)}}}{{c}}{{sites}} & \multicolumn{{2}}{{c}}{{$|$SAEM $-$ ML$|$/SE}} \\"
    rules = rf"\cmidrule(lr){{3-{2 + len(seen)}}} \cmidrule(lr){{{3 + len(seen)}-{4 + len(seen)}}}"
    lines = [rf"\begin{{tabular}}{{ll{'r' * (len(seen) + 2)}}}", r"\toprule", top, rules, " & ".join(header) + r" \\"]
    for link in digest.levels("link"):
        lines.append(r"\midrule")
        for method in digest.methods("is_converged"):
            counts = [int(digest.select(f"is_{name}", method, link=link)["value"].sum()) for name in seen]
            far = digest.select("largest_distance", method, link=link)["value"]
            distances = [significant(float(x), 2) for x in (far.median(), far.max())] if len(far) else ["--", "--"]
            lines.append(" & ".join([link, METHODS[method], *map(str, counts), *distances]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
