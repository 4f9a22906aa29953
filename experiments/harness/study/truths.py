"""The true values of a study's cells: what its function `truth` gives, asked once for a cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .asking import ask
from .cells import Cell
from .identity import reach_of

if TYPE_CHECKING:
    from .specification import Run

asked: dict[tuple[Path, str], dict[str, dict[str, Any]]] = {}  # by file and syntax of `truth`, by the cell's key


class NoNumber(str):
    """What `truth` gave in place of a number, as it is printed."""


class Truths:
    """The true values of the cells of a study, as far as they are asked for.

    Parameters
    ----------
    path : Path
        Of a file of the study, TOML or Python.
    run : Run, optional
        The study's limits; without them nothing can be asked for, and only what is known be told.

    Attributes
    ----------
    syntax : str
        What they depend on, 16 hexadecimal digits.

    Raises
    ------
    ModelError
        When there is no file of functions, or it is no Python.
    """

    def __init__(self, path: Path, run: Run | None = None) -> None:
        self.run = run
        self.path = path.with_suffix(".py").resolve()
        self.syntax = reach_of(self.path, "truth").digest
        self.known = asked.setdefault((self.path, self.syntax), {})

    def of(self, cell: Cell) -> Mapping[str, Any]:
        """The true values by estimand; that they are numbers is seen to where a study is loaded.

        Raises
        ------
        ModelError
            When `truth` fails, returns something else than a mapping, ends its process, or does not end in time.
        """
        if cell.key not in self.known:
            assert self.run is not None
            self.known[cell.key] = ask(self.path, self.run, "truth", cell, what=f"truth (in {cell.name})")
        return self.known[cell.key]

    def recall(self, kept: Mapping[str, Mapping[str, float]]) -> None:
        """Take over true values that were kept, by the cell's key; those that are known already stay."""
        for key, values in kept.items():
            self.known.setdefault(key, dict(values))

    def numbers(self, cells: Iterable[Cell]) -> dict[str, dict[str, float]]:
        """Those that are known and are numbers, by the cell's key."""
        return {
            cell.key: {name: float(value) for name, value in self.known[cell.key].items() if is_number(value)}
            for cell in cells
            if cell.key in self.known
        }


def is_number(value: object) -> bool:
    """Whether a value can be a true one: a number, or nan where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    try:
        return not math.isinf(value)
    except OverflowError:  # a whole number that no float is near
        return False
