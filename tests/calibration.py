"""Checks of estimates against the maximum, in units of their Monte Carlo error."""

from __future__ import annotations

import numpy as np


def check_within_error(estimates: np.ndarray, maxima: np.ndarray, mcse: np.ndarray) -> None:
    """All within 5 Monte Carlo standard errors: at most 200 comparisons, false alarms below 2e-4."""
    assert np.all(np.abs(estimates - maxima) < 5 * mcse)
