"""Monte Carlo error as figures show it: intervals of 95 %."""

from __future__ import annotations

import numpy as np

Z = 1.959963984540054


def of_mean(value: object, mcse: object) -> np.ndarray:
    """Lengths (2, k) below and above: 1.96 errors; none where the error is not known."""
    error = np.nan_to_num(Z * np.asarray(mcse, float))
    return np.stack([error, error])


def of_share(value: object, n: object) -> np.ndarray:
    """Lengths (2, k) of the interval of Agresti and Coull, which has a length also where all replicates agree."""
    from experiments.performance.proportions import adjusted

    p = np.asarray(value, float)
    centre, error = adjusted(p, np.asarray(n, float))
    low, high = np.clip(centre - Z * error, 0.0, 1.0), np.clip(centre + Z * error, 0.0, 1.0)
    return np.stack([np.maximum(0.0, p - low), np.maximum(0.0, high - p)])


def of_ratio(value: object, mcse: object) -> np.ndarray:
    """Lengths (2, k) on a logarithmic axis: a factor of exp(1.96 errors of the logarithm)."""
    ratio = np.asarray(value, float)
    factor = np.exp(np.nan_to_num(Z * np.asarray(mcse, float) / ratio))
    return np.stack([ratio - ratio / factor, ratio * factor - ratio])
