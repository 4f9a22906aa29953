"""The studies behind every figure and table, and what each study takes."""

from __future__ import annotations

from collections.abc import Mapping

from paper.digest import Digest
from paper.manifest import modules, read_manifest
from paper.tex import code, escaped, longtable

STUDIES = read_manifest().sources
CAPTION = (
    r"How every result is made. Above: what each figure and table shows and the studies it uses. Below: for each "
    r"study, the data sets of each cell, the processor time of its fits in minutes, its seed and the hash of its "
    rf"configuration. {code('python -m paper run --studies STUDY')} runs a study, "
    rf"{code('python -m paper build --only NAME')} draws one figure or table, {code('make paper-full')} does it all."
)


def table(digests: Mapping[str, Digest]) -> str:
    """A longtable with caption and label."""
    rows: list[list[str] | str] = []
    for name, (kind, shown) in read_manifest().shown().items():
        module = modules(kind).get(name)
        studies = ", ".join(code(study) for study in module.STUDIES) if module else ""
        which = rf"{'Figure' if kind == 'figures' else 'Table'}~\ref{{{'fig' if kind == 'figures' else 'tab'}:{name}}}"
        rows.append([which, code(name), escaped(shown.what), studies or "theory alone"])
    rows += [r"\midrule", [r"\textbf{study}", r"\textbf{data sets}", r"\textbf{configuration}", ""], r"\midrule"]
    for study in STUDIES:
        if study in digests:
            known = digests[study].provenance
            told = f"{known['cpu_minutes']:,.0f} min" if "cpu_minutes" in known else ""
            rows.append(
                [code(study), str(known.get("replicates", "")), code(str(known.get("configuration", "")))]
                + [
                    ", ".join(
                        part
                        for part in (told.replace(",", r"\,"), f"seed {known['seed']}" if "seed" in known else "")
                        if part
                    )
                ]
            )
    header = ["", r"\textbf{name}", r"\textbf{shows}", r"\textbf{studies}"]
    return longtable((0.16, 0.2, 0.42, 0.22), header, rows, CAPTION, "tab:reproducibility")
