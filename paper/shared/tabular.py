"""Columns of tables: a LaTeX tabular, and how pooled values are written in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paper.shared.pooling import pooled
from paper.shared.writing import percentage, significant

if TYPE_CHECKING:
    import pandas as pd

MISSING = "--"  # where there is nothing


def tabular(columns: str, header: Sequence[Sequence[str]], rules: str, body: Sequence[Sequence[str]]) -> str:
    """A LaTeX tabular with rules below its header's first line; a row of one entry is a heading."""
    width = len(header[-1])
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    for k, row in enumerate(header):
        lines += [" & ".join(row) + r" \\", *([rules] if k == 0 else [])]
    lines.append(r"\midrule")
    for k, row in enumerate(body):
        if len(row) == 1:
            lines += [r"\addlinespace"] * (k > 0) + [rf"\multicolumn{{{width}}}{{@{{}}l}}{{{row[0]}}} \\"]
        else:
            lines.append(" & ".join(row) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def share(table: pd.DataFrame) -> str:
    """A pooled share in per cent without its sign, for a column of a table."""
    if not len(table):
        return MISSING
    found = pooled(table)
    if found.value in (0.0, 1.0):
        return f"{100.0 * found.value:.0f}"
    return percentage(found.value, found.mcse).removesuffix(r"\,\%")


def number(table: pd.DataFrame, scale: float = 1.0, digits: int = 2) -> str:
    """A pooled value without its error, for a column of a table."""
    return significant(scale * pooled(table).value, digits) if len(table) else MISSING
