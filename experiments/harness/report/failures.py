"""What went wrong, and what the methods said."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ..failures import kind_of
from ..study.records import FAILED
from .table import Table

if TYPE_CHECKING:
    import pandas as pd

    from ..results import Results

MOST_LETTERS = 1000  # of a message


def failures_of(results: Results, fits: pd.DataFrame) -> Table:
    """Fits that gave nothing, by cell, method, status and message, the most frequent first."""
    failed = fits[fits["status"].isin(FAILED)]
    totals = fits.groupby(["cell", "method"]).size()
    order = {cell.name: k for k, cell in enumerate(results.study.design.all())}
    kinds = {text: kind_of(text) for text in set(failed["message"])}
    groups = failed.assign(kind=failed["message"].map(kinds)).groupby(["cell", "method", "status", "kind"], sort=False)
    table = groups.agg(size=("replicate", "size"), first=("replicate", "min"), message=("message", "first"))
    found = sorted(table.itertuples(), key=lambda row: (order.get(row[0][0], len(order)), row[0][1], -row[1]))
    rows = []
    for (cell, method, status, _), count, first, message in found:
        replay = f"replay … {shlex.quote(cell)} {int(first)} {method}"
        share = f"{100 * count / totals[cell, method]:.1f}"
        rows.append(
            [*results.texts_of(cell), method, status, f"{count:,}", share, cut(message), f"{int(first)}", replay]
        )
    header = [*results.headings, "method", "status", "fits", "% of all", "message", "first replicate", "to see it"]
    return Table.of(header, rows, "l" * len(results.headings) + "llrrlrl")


def messages_of(fits: pd.DataFrame) -> Table:
    """Warnings, and messages of fits that did not fail; those that differ in numbers alone are taken together."""
    ended = fits[~fits["status"].isin(FAILED)]
    parts = []
    for column in ("message", "warnings"):
        said = ended[ended[column] != ""]
        if len(said):
            words = said[column].map(kind_of)
            parts += [
                [method, "warning" if column == "warnings" else status.replace("_", " "), len(own), own[column].iloc[0]]
                for (method, status, _), own in said.groupby([said["method"], said["status"], words], sort=False)
            ]
    parts.sort(key=lambda row: (row[0], -row[2]))
    rows = [[method, status, f"{count:,}", cut(text)] for method, status, count, text in parts]
    return Table.of(["method", "status", "fits", "such as"], rows, "llrl")


def cut(text: str) -> str:
    """A message of a length that can be read."""
    return text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS] + " …"
