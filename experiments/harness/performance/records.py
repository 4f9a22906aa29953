"""The rows of a study: one for every cell, replicate, method and estimand; checked, and with numbers for names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from saem.errors import DataError, listing, nearest

KEYS = ("cell", "replicate", "method", "estimand")
OF_ESTIMANDS = ("estimate", "se", "lower", "upper", "mcse", "truth")
OF_FITS = ("loglik", "deficit", "seconds", "draws", "iterations")
COLUMNS = (*KEYS, *OF_ESTIMANDS, "status", *OF_FITS)
WHOLE_FIT = ""  # the estimand of what is measured on fits, such as seconds

CONVERGED = ("ok", "boundary", "several_solutions")  # the estimate is a maximum
FAILED = ("error", "timeout", "crashed")  # there is no estimate
STATUSES = (*CONVERGED, "not_converged", "not_identified", *FAILED)
# An estimate that did not converge is what a user would have, and leaving it out would flatter its method. One that is
# not identified is any of many, so that its distance to the truth means nothing.
COUNTED = (*CONVERGED, "not_converged")


@dataclass(frozen=True)
class Level:
    """Rows taken together that agree in some of the keys.

    Attributes
    ----------
    codes : (N,) ndarray of int
        Where every row belongs, from 0.
    first : (G,) ndarray of int
        The first row of each.
    """

    codes: np.ndarray
    first: np.ndarray


class Records:
    """The checked rows of a study.

    Parameters
    ----------
    rows : DataFrame
        With the columns `COLUMNS`, in any order, and any others.

    Raises
    ------
    DataError
        If columns are missing or not numbers, keys are missing or repeated, a status is unknown, an interval has its
        ends the wrong way round, a standard error is negative, rows of one fit differ in what belongs to the fit, or an
        estimand of a cell has several true values.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        check_columns(rows)
        self.size = len(rows)
        self.labels: dict[str, np.ndarray] = {}
        self.keys: dict[str, np.ndarray] = {}
        for name in KEYS:
            self.keys[name], self.labels[name] = self._coded(rows[name])
        self.numbers = {name: self._number(rows[name]) for name in (*OF_ESTIMANDS, *OF_FITS)}
        self.numbers["status"], names = self._coded(rows["status"])
        unknown = [str(name) for name in names if name not in STATUSES]
        if unknown:
            raise DataError(
                f"column 'status' must have {listing(STATUSES, 10)}; "
                f"got {listing(unknown)}{nearest(unknown[0], STATUSES)}"
            )
        self.statuses = [str(name) for name in names]
        self._check()

    @staticmethod
    def _coded(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        codes, labels = pd.factorize(column)
        if (codes < 0).any():
            raise DataError(f"column {column.name!r} must be known in every row; row {int(np.argmin(codes))} has none")
        return codes, np.asarray(labels)

    @staticmethod
    def _number(column: pd.Series) -> np.ndarray:
        if column.dtype == np.float64:
            return column.to_numpy()  # without a copy
        try:
            return column.to_numpy(float, na_value=np.nan)
        except (TypeError, ValueError):
            raise DataError(f"column {column.name!r} must have numbers, or nan; it is of type {column.dtype}") from None

    def level(self, *names: str) -> Level:
        """Rows that agree in these keys."""
        codes = self.keys[names[0]]
        for name in names[1:]:
            codes, _ = pd.factorize(codes * len(self.labels[name]) + self.keys[name])
        first = np.empty(int(codes.max()) + 1, dtype=np.int64)
        first[codes[::-1]] = np.arange(self.size)[::-1]
        return Level(codes, first)

    def has_status(self, names: Iterable[str]) -> np.ndarray:
        """Which rows (N,) have one of these statuses."""
        wanted = set(names)
        return np.array([name in wanted for name in self.statuses])[self.numbers["status"]]

    def where(self, row: int) -> str:
        """A row in words."""
        return ", ".join(f"{name} {self.labels[name][self.keys[name][row]]!s}" for name in KEYS)

    def _check(self) -> None:
        every = self.level(*KEYS)
        if len(every.first) < self.size:
            again = np.ones(self.size, dtype=bool)
            again[every.first] = False
            row = int(np.argmax(again))
            raise DataError(f"every cell, replicate, method and estimand has one row; {self.where(row)} has several")
        for wrong, what in (
            (self.numbers["lower"] > self.numbers["upper"], "'lower' must not be above 'upper'"),
            (self.numbers["se"] < 0.0, "'se' must not be negative"),
            (self.numbers["mcse"] < 0.0, "'mcse' must not be negative"),
        ):
            if wrong.any():
                raise DataError(f"{what}; it is at {self.where(int(np.argmax(wrong)))}")
        for name, keys, whose in (
            *((name, ("cell", "method", "replicate"), "fit") for name in ("status", *OF_FITS)),
            ("truth", ("cell", "estimand"), "estimand in a cell"),
        ):
            self._check_constant(name, self.level(*keys), whose)

    def _check_constant(self, name: str, level: Level, whose: str) -> None:
        x = self.numbers[name]
        own = x[level.first][level.codes]
        differs = (x != own) & ~((x != x) & (own != own))  # nan agrees with nan
        if differs.any():
            raise DataError(
                f"column {name!r} must be the same in all rows of one {whose}; "
                f"it is not at {self.where(int(np.argmax(differs)))}"
            )


def check_columns(rows: pd.DataFrame) -> None:
    """Whether there is a table with all columns."""
    if not isinstance(rows, pd.DataFrame):
        raise DataError(f"rows must be a pandas DataFrame; got {type(rows).__name__}")
    missing = [name for name in COLUMNS if name not in rows.columns]
    if missing:
        hint = nearest(missing[0], [str(name) for name in rows.columns if name not in COLUMNS])
        raise DataError(
            f"rows lack the columns {listing(missing, 15)}{hint}; fill a column that does not apply with nan"
        )
    if not len(rows):
        raise DataError("rows must have at least one row; the table is empty")


def check_name(purpose: str, name: str, what: str, names: list[str]) -> None:
    """Whether there is what an argument names."""
    if name not in names:
        raise DataError(
            f"{purpose} must be one of the {what} {listing(names)}; got {name!r}{nearest(str(name), names)}"
        )


def check_choice(on: str, counted: Collection[str]) -> None:
    """Whether the two arguments that choose replicates have a meaning."""
    if on not in ("complete", "pairs"):
        raise DataError(f"on must be 'complete' or 'pairs'; got {on!r}")
    allowed = [name for name in STATUSES if name not in FAILED]
    wrong = [str(name) for name in counted if name not in allowed]
    if isinstance(counted, str) or wrong or not len(counted):
        raise DataError(f"counted must be a list of some of {listing(allowed)}; got {counted!r}")
