"""Versions, processor and commits behind the results; a value for all studies, or those that differ."""

from __future__ import annotations

from collections.abc import Mapping

from paper.digest import Digest
from paper.pipeline.manifest import read_manifest
from paper.pipeline.tex import code, escaped

STUDIES = read_manifest().sources
ROWS = {
    "python": "Python",
    "saem": "saem",
    "numpy": "NumPy",
    "scipy": "SciPy",
    "numba": "Numba",
    "processor": "processor",
    "cores": "cores",
}
COMMIT = 12  # digits that are shown


def table(digests: Mapping[str, Digest]) -> str:
    """A tabular of two columns."""
    known = [digests[name].provenance for name in STUDIES if name in digests]
    lines = [r"\begin{tabular}{@{}l>{\raggedright\arraybackslash}p{0.7\linewidth}@{}}", r"\toprule"]
    for key, shown in ROWS.items():
        values = list(dict.fromkeys(str(own[key]) for own in known if key in own))
        if values:
            lines.append(rf"{shown} & {escaped(', '.join(values))} \\")
    commits = sorted({str(commit)[:COMMIT] for own in known for commit in own.get("commits", ())})
    if commits:
        lines.append(rf"commits of the project & {', '.join(map(code, commits))} \\")
    fits = sum(int(own.get("fits", 0)) for own in known)
    minutes = sum(float(own.get("cpu_minutes", 0.0)) for own in known)
    lines.append(rf"fits & {fits:,} \\".replace(",", r"\,"))
    lines.append(rf"processor time of the fits & {minutes:,.0f} minutes \\".replace(",", r"\,"))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])
