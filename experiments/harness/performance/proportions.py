"""Proportions whose Monte Carlo standard error is never zero."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saem.errors import DataError

QUANTILE = 1.959963984540054  # of the normal distribution, for 95 %


class Adjusted(NamedTuple):
    """A proportion drawn towards one half, and its standard error."""

    value: np.ndarray  # (...)
    mcse: np.ndarray  # (...)


def adjusted(p: float | np.ndarray, n: float | np.ndarray) -> Adjusted:
    """Proportions with 1.96**2 / 2 successes and as many failures added, for rules that stop.

    The estimate sqrt(p (1 - p) / n) is zero where all of the replicates agree, so that a rule "stop when the MCSE is
    small" stops at once in a cell whose first replicates all cover, and picks such cells out. This one is above zero
    for every p, at most 0.5 / sqrt(n + 3.84), and near the plain one when n p (1 - p) is large. Not for tables: it is
    biased towards one half, by (1 - 2 p) 1.92 / (n + 3.84).

    Parameters
    ----------
    p : float or (...) array_like
        Proportions, 0 to 1; nan stays nan.
    n : float or (...) array_like
        Numbers of replicates, 1 or larger.

    Returns
    -------
    Adjusted
        `value` and `mcse`, of the shape that `p` and `n` have together.

    Raises
    ------
    DataError
        If a proportion is not between 0 and 1, or a number of replicates is below 1.

    References
    ----------
    Agresti & Coull (1998), Approximate is better than "exact" for interval estimation of binomial proportions, The
    American Statistician 52, 119-126: the centre is that of Wilson's (1927) interval.
    """
    p, n = np.asarray(p, dtype=float), np.asarray(n, dtype=float)
    if np.any((p < 0.0) | (p > 1.0)):
        raise DataError(f"proportions must be between 0 and 1; got {p[(p < 0.0) | (p > 1.0)].flat[0]:g}")
    if not np.all(n >= 1.0):
        raise DataError(f"numbers of replicates must be 1 or larger; got {n[~(n >= 1.0)].flat[0]:g}")
    total = n + QUANTILE**2
    value = (n * p + QUANTILE**2 / 2) / total
    return Adjusted(value, np.sqrt(value * (1.0 - value) / total))
