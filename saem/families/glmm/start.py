"""Where searches start: the means without random effects, and standard deviations that the outcomes can feel."""

from __future__ import annotations

import numpy as np

from saem.families.glmm.data import GlmmData

Array = np.ndarray

ROUNDS = 50
SETTLED = 1e-8  # of the log-likelihood's change
FARTHEST = 15.0  # of the linear predictor: beyond, groups are separated and their means have no maximum
LEAST = 1e-6  # information of a row
SPREAD = 0.5  # of the linear predictor, by the random effects at the start


def starting_values(data: GlmmData) -> dict[str, float]:
    """Where parameters start: `pooled_means`, standard deviations of `SPREAD`, and correlations of zero."""
    x = pooled_means(data)
    there = data.sd_index >= 0
    x[data.sd_index[there]] = np.broadcast_to(SPREAD / effect_sizes(data), there.shape)[there]
    return dict(zip(data.parameters.names, x.tolist(), strict=True))


def first_laws(data: GlmmData) -> tuple[Array, Array]:
    """Covariance (q, q) of the random effects at the start, and one over the information (n,) of rows there."""
    x = np.array([data.structure.start[name] for name in data.parameters.names])
    variance = expected(data, data.predictor(x))[1]
    return np.diag(np.mean(x[data.sd_index] ** 2, axis=0)), 1.0 / np.maximum(variance, LEAST)


def effect_sizes(data: GlmmData) -> Array:
    """Root mean squares (q,) of the columns of the random effects; over the rows of their level, where it is one."""
    found = sizes(data.random_design)
    return found if data.patterns is None else found / np.sqrt(np.mean(data.random_design != 0.0, axis=0))


def sizes(columns: Array) -> Array:
    """Root mean squares (k,) of columns (n, k); one where a column is empty."""
    found = np.sqrt(np.mean(columns**2, axis=0))
    return np.where(found > 0.0, found, 1.0)


def expected(data: GlmmData, eta: Array) -> tuple[Array, Array]:
    """Means (n,) and variances (n,) of outcomes at linear predictors (n,)."""
    if data.outcome.distribution == "poisson":
        mean = np.exp(eta)
        return mean, mean
    share = 1.0 / (1.0 + np.exp(-eta))
    return data.trials * share, data.trials * share * (1.0 - share)


def pooled_means(data: GlmmData) -> Array:
    """Parameters (n,) whose means maximise the likelihood without random effects, by iterated weighted least squares.

    Returns
    -------
    (n,) ndarray
        Others than free means are zero, or what they are fixed at. Columns that are combinations of others get the
        least-squares solution of least norm. Where outcomes are separated, so that a mean has no maximum, the linear
        predictor stays within `FARTHEST`.
    """
    parameters, y = data.parameters, data.response
    x = np.where(parameters.fixed, parameters.fixed_values, 0.0)
    free = ~parameters.fixed[data.mean_index]
    if not free.any():
        return x
    size = sizes(data.mean_design[:, free])
    columns = data.mean_design[:, free] / size
    base = data.predictor(x)
    is_count = data.outcome.distribution == "poisson"
    share = y + 0.5 if is_count else (y + 0.5) / (data.trials + 1.0)
    eta = np.log(share) if is_count else np.log(share / (1.0 - share))
    beta, before = np.zeros(columns.shape[1]), -np.inf
    for _ in range(ROUNDS):
        mean, weight = expected(data, eta)
        weight = np.maximum(weight, 1e-10)
        root = np.sqrt(weight)
        working = eta - base + (y - mean) / weight
        beta = np.linalg.lstsq(root[:, None] * columns, root * working, rcond=1e-10)[0]
        eta = base + np.clip(columns @ beta, -FARTHEST, FARTHEST)
        spread = np.exp(eta) if is_count else np.logaddexp(0.0, eta) * data.trials
        value = float(np.sum(y * eta - spread))
        if abs(value - before) <= SETTLED * (1.0 + abs(value)):
            break
        before = value
    farthest = np.max(np.abs(columns @ beta))
    x[data.mean_index[free]] = beta / size * min(1.0, FARTHEST / max(farthest, FARTHEST))
    return x
