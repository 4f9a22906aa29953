"""Whole numbers for distinct values, in the order in which they appear."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL = 1024  # rows: up to here a dictionary beats the fixed cost of pandas for each column


def codes_of(*columns: NDArray[Any]) -> NDArray[np.int64]:
    """Number the distinct rows of some columns, from 0 on.

    Parameters
    ----------
    columns : (n,) ndarray
        One or more, of numbers without nan.

    Returns
    -------
    (n,) ndarray of int64
        Equal where all columns are equal; the first row has 0, and a row that is new has the next number.
    """
    if len(columns[0]) <= SMALL:
        return counted(row_keys(columns), len(columns[0]))[0]
    import pandas as pd

    codes = pd.factorize(columns[0])[0]
    for column in columns[1:]:
        other = pd.factorize(column)[0]
        levels = int(other.max()) + 1
        if levels > 1:  # numbered anew at each step, so that the products never overflow
            codes = pd.factorize(codes * levels + other)[0]
    return codes.astype(np.int64, copy=False)


def row_keys(columns: Sequence[NDArray[Any]]) -> list[Any]:
    """A key for each row of some columns (n,): its numbers, or of several columns their bytes."""
    if len(columns) == 1:
        return list(columns[0].tolist())
    words = np.empty((len(columns[0]), len(columns)), dtype=np.int64)
    for j, column in enumerate(columns):
        is_float = column.dtype.kind == "f"  # of which no zero must be negative
        words[:, j] = np.add(column, 0.0, dtype=np.float64).view(np.int64) if is_float else column
    return list(words.view(f"V{words.itemsize * len(columns)}").ravel().tolist())


def counted(keys: Iterable[Any], n: int) -> tuple[NDArray[np.int64], list[Any]]:
    """Number ``n`` keys by a dictionary, in order of first appearance.

    Returns
    -------
    codes : (n,) ndarray of int64
    distinct : list
        The distinct keys.

    Raises
    ------
    TypeError
        When a key cannot be one.
    """
    known: defaultdict[Any, int] = defaultdict(count().__next__)
    codes = np.fromiter(map(known.__getitem__, keys), np.int64, n)  # without a step of Python for each key
    return codes, list(known)
