"""Prior weights: rows whose residual variance is ``sigma^2 / weight``.

Dividing a row by its residual standard deviation turns it into one of variance 1; so a row times the root of its
weight, the response and the columns of both designs alike, has the residual variance ``sigma^2`` of a row without a
weight. The densities differ by the Jacobian: ``log f(y) = log f(sqrt(w) y) + 1/2 sum log w``. What computes likelihoods
and conditional laws sees the scaled rows and adds that constant; what speaks of the responses themselves (simulation,
residuals, predictions) sees the rows as they are, with `LinearData.residual_sds`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.system.deferred import replaced

if TYPE_CHECKING:
    from saem.families.linear.data import LinearData

_Floats = NDArray[np.float64]


def with_unit_weights(data: LinearData) -> LinearData:
    """The rows times the roots of their weights, which then all are 1; the data themselves where there are none."""
    if data.weights is None:
        return data
    root = np.sqrt(data.weights)
    scaled: LinearData = replaced(
        data,
        response=data.response * root,
        mean_design=data.mean_design * root[:, None],
        random_design=data.random_design * root[:, None],
        weights=None,
    )
    return scaled


def log_jacobian(data: LinearData) -> _Floats:
    """``1/2 sum log w`` (C,) of each cluster: the log-density of its rows, less that of the scaled ones."""
    count = len(data.cluster_group)
    if data.weights is None:
        return np.zeros(count)
    return np.asarray(np.bincount(data.cluster, weights=0.5 * np.log(data.weights), minlength=count), dtype=np.float64)
