"""The studies behind every figure and table, and what each study takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paper.digest import Digest
from paper.pipeline.manifest import label_of, modules, read_manifest
from paper.pipeline.tex import code, escaped, longtable

STUDIES = read_manifest().sources
SHOWS = (
    r"What each figure and table shows, the studies it uses (Table~\ref{tab:studies}), their processor time in minutes "
    rf"and their seeds. {code('python -m paper run --studies STUDIES')} runs the studies anew, "
    rf"{code('python -m paper build --only NAME')} draws the figure or table from the committed results."
)
RUNS = (
    r"What each study takes: data sets of each cell (the least), processor time of all fits in minutes, the seed "
    r"of its random streams, and the hash of its configuration, which is that of its settings and functions. "
    rf"{code('python -m paper run --studies STUDY')} runs a study anew, {code('make paper-full')} all of them."
)


def table(digests: Mapping[str, Digest]) -> str:
    """Two longtables with captions and labels: of figures and tables, and of studies."""
    rows = []
    for kind, name, shown in read_manifest().shown():
        module = modules(kind).get(name)
        studies = ", ".join(code(study) for study in module.STUDIES) if module else ""
        which = rf"{kind.removesuffix('s').title()}~\ref{{{label_of(kind, name)}}}"
        known = [digests[study].provenance for study in module.STUDIES if study in digests] if module else []
        minutes = f"{sum(float(one['cpu_minutes']) for one in known):,.0f}".replace(",", r"\,") if known else ""
        seeds = ", ".join(str(one["seed"]) for one in known)
        rows.append([which, code(name), escaped(shown.what), studies or "theory alone", minutes, seeds])
    header = ["", "name", "shows", "studies", "minutes", "seed"]
    first = longtable((0.11, 0.205, 0.27, 0.215, 0.11, 0.09), header, rows, SHOWS, "tab:reproducibility")
    rows = [_of(study, digests[study].provenance) for study in STUDIES if study in digests]
    header = ["study", "data sets", "fits", "minutes", "seed", "configuration"]
    return first + "\n" + longtable((0.26, 0.14, 0.14, 0.14, 0.08, 0.24), header, rows, RUNS, "tab:studies")


def _of(study: str, known: Mapping[str, Any]) -> list[str]:
    """The cells of a study."""
    told = [str(known.get("replicates", "--"))]
    told += [f"{known[key]:,.0f}".replace(",", r"\,") if key in known else "--" for key in ("fits", "cpu_minutes")]
    return [code(study), *told, str(known.get("seed", "--")), code(str(known.get("configuration", "--")))]
