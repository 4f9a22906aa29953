"""Whole numbers for distinct values, in the order in which they appear."""

from __future__ import annotations

from collections.abc import Iterable
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
        parts = [column.tolist() for column in columns]
        keys: Iterable[Any] = parts[0] if len(parts) == 1 else zip(*parts, strict=True)
        known: dict[Any, int] = {}
        return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)
    import pandas as pd

    codes = pd.factorize(columns[0])[0]
    for column in columns[1:]:
        other = pd.factorize(column)[0]
        count = int(other.max()) + 1
        if count > 1:  # numbered anew at each step, so that the products never overflow
            codes = pd.factorize(codes * count + other)[0]
    return codes.astype(np.int64, copy=False)
