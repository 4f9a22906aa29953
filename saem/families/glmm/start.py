"""Where searches start: the means without random effects, and standard deviations that the outcomes can feel."""

from __future__ import annotations

import numpy as np

from saem.families.glmm.arrays import BINOMIAL, GlmmArrays

Array = np.ndarray

ROUNDS = 50
SETTLED = 1e-8  # of the log-likelihood's change
FARTHEST = 15.0  # of the linear predictor: beyond, groups are separated and their means have no maximum
SPREAD = 0.5  # of the linear predictor, by the random effects at the start


def pooled_means(arrays: GlmmArrays, n: int, fixed: Array) -> Array:
    """Parameters (n,) whose means maximise the likelihood without random effects, by iterated weighted least squares.

    Parameters
    ----------
    arrays : GlmmArrays
    n : int
        Number of parameters.
    fixed : (n,) ndarray
        Values of the fixed ones; nan where free. Other parameters than means are left at theirs, or zero.

    Returns
    -------
    (n,) ndarray
        Columns that are combinations of others get the least-squares solution of least norm. Where outcomes are
        separated, so that a mean has no maximum, the linear predictor stays within `FARTHEST`.
    """
    x = np.where(np.isnan(fixed), 0.0, fixed)
    design = np.zeros((len(arrays.y), n))  # by parameter: a name may stand for several columns
    np.add.at(design.T, arrays.mean_index, arrays.design.T)
    free = np.isnan(fixed) & np.any(design != 0.0, axis=0)
    if not free.any():
        return x
    columns = design[:, free]
    size = np.sqrt(np.mean(columns**2, axis=0))
    columns = columns / size
    base = arrays.offset + design @ x
    total, trials = arrays.y, arrays.trials
    share = (total + 0.5) / (trials + 1.0) if arrays.outcome == BINOMIAL else total + 0.5
    eta = np.log(share / (1.0 - share)) if arrays.outcome == BINOMIAL else np.log(share)
    beta, before = np.zeros(columns.shape[1]), -np.inf
    for _ in range(ROUNDS):
        if arrays.outcome == BINOMIAL:
            p = 1.0 / (1.0 + np.exp(-eta))
            mean, weight = trials * p, np.maximum(trials * p * (1.0 - p), 1e-10)
        else:
            mean = weight = np.exp(eta)
        root = np.sqrt(weight)
        working = eta - base + (total - mean) / weight
        beta = np.linalg.lstsq(root[:, None] * columns, root * working, rcond=1e-10)[0]
        eta = base + np.clip(columns @ beta, -FARTHEST, FARTHEST)
        spread = np.logaddexp(0.0, eta) * trials if arrays.outcome == BINOMIAL else np.exp(eta)
        value = float(np.sum(total * eta - spread))
        if abs(value - before) <= SETTLED * (1.0 + abs(value)):
            break
        before = value
    farthest = np.max(np.abs(columns @ beta))
    x[free] = beta / size * min(1.0, FARTHEST / max(farthest, FARTHEST))
    return x


def starting_values(arrays: GlmmArrays, n: int, fixed: Array) -> Array:
    """Parameters (n,) to start from; `pooled_means` with standard deviations of `SPREAD`, and correlations of zero."""
    x = pooled_means(arrays, n, fixed)
    sizes = effect_sizes(arrays)
    for g in range(len(arrays.sd_index)):
        for j, i in enumerate(arrays.sd_index[g]):
            if np.isnan(fixed[i]):
                x[i] = SPREAD / sizes[j]
    return x


def effect_sizes(arrays: GlmmArrays) -> Array:
    """Root mean squares (q,) of the columns of the random effects; one where a column is empty."""
    sizes = np.sqrt(np.mean(arrays.random**2, axis=0))
    return np.where(sizes > 0.0, sizes, 1.0)
