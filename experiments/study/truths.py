"""The true values of a study's cells: what its function `truth` gives, asked once for a cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.study.blame import failed
from experiments.study.cells import Cell
from experiments.study.functions import functions_in
from experiments.study.identity import reach_of
from saem.errors import ModelError, SaemError

asked: dict[tuple[Path, str], dict[str, dict[str, Any]]] = {}  # by file and syntax of `truth`, by the cell's key


class Truths:
    """The true values of the cells of a study, as far as they are asked for.

    Parameters
    ----------
    path : Path
        Of a file of the study, TOML or Python.

    Attributes
    ----------
    syntax : str
        What they depend on, 16 hexadecimal digits.

    Raises
    ------
    ModelError
        When there is no file of functions, or it is no Python.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_suffix(".py").resolve()
        self.syntax = reach_of(self.path, "truth").digest
        self.known = asked.setdefault((self.path, self.syntax), {})

    def of(self, cell: Cell) -> Mapping[str, Any]:
        """The true values by estimand; that they are numbers is seen to where a study is loaded.

        Raises
        ------
        ModelError
            When `truth` fails, or returns something else than a mapping.
        """
        if cell.key not in self.known:
            try:
                given = functions_in(self.path).truth(cell)
                if not isinstance(given, Mapping):
                    raise ModelError(f"it must return a mapping of numbers by estimand; got {given!r:.60}")
                self.known[cell.key] = {str(name): value for name, value in given.items()}
            except SaemError as error:
                raise ModelError(f"truth: {error}") from None
            except (Exception, SystemExit) as error:
                raise ModelError(failed("truth", error, self.path)) from None
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
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and not np.isinf(value)
