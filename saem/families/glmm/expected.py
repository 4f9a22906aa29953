"""What the design of a generalised linear mixed model determines: an information matrix whose rank tells.

It is the expected information of the working linear model (Breslow & Clayton 1993, section 2.2): rows with the working
variances ``1 / w`` of their outcomes, known, at the linear predictor without random effects. With ``A = Z'WZ`` of a
cluster and ``K = (I + A Omega)^-1 A``,

    means   X'WX - X'WZ (I + Omega A)^-1 Omega Z'WX,        variances   1/2 tr(K dOmega_i K dOmega_j).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saem.families.glmm.data import GlmmData
from saem.families.glmm.start import expected

Floats = NDArray[np.float64]
LARGEST = 30.0  # of a linear predictor: beyond, weights are no numbers to work with


def unit_information(data: GlmmData, x: Floats) -> Floats:
    """The information (n, n) on all parameters (n,)."""
    n, q = len(x), data.random_design.shape[1]
    order = np.argsort(data.cluster, kind="stable")
    first = np.flatnonzero(np.diff(data.cluster[order], prepend=-1))
    weight = expected(data, np.clip(data.predictor(x), -LARGEST, LARGEST))[1][order, None]
    design, random = np.zeros((len(order), n)), data.random_design[order]
    design[:, data.mean_index] = data.mean_design[order]
    found: Floats = design.T @ (weight * design)
    zx = np.add.reduceat(random[:, :, None] * (weight * design)[:, None, :], first)
    zz = np.add.reduceat(random[:, :, None] * (weight * random)[:, None, :], first)
    for g, omega in enumerate(data.effect_covariance(x)):
        own, slopes = data.cluster_group == g, covariance_slopes(data, x, g)
        left = np.linalg.solve(np.eye(q) + omega @ zz[own], np.broadcast_to(omega, (int(own.sum()), q, q)))
        found = found - np.einsum("cji,cjk,ckl->il", zx[own], left, zx[own])
        k = np.linalg.solve(np.eye(q) + zz[own] @ omega, zz[own])
        moved = np.einsum("cij,pjk->cpik", k, slopes)
        found = found + 0.5 * np.einsum("cpij,crji->pr", moved, moved)
    return found


def covariance_slopes(data: GlmmData, x: Floats, group: int) -> Floats:
    """Derivatives (n, q, q) of the covariance of a group's random effects by the parameters."""
    sd, corr = data.sd_index[group], data.corr_index[group]
    q = len(sd)
    correlation = np.where(corr >= 0, x[corr], 0.0) + np.eye(q)
    sizes = np.where(sd >= 0, x[sd], 0.0)  # no index: an effect that the group lacks
    slopes = np.zeros((len(x), q, q))
    for j in range(q):
        if sd[j] < 0:
            continue
        slopes[sd[j], j, :] += sizes * correlation[j]
        slopes[sd[j], :, j] += sizes * correlation[j]
        for k in range(j):
            if corr[j, k] >= 0:
                slopes[corr[j, k], j, k] += sizes[j] * sizes[k]
                slopes[corr[j, k], k, j] += sizes[j] * sizes[k]
    return slopes
