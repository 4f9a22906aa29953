"""Prior weights of rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.data.intake import is_number
from saem.data.table import Rows
from saem.errors import DataError
from saem.expressions.columns import Factor, Values

LARGEST = 1e50  # beyond, and below its inverse, squares of scaled rows may be no numbers that a computer can hold


def check_weights(name: str, values: Values, rows: Rows) -> NDArray[np.float64]:
    """The weights (n,) of a column without missing values.

    Raises
    ------
    DataError
        Naming a row whose weight is no positive number.
    """
    if isinstance(values, Factor):
        is_text = np.array([not is_number(level) for level in values.levels])[values.codes]
        if not is_text.any():
            raise DataError(f"the weights {name!r} are numbers stored as text; convert the column to numbers")
        text = values.levels[int(values.codes[np.argmax(is_text)])]
        raise DataError(
            f"the weights {name!r} must be positive numbers; got the text {text!r} in {rows.first(is_text)}"
        )
    if values.dtype == np.bool_:
        raise DataError(
            f"the weights {name!r} must be positive numbers; got true and false: select rows by --where, and weights "
            "only say how precise those are that remain"
        )
    weights = np.ascontiguousarray(values, dtype=np.float64)
    bad = ~(weights > 0.0)
    if bad.any():
        raise DataError(
            f"the weights {name!r} must be positive; got {weights[np.argmax(bad)]:g} in {rows.first(bad)}"
            f"{f' and {int(bad.sum()) - 1} more' if bad.sum() > 1 else ''}: a row that is to count for nothing must be "
            "left out"
        )
    extreme = (weights > LARGEST) | (weights < 1.0 / LARGEST)
    if extreme.any():
        raise DataError(
            f"the weights {name!r} must lie between {1.0 / LARGEST:g} and {LARGEST:g}; got "
            f"{weights[np.argmax(extreme)]:g} in {rows.first(extreme)}: choose another unit"
        )
    return weights
