"""A referee of M-steps on peptide data, which shares no code with `saem`: moments by hand, constraints solved by hand.

With complete data (y, theta) the expected log-likelihood given y at some parameters is, over the 2 x 2 cells k of
treatment and modification, with the residual moments of y - theta, and over the arms i,

    Q = -sum_k (S2_k - 2 m_k S1_k + n_k m_k^2) / (2 sigma^2) - N log sigma
        - sum_i (T_i / (2 sigma_i^2) + n_i log sigma_i) - (N + sum_i n_i) / 2 log 2 pi

with the cell means m_k. The tied parameters are put in place as functions of the others, SDs are varied as logarithms,
and first derivatives are exact, by complex steps (Squire & Trapp 1998, Using complex variables to estimate derivatives
of real functions, SIAM Review 40, 110-112).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from saem.errors import FitError

from .peptide import MODIFICATIONS, TREATMENTS

Array = np.ndarray
Values = Mapping[str, Any]  # numbers or arrays by parameter

SDS = ("sigma1", "sigma2", "sigma")
STEP = 1e-30  # of a complex derivative: there is no difference in it that could cancel
APART = 1e-6  # of a difference of first derivatives
STARTS = 8
NEWTON = 20  # steps at most to make the maximum exact
STATIONARY = 1e-8  # slope at a maximum, in standard errors


@dataclass(frozen=True, eq=False)
class Moments:
    """What Q depends on.

    Attributes
    ----------
    n, s1, s2 : (4,) ndarray
        Rows, and the expected sums of y - theta and of its square, of control unmodified and modified, then treated.
    clusters, t : (2,) ndarray
        Clusters, and the expected sums of theta^2, of control and treated.
    """

    n: Array
    s1: Array
    s2: Array
    clusters: Array
    t: Array


def expected(table: pd.DataFrame, x: Values) -> Moments:
    """The moments given the data at parameters: theta is normal given the rows of its cluster."""
    means = cell_means(x)
    arm = (table["treatment"] == TREATMENTS[1]).to_numpy(int)
    cell = 2 * arm + (table["modification"] == MODIFICATIONS[1]).to_numpy(int)
    y = table["log2_intensity"].to_numpy()
    cluster = table.groupby(["treatment", "replicate"]).ngroup().to_numpy()
    rows = np.bincount(cluster)
    own = np.zeros(len(rows), dtype=int)
    own[cluster] = arm
    precision = x["sigma"] ** -2
    variance = 1.0 / (np.array([x["sigma1"], x["sigma2"]])[own] ** -2 + rows * precision)
    mean = variance * precision * np.bincount(cluster, y - means[cell])
    left = y - mean[cluster]
    return Moments(
        n=np.bincount(cell, minlength=4),
        s1=np.bincount(cell, left, 4),
        s2=np.bincount(cell, left**2 + variance[cluster], 4),
        clusters=np.bincount(own, minlength=2),
        t=np.bincount(own, mean**2 + variance, 2),
    )


def cell_means(x: Values) -> Array:
    """Means (4, ...) of the cells in the order of `Moments`."""
    control, treated = x["mu"], x["mu"] + x["c2"]
    return np.array([control, control + x["alpha2"], treated + x["b21"], treated + x["alpha2"] + x["b22"]])


def objective(moments: Moments, x: Values) -> Any:
    """Q at parameters, which may be complex, and arrays."""
    total = -0.5 * math.log(2.0 * math.pi) * (moments.n.sum() + moments.clusters.sum())
    for n, s1, s2, mean in zip(moments.n, moments.s1, moments.s2, cell_means(x), strict=True):
        total = total - (s2 - 2.0 * mean * s1 + n * mean**2) / (2.0 * x["sigma"] ** 2) - n * np.log(x["sigma"])
    for n, t, sd in zip(moments.clusters, moments.t, (x["sigma1"], x["sigma2"]), strict=True):
        total = total - t / (2.0 * sd**2) - n * np.log(sd)
    return total


@dataclass(frozen=True, eq=False)
class Maximum:
    """The maximum of Q under constraints.

    Attributes
    ----------
    x, se : dict of str to float
        By parameter; standard errors if the moments were data.
    value : float
    """

    x: dict[str, float]
    se: dict[str, float]
    value: float


def maximum(moments: Moments, free: Sequence[str], solved: Callable[[Values], Values], near: Values) -> Maximum:
    """The maximum of Q, from several starts.

    Parameters
    ----------
    moments : Moments
    free : sequence of str
        The parameters that are varied.
    solved : callable
        The others, of these.
    near : mapping of str to float
        The first start; the others are scattered around it, not at random.

    Raises
    ------
    FitError
        When no start leads to a point with a slope below 1e-8 standard errors.
    """
    from scipy.optimize import minimize

    logs = np.array([name in SDS for name in free])

    def values(z: Array) -> dict[str, Any]:
        x = dict(zip(free, np.where(logs[:, None], np.exp(np.where(logs[:, None], z, 0.0)), z), strict=True))
        return x | dict(solved(x))

    def q(z: Array) -> float:
        with np.errstate(all="ignore"):
            value = float(objective(moments, values(z[:, None]))[0])
        return value if np.isfinite(value) else -1e100

    def slope(z: Array) -> Array:
        with np.errstate(all="ignore"):
            found = objective(moments, values(z[:, None] + 1j * STEP * np.eye(len(z)))).imag / STEP
        return np.asarray(np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0))

    def curvature(z: Array) -> Array:
        columns = [(slope(z + APART * e) - slope(z - APART * e)) / (2.0 * APART) for e in np.eye(len(z))]
        return np.asarray((np.array(columns) + np.array(columns).T) / 2.0)

    start = np.array([near[name] for name in free], dtype=float)
    start[logs] = np.log(start[logs])
    scattered = np.random.default_rng(0).normal(0.0, 0.5, (STARTS, len(start)))
    best: tuple[float, Array, Array] | None = None
    for z in [start, *(start + scattered)]:
        z = minimize(lambda z: -q(z), z, jac=lambda z: -slope(z), method="BFGS", options={"gtol": 1e-7}).x
        for _ in range(NEWTON):
            hessian = -curvature(z)
            if np.linalg.eigvalsh(hessian)[0] <= 0.0:
                break
            step = np.linalg.solve(hessian, slope(z))
            covariance = np.linalg.inv(hessian)
            if np.max(np.abs(step) / np.sqrt(np.diag(covariance))) < STATIONARY:
                if best is None or q(z) > best[0]:
                    best = q(z), z, covariance
                break
            z = z + step
    if best is None:
        raise FitError(f"none of {STARTS + 1} starts led the referee to a maximum of Q")
    value, z, covariance = best
    x = {name: float(np.ravel(v)[0]) for name, v in values(z[:, None]).items()}
    turned = values(z[:, None] + 1j * STEP * np.eye(len(z)))
    jacobian = {name: np.broadcast_to(np.imag(v), len(z)) / STEP for name, v in turned.items()}
    se = {name: math.sqrt(max(0.0, float(row @ covariance @ row))) for name, row in jacobian.items()}
    return Maximum(x, se, value)
