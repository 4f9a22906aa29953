"""The E-step of the linear family by a Markov kernel: random-walk Metropolis for every cluster.

The exact draws of `draws` are better in every respect. The kernel is here to study what a Markov kernel does to an
algorithm on problems whose maximum is known, as families without exact draws need one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from saem.families import contract
from saem.families.contract import supply
from saem.families.linear.arrays import LinearArrays
from saem.families.linear.clusters import ClusterArrays, build_clusters
from saem.families.linear.data import LinearData
from saem.families.linear.moments import fill_shift
from saem.families.linear.observed import conditional_matrices, read_precisions
from saem.families.normal_covariance import fill_covariance, read_group
from saem.system.jit import kernel
from saem.system.linalg import cholesky_semidefinite

Array = np.ndarray
STEP = 2.4  # conditional standard deviations, over the root of the dimension (Gelman, Roberts & Gilks 1996)


class MetropolisArrays(NamedTuple):
    """The data cluster by cluster, and the state of the chain."""

    clusters: ClusterArrays
    latent: np.ndarray  # (C, q) random effects
    acceptance: np.ndarray  # (2,) moves that were accepted, and proposed


def build_metropolis(data: LinearData, arrays: LinearArrays) -> MetropolisArrays:
    """Arrays whose chain begins at random effects of zero."""
    clusters = build_clusters(data, arrays)
    return MetropolisArrays(clusters, np.zeros((len(clusters.pattern), arrays.sd_index.shape[1])), np.zeros(2))


@kernel
def log_ratio(theta: Array, other: Array, mean: Array, root: Array) -> float:
    """Log-density at ``other`` less that at ``theta`` of the normal law with variance ``root root'``."""
    q = theta.shape[0]
    here, there = np.empty(q), np.empty(q)
    value = 0.0
    for j in range(q):
        here[j], there[j] = theta[j] - mean[j], other[j] - mean[j]
        for k in range(j):
            here[j] -= root[j, k] * here[k]
            there[j] -= root[j, k] * there[k]
        if root[j, j] > 0.0:
            here[j] /= root[j, j]
            there[j] /= root[j, j]
            value += 0.5 * (here[j] * here[j] - there[j] * there[j])
        else:
            here[j], there[j] = 0.0, 0.0
    return value


@kernel
def sweep_and_sum(arrays: MetropolisArrays, x: Array, rng: np.random.Generator, m: int, statistics: Array) -> None:
    """``m`` sweeps over all clusters; writes the mean of the statistics over them."""
    data, latent = arrays.clusters, arrays.latent
    q = data.sd_index.shape[1]
    p = data.mean_index.shape[0]
    residual_groups = data.residual_index.shape[0]
    start = residual_groups * (p + 1)
    statistics[:] = 0.0
    if m == 0:
        statistics[:] = math.nan
        return
    sd, mean, score = np.empty(q), np.empty(q), np.empty(q)
    other, normal, theta = np.empty(q), np.empty(q), np.empty(q)
    rho, omega, total = np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    information, u, work = np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    variance, root = np.empty((q, q)), np.empty((q, q))
    shift = np.empty((residual_groups, q))
    precision = np.empty(residual_groups)
    read_precisions(data.residual_index, x, precision)
    step = STEP / math.sqrt(q)
    last, group = -1, -1
    for cluster in range(latent.shape[0]):
        pattern = data.pattern[cluster]
        if pattern != last:
            last = pattern
            group = data.pattern_group[pattern]
            read_group(data.sd_index[group], data.corr_index[group], x, sd, rho)
            fill_covariance(sd, rho, omega)
            conditional_matrices(data.zz[pattern], precision, omega, information, u, variance, work)
            cholesky_semidefinite(variance, root, q)
            fill_shift(data.mean_index, data.beta_reference, data.zx[pattern], x, shift)
        for j in range(q):
            score[j] = 0.0
            for h in range(residual_groups):
                score[j] += precision[h] * (data.own[cluster, start + h * q + j] - shift[h, j])
        for j in range(q):
            mean[j] = 0.0
            for k in range(q):
                mean[j] += variance[j, k] * score[k]
            theta[j] = 0.0
            for k in range(q):
                total[j, k] = 0.0
        for _ in range(m):
            for j in range(q):
                normal[j] = step * rng.standard_normal()
            for j in range(q):
                move = 0.0
                for k in range(j + 1):
                    move += root[j, k] * normal[k]
                other[j] = latent[cluster, j] + move
            arrays.acceptance[1] += 1.0
            if math.log(rng.random()) < log_ratio(latent[cluster], other, mean, root):
                arrays.acceptance[0] += 1.0
                for j in range(q):
                    latent[cluster, j] = other[j]
            for j in range(q):
                effect = latent[cluster, j] if sd[j] > 0.0 else 0.0
                theta[j] += effect / m
                for k in range(j + 1):
                    total[j, k] += effect * (latent[cluster, k] if sd[k] > 0.0 else 0.0) / m
        for j in range(q):
            for k in range(j):
                total[k, j] = total[j, k]
        for h in range(residual_groups):
            for c in range(p):
                value = data.own[cluster, h * p + c]
                for j in range(q):
                    value -= data.zx[pattern, h, j, c] * theta[j]
                statistics[h * p + c] += value
            at = residual_groups * p + h
            value = data.own[cluster, at]
            for j in range(q):
                value -= 2.0 * theta[j] * data.own[cluster, start + h * q + j]
                for k in range(q):
                    value += data.zz[pattern, h, j, k] * total[j, k]
            statistics[at] += value
        for j in range(q):
            for k in range(q):
                statistics[start + (group * q + j) * q + k] += total[j, k]


supply(contract.draw, MetropolisArrays, sweep_and_sum)
