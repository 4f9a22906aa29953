"""Measures of several cells in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from paper.digest import Absent, Entry

if TYPE_CHECKING:
    import pandas as pd


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


def share_of_all(table: pd.DataFrame) -> Entry:
    """The share of all that were counted: of one method in cells of different data sets, which are independent.

    Not for several methods on the same data sets: the binomial error would be too small.

    Raises
    ------
    Absent
        When nothing was counted.
    """
    good, of = counted(table)
    if not of:
        raise Absent("nothing was counted")
    return Entry(good / of, float(np.sqrt(good / of * (1.0 - good / of) / of)), of)


def least(table: pd.DataFrame) -> Entry:
    """The smallest value over cells; `Absent` when there is none."""
    return extreme(table, largest=False)


def most(table: pd.DataFrame) -> Entry:
    """The largest value over cells; `Absent` when there is none."""
    return extreme(table, largest=True)


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
