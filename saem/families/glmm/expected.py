"""What the design of a generalised linear mixed model determines: an information matrix whose rank tells.

It is the expected information of the working linear model (Breslow & Clayton 1993, section 2.2): rows with the working
variances ``1 / w`` of their outcomes, known, at the linear predictor without random effects. With ``A = Z'WZ`` of a
cluster and ``K = (I + A Omega)^-1 A``,

    means   X'WX - X'WZ (I + Omega A)^-1 Omega Z'WX,        variances   1/2 tr(K dOmega_i K dOmega_j).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.families.glmm.arrays import BINOMIAL, GlmmArrays
from saem.families.glmm.means import mean_of, variance_of

Floats = NDArray[np.float64]
LARGEST = 30.0  # of a linear predictor: beyond, weights are no numbers to work with


def unit_information(arrays: GlmmArrays, x: Floats) -> Floats:
    """The information (n, n) on all parameters (n,)."""
    n, q = len(x), arrays.random.shape[1]
    eta = np.clip(arrays.offset + arrays.design @ x[arrays.mean_index], -LARGEST, LARGEST)
    distribution = "binomial" if arrays.outcome == BINOMIAL else "poisson"
    weight = variance_of(distribution, mean_of(distribution, eta), arrays.trials)
    design = np.zeros((len(eta), n))  # by parameter: a name may stand for several columns
    np.add.at(design.T, arrays.mean_index, arrays.design.T)
    first = arrays.first[:-1]
    xx = design.T @ (weight[:, None] * design)
    zx = np.add.reduceat(arrays.random[:, :, None] * (weight[:, None] * design)[:, None, :], first)
    zz = np.add.reduceat(arrays.random[:, :, None] * (weight[:, None] * arrays.random)[:, None, :], first)
    found: Floats = xx
    for g in range(len(arrays.sd_index)):
        own = arrays.group == g
        omega, slopes = covariance_slopes(arrays, x, g, n)
        left = np.linalg.solve(np.eye(q) + omega @ zz[own], np.broadcast_to(omega, (int(own.sum()), q, q)))
        found = found - np.einsum("cji,cjk,ckl->il", zx[own], left, zx[own])
        k = np.linalg.solve(np.eye(q) + zz[own] @ omega, zz[own])
        moved = np.einsum("cij,pjk->cpik", k, slopes)
        found = found + 0.5 * np.einsum("cpij,crji->pr", moved, moved)
    return found


def covariance_slopes(arrays: GlmmArrays, x: Floats, group: int, n: int) -> tuple[Floats, Floats]:
    """The covariance (q, q) of a group's random effects, and its derivatives (n, q, q) by the parameters."""
    sd, corr = arrays.sd_index[group], arrays.corr_index[group]
    q = len(sd)
    correlation = np.where(corr >= 0, x[corr], 0.0) + np.eye(q)
    slopes = np.zeros((n, q, q))
    for j in range(q):
        slopes[sd[j], j, :] += x[sd] * correlation[j]
        slopes[sd[j], :, j] += x[sd] * correlation[j]
        for k in range(j):
            if corr[j, k] >= 0:
                slopes[corr[j, k], j, k] += x[sd[j]] * x[sd[k]]
                slopes[corr[j, k], k, j] += x[sd[j]] * x[sd[k]]
    return x[sd][:, None] * x[sd] * correlation, slopes
