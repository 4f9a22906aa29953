"""Where each number of the abstract comes from."""

from __future__ import annotations

from collections.abc import Mapping

from paper.digest import Digest
from paper.pipeline.claims import claims
from paper.pipeline.manifest import TEXT, read_manifest
from paper.pipeline.parts import all_numbers
from paper.pipeline.source import Source
from paper.pipeline.tex import code, escaped, longtable

STUDIES = read_manifest().sources
CAPTION = (
    r"The numbers of the abstract, each with the entry of the results that it is computed from, where it is shown, its "
    r"study, the hash of the study's configuration, and the seed of its random streams."
)


def table(digests: Mapping[str, Digest]) -> str:
    """A longtable with caption and label."""
    rows = []
    for claim in claims(Source(TEXT), all_numbers(digests), digests):
        kind = "Figure" if claim.label.startswith("fig:") else "Table"
        where = rf"{kind}~\ref{{{claim.label}}}" if claim.label else "the text"
        studies = ", ".join(map(code, claim.studies)) or ("a setting" if "setting" in claim.source else "theory")
        rows.append(
            [claim.text, code(claim.key), escaped(claim.source).replace(r"\_", r"\_\allowbreak{}"), where, studies]
            + [f"{code(claim.configuration)} seed {escaped(claim.seed)}" if claim.studies else ""]
        )
    header = ["number", "key", "entry", "shown in", "study", "configuration"]
    return longtable((0.13, 0.16, 0.225, 0.115, 0.16, 0.21), header, rows, CAPTION, "tab:claims")
