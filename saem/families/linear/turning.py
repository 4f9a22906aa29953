"""Standard deviations and correlations of linear combinations of random effects, with their derivatives."""

from __future__ import annotations

import numpy as np

Array = np.ndarray

INSIDE = np.nextafter(1.0, 0.0)  # the largest correlation below one


def covariance_of(x: Array, sd: Array, corr: Array) -> Array:
    """Covariance matrices (.., q, q) of parameters (.., n)."""
    x = np.asarray(x, dtype=float)
    correlation = np.where(corr >= 0, x[..., corr], 0.0) + np.eye(len(sd))
    return np.asarray(x[..., sd, None] * x[..., None, sd] * correlation)


def turned(x: Array, sd: Array, corr: Array, loading: Array) -> Array:
    """Covariance matrices (.., q, q) of other random effects, ``loading`` (q, q) times those of parameters (.., n)."""
    return np.asarray(loading @ covariance_of(x, sd, corr) @ loading.T)


def is_singular(x: Array, sd: Array, corr: Array) -> Array:
    """Whether two random effects are one, exactly, at parameters (.., n)."""
    x = np.asarray(x, dtype=float)
    if len(sd) != 2:
        return np.zeros(x.shape[:-1], dtype=bool)
    return np.asarray(np.any(x[..., sd] == 0.0, axis=-1) | (np.abs(x[..., corr[0, 1]]) == 1.0))


def put_covariance(x: Array, sd: Array, corr: Array, omega: Array, singular: Array) -> None:
    """Write standard deviations and correlations of matrices (.., q, q) into parameters (.., n)."""
    size = np.sqrt(np.maximum(np.diagonal(omega, axis1=-2, axis2=-1), 0.0))
    x[..., sd] = size
    for j in range(len(sd)):
        for k in range(j):
            both = size[..., j] * size[..., k]
            value = np.divide(omega[..., j, k], both, out=np.zeros_like(both), where=both > 0.0)
            end = np.where(singular & (both > 0.0), 1.0, INSIDE)
            x[..., corr[j, k]] = np.where(singular & (both > 0.0), np.sign(value), np.clip(value, -end, end))


def put_slopes(jacobian: Array, x: Array, sd: Array, corr: Array, loading: Array) -> None:
    """Write the derivatives of the user's standard deviations and correlations of a block by the inner ones."""
    q, omega = len(sd), turned(x, sd, corr, loading)
    size = np.sqrt(np.maximum(np.diag(omega), 0.0))
    inverse = np.divide(1.0, size, out=np.zeros(q), where=size > 0.0)
    inner = np.where(corr >= 0, x[corr], 0.0) + np.eye(q)
    moves = []
    for j in range(q):
        change = np.zeros((q, q))
        change[j] += x[sd] * inner[j]
        change[:, j] += x[sd] * inner[j]
        moves.append((int(sd[j]), change))
        for k in range(j):
            change = np.zeros((q, q))
            change[j, k] = change[k, j] = x[sd[j]] * x[sd[k]]
            moves.append((int(corr[j, k]), change))
    if q == 2 and np.all(x[sd] > 0.0) and abs(omega[0, 1]) > 0.5 * size[0] * size[1]:
        put_slopes_of_two(jacobian, x, sd, corr, loading)
        return
    for i, change in moves:
        slope = loading @ change @ loading.T
        relative = 0.5 * np.diag(slope) * inverse**2  # of the logarithms of the standard deviations
        jacobian[sd, i] = relative * size
        for j in range(q):
            for k in range(j):
                rho = omega[j, k] * inverse[j] * inverse[k]
                jacobian[corr[j, k], i] = slope[j, k] * inverse[j] * inverse[k] - rho * (relative[j] + relative[k])


def put_slopes_of_two(jacobian: Array, x: Array, sd: Array, corr: Array, loading: Array) -> None:
    """`put_slopes` for two effects whose correlation is near one or minus one, where differences would lose all digits.

    From ``1 - rho^2 = |L|^2 |Omega| / (s_1 s_2)^2``, whose logarithm has an exact derivative.
    """
    tie, (one, two), r = int(corr[0, 1]), x[sd], float(x[corr[0, 1]])
    omega = turned(x, sd, corr, loading)
    size = np.sqrt(np.diag(omega))
    rho = omega[0, 1] / (size[0] * size[1])
    share = float(np.linalg.det(loading) * one * two / (size[0] * size[1])) ** 2
    left = share * (1.0 - r * r)  # 1 - rho^2
    for k, i in enumerate((int(sd[0]), int(sd[1]), tie)):
        if i == tie:
            slope = loading[:, 0] * loading[:, 1] * one * two  # of half a variance
            of_determinant = -2.0 * r * share  # times ``left``, which is zero at the end of the range
        else:
            slope = loading[:, k] * (loading[:, k] * x[i] + loading[:, 1 - k] * r * x[sd[1 - k]])
            of_determinant = 2.0 / x[i] * left
        relative = slope / size**2
        jacobian[sd, i] = relative * size
        jacobian[tie, i] = -(of_determinant - 2.0 * left * relative.sum()) / (2.0 * rho)
