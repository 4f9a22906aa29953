"""Measures of several cells in one number, and the full design of a study whose digest may be of its quick form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from paper.digest import Absent, Entry
from paper.shared.problems import ordered
from paper.shared.style import METHODS
from paper.shared.writing import Number, computed, latex, percentage, significant

if TYPE_CHECKING:
    import pandas as pd

    from experiments.study import Study
    from paper.digest import Digest

MISSING = "--"  # in a table, where there is nothing


def full_levels(study: str, factor: str) -> tuple[Any, ...]:
    """The levels of a factor in the full form of a study: the keys of numbers are the same for all forms."""
    return tuple(dict.fromkeys(cell.levels[factor] for cell in full_form(study).design.all()))


def full_methods(study: str, *left_out: str) -> tuple[str, ...]:
    """The methods of a study but some, in the order in which they are printed."""
    return tuple(name for name in ordered(full_form(study).methods, METHODS) if name not in left_out)


@cache
def full_form(study: str) -> Study:
    """A study that ships, in its full form."""
    from experiments.commands.options import path_of
    from experiments.study import load_study

    return load_study(path_of(study), False)


def pooled(table: pd.DataFrame) -> Entry:
    """The mean over cells of different data sets, with equal weights; `n` is the sum.

    Raises
    ------
    Absent
        When there is no cell.
    """
    if not len(table):
        raise Absent("no cell has it")
    value, error = table["value"].to_numpy(float), np.nan_to_num(table["mcse"].to_numpy(float))
    return Entry(float(value.mean()), float(np.sqrt(np.sum(error**2)) / len(table)), int(table["n"].sum()))


def counted(table: pd.DataFrame) -> tuple[int, int]:
    """How many successes, of how many, a measure that is a share has in all cells."""
    n = table["n"].to_numpy(float)
    return round(float(np.sum(table["value"].to_numpy(float) * n))), int(n.sum())


def least(table: pd.DataFrame) -> Entry:
    """The smallest value over cells; `Absent` when there is none."""
    return extreme(table, largest=False)


def most(table: pd.DataFrame) -> Entry:
    """The largest value over cells; `Absent` when there is none."""
    return extreme(table, largest=True)


EXTREMES = {"least": least, "most": most}


def extreme(table: pd.DataFrame, largest: bool) -> Entry:
    """The cell with the largest or the smallest value."""
    if not len(table):
        raise Absent("no cell has it")
    value = table["value"].to_numpy(float)
    row = table.iloc[int(value.argmax() if largest else value.argmin())]
    return Entry(float(row["value"]), float(row["mcse"]), int(row["n"]))


def difference(top: Entry, bottom: Entry) -> Entry:
    """A difference, errors taken as independent: on the same data sets its own is rather smaller."""
    return Entry(top.value - bottom.value, float(np.hypot(top.mcse, bottom.mcse)), min(top.n, bottom.n))


def ratio_of(top: Sequence[Entry], bottom: Sequence[Entry]) -> Entry:
    """Geometric mean of ratios of measures, errors taken as independent: on the same data sets they are rather smaller.

    Raises
    ------
    Absent
        When there is none, or one is not positive.
    """
    if not top or any(not entry.value > 0.0 for entry in (*top, *bottom)):
        raise Absent("no positive values to compare")
    logs = [np.log(a.value / b.value) for a, b in zip(top, bottom, strict=True)]
    squares = [(entry.mcse / entry.value) ** 2 for entry in (*top, *bottom) if np.isfinite(entry.mcse)]
    value = float(np.exp(np.mean(logs)))
    return Entry(value, value * float(np.sqrt(np.sum(squares))) / len(logs), min(entry.n for entry in top))


def size_of(study: str, digest: Digest) -> Iterator[Number]:
    """Numbers that every study has: of cells and fits, and how many fits failed."""
    for name in ("cells", "fits", "failed"):
        text = latex(f"{int(digest.provenance[name]):,}")
        yield Number(f"{keyed(study)}.{name}", text, f"{study}: {name}", (study,))


def keyed(*parts: Any) -> str:
    """The key of a number: parts with dots between, hyphens in names."""
    return ".".join(str(part).replace("_", "-") for part in parts)


def stated(
    key: str,
    form: Callable[[Entry], str],
    find: Callable[[pd.DataFrame], Entry],
    table: pd.DataFrame,
    source: str,
    *studies: str,
) -> Number:
    """A number that is found in several cells, written by a function."""
    return computed(key, lambda: form(find(table)), source, *studies)


def extremes(
    key: str, form: Callable[[Entry], str], table: pd.DataFrame, source: str, *studies: str
) -> Iterator[Number]:
    """Two numbers: the least and the most over cells."""
    for word, find in EXTREMES.items():
        yield stated(f"{key}.{word}", form, find, table, f"{source}, {word} over cells", *studies)


def two_digits(entry: Entry) -> str:
    """The value alone."""
    return significant(entry.value, 2)


def one_digit(entry: Entry) -> str:
    """The size of the value."""
    return significant(entry.value, 1)


def whole(key: str, compute: Callable[[], int], source: str, *studies: str) -> Number:
    """A count."""
    return computed(key, lambda: latex(f"{compute():,}"), source, *studies)


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
