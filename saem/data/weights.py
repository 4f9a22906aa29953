"""Prior weights: rows whose residual variance is ``sigma^2 / weight``.

Dividing a row by its residual standard deviation turns it into one of variance 1; so a row times the root of its
weight, the response and the columns of both designs alike, has the residual variance ``sigma^2`` of a row without a
weight. The densities differ by the Jacobian: ``log f(y) = log f(sqrt(w) y) + 1/2 sum log w``. What computes likelihoods
and conditional laws sees the scaled rows and adds that constant; what speaks of the responses themselves (simulation,
residuals, predictions) sees the rows as they are, with `ModelData.residual_sds`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.data.intake import is_number
from saem.data.table import Rows
from saem.errors import DataError
from saem.expressions.columns import Factor, Values
from saem.system.deferred import replaced

if TYPE_CHECKING:
    from saem.families.linear.data import ModelData

LARGEST = 1e50  # beyond, and below its inverse, squares of scaled rows may be no numbers that a computer can hold

_Floats = NDArray[np.float64]


def check_weights(name: str, values: Values, rows: Rows) -> _Floats:
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


def with_unit_weights(data: ModelData) -> ModelData:
    """The rows times the roots of their weights, which then all are 1; the data themselves where there are none."""
    if data.weights is None:
        return data
    root = np.sqrt(data.weights)
    scaled: ModelData = replaced(
        data,
        response=data.response * root,
        mean_design=data.mean_design * root[:, None],
        random_design=data.random_design * root[:, None],
        weights=None,
    )
    return scaled


def log_jacobian(data: ModelData) -> _Floats:
    """``1/2 sum log w`` (C,) of each cluster: the log-density of its rows, less that of the scaled ones."""
    count = len(data.cluster_group)
    if data.weights is None:
        return np.zeros(count)
    return np.asarray(np.bincount(data.cluster, weights=0.5 * np.log(data.weights), minlength=count), dtype=np.float64)
