"""The studies in the frame ADEMP, from their files: aims, data, estimands, methods, performance measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from paper.digest import Digest
from paper.pipeline.manifest import read_manifest
from paper.pipeline.tex import code, escaped, longtable
from paper.shared.designs import full_form

if TYPE_CHECKING:
    from experiments.harness.study import Study

STUDIES = tuple(read_manifest().studies)
CAPTION = (
    "The simulation studies in the frame ADEMP (aims, data-generating mechanisms, estimands, methods, performance "
    "measures). Every measure has a Monte Carlo standard error. Besides the measures that are named, those that all "
    "studies share: bias, empirical and model-based standard error, mean squared error, coverage and width of 95~per "
    "cent intervals, rates of statuses, deficit of the log-likelihood, distance to the reference method, draws, "
    "iterations and seconds."
)


def table(digests: Mapping[str, Digest]) -> str:
    """A longtable with caption and label."""
    rows: list[list[str] | str] = []
    for name in STUDIES:
        study = full_form(name)
        rows.append((r"\midrule" if rows else "") + heading(name, study.title))
        rows.append(["aims", escaped(study.aims)])
        rows.append(["data", f"{escaped(study.data)} {_cells(study)}"])
        rows.append(
            ["estimands", "; ".join(f"{code(key)} {escaped(own.what)}".strip() for key, own in study.estimands.items())]
        )
        rows.append(
            ["methods", "; ".join(f"{code(key)} {escaped(own.what)}".strip() for key, own in study.methods.items())]
        )
        rows.append(["measures", _measures(digests[name]) if name in digests else "the shared ones"])
    return longtable((0.12, 0.88), (), rows, CAPTION, "tab:ademp")


def heading(name: str, title: str) -> str:
    """The name and the title of a study over both columns."""
    return rf"\multicolumn{{2}}{{@{{}}p{{\linewidth}}@{{}}}}{{{code(name)}: {escaped(title)}}}\\*\midrule"


def _cells(study: Study) -> str:
    """How many cells there are, and of what, in LaTeX."""
    count = len(study.design.all())
    factors = "; ".join(
        f"{code(name)} {escaped(', '.join(map(str, levels)))}" for name, levels in study.design.factors.items()
    )
    listed = f"{count} cells" if count > 1 else "One cell"
    return f"{listed}{': ' + factors if factors and not study.design.cells else ''}."


def _measures(digest: Digest) -> str:
    """The measures of the study's own, and the method that others are compared with."""
    from experiments.harness.performance import MEASURES

    own = [name for name in dict.fromkeys(digest.measures["measure"]) if name not in MEASURES and "_to_" not in name]
    parts = [", ".join(map(code, own))] if own else []
    others = list(dict.fromkeys(name.rpartition("_to_")[2] for name in digest.measures["measure"] if "_to_" in name))
    parts += [f"differences and ratios to {', '.join(map(code, others))} on the same data sets"] if others else []
    return "; ".join(parts) or "the shared ones"
