"""What another link than that of the truth costs, where it restricts something; with what theory says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from experiments.studies.links import TWO_FORMS, scene_named
from paper.digest import Absent, Digest, Entry
from paper.shared.links import C2, WRONG, other_link, theory_of
from paper.shared.writing import both, known_share, percent, significant
from paper.theory.clusters import SDS

STUDIES = ("constraints",)
MODELS = {"interaction": "$b_{21}=0$", "additive": "$b_{21}=b_{22}=0$", "three_forms": "three forms, $b_{21}=0$"}
GROUPS = ("bias of $c_2$", "coverage of $c_2$", r"bias of $\sigma_2$", "link rejected")


def table(digests: Mapping[str, Digest]) -> str:
    """Two rows for each model and link, with the fewest and with the most replicates that there are."""
    digest = digests["constraints"]
    width = 1 + 2 * len(GROUPS)
    top = " & ".join(rf"\multicolumn{{2}}{{c}}{{{group}}}" for group in GROUPS)
    rules = " ".join(rf"\cmidrule(lr){{{2 * k + 2}-{2 * k + 3}}}" for k in range(len(GROUPS)))
    header = " & ".join(["$n$", *(["found", "theory"] * len(GROUPS))])
    lines = [rf"\begin{{tabular}}{{{'r' * width}}}", r"\toprule", rf"& {top} \\", rules, rf"{header} \\"]
    cells = digest.cells
    over = cells["scene"].map(lambda scene: not scene_named(scene).saturated) & (cells["departure"] == 0.0)
    for (scene, link, sigma2), own in cells[over].groupby(["scene", "link", "sigma2"], sort=False):
        kind = {"scene": scene, "link": link, "sigma2": sigma2, "departure": 0.0}
        words = rf"{MODELS.get(str(scene), str(scene))}, $\sigma_2={sigma2:g}$, {link} in truth, {fitted(kind)} fitted"
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{{words}}} \\"]
        for n in sorted({int(own["replicates"].min()), int(own["replicates"].max())}):
            lines.append(" & ".join(row_of(digest, kind | {"replicates": n})) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def fitted(kind: dict[str, Any]) -> str:
    """The wrong link in words."""
    other = other_link(kind)
    return "conservation of two forms" if other == TWO_FORMS else other


def row_of(digest: Digest, cell: dict[str, Any]) -> list[str]:
    """The measures of a cell, each beside its theory."""
    own = theory_of(cell, other_link(cell))
    limit = dict(zip(own.names, own.limit - own.truth, strict=True))
    return [
        str(cell["replicates"]),
        written(both, digest, "bias", "c2", cell),
        significant(limit["c2"], 2),
        written(percent, digest, "coverage", "c2", cell),
        known_share(own.coverage(C2)),
        written(both, digest, "bias", SDS[1], cell),
        significant(limit[SDS[1]], 2),
        written(percent, digest, "rejection", "lr", cell),
        known_share(own.power),
    ]


def written(form: Callable[[Entry], str], digest: Digest, measure: str, estimand: str, cell: dict[str, Any]) -> str:
    """A measure of the fit under the wrong link; a dash where there is none."""
    try:
        entry: Entry = digest.at(measure, WRONG, estimand, **cell)
    except Absent:
        return "--"
    return form(entry)
