"""The statistics of the expanded model have their exact conditional mean and covariance; see `test_draws`."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import drawn, expected
from linear_family import Dense, dense, examples
from selecting import few
from test_draws import Quadratic, check_moments

NAMES = ["unbalanced", "two residual groups", "correlated slopes", "slopes by arm and device", "independent slopes"]


def expanded_statistics(d: Dense) -> Quadratic:
    """``X'y`` and ``X'X`` by residual group, with columns ``T theta`` behind those of the means; ``sum theta theta'``.

    ``T`` takes the k-th random effect of each cluster of a group times the j-th column of the random design.
    """
    data = d.example.data
    work = d.example.problem.latent.expand().problem.arrays.work_column
    n, size = d.z.shape
    p, q = data.mean_design.shape[1], data.random_design.shape[1]
    constant = np.zeros((p + len(np.unique(work[work >= 0])), n))
    constant[:p] = data.mean_design.T
    columns = np.zeros((len(constant), n, size))
    for row, cluster in enumerate(data.cluster):
        for j in range(q):
            for k in range(q):
                column = work[data.cluster_group[cluster], j, k]
                if column >= 0:
                    columns[column, row, cluster * q + k] += data.random_design[row, j]
    a, b, c = [], [], []
    for h in range(len(data.residual_index)):
        rows = data.residual_group == h
        x, t = constant[:, rows], columns[:, rows]
        a += list(x @ d.y[rows])
        b += list(np.einsum("r,crd->cd", d.y[rows], t))
        c += [np.zeros((size, size))] * len(x)
        for i in range(len(x)):
            for j in range(len(x)):
                a.append(x[i] @ x[j])
                b.append(x[i] @ t[j] + x[j] @ t[i])
                product = t[i].T @ t[j]
                c.append((product + product.T) / 2)
    for g in range(len(data.group_levels)):
        for j in range(q):
            for k in range(q):
                pick = np.zeros((size, size))
                for cluster in np.flatnonzero(data.cluster_group == g):
                    pick[cluster * q + j, cluster * q + k] = 1.0
                a.append(0.0)
                b.append(np.zeros(size))
                c.append((pick + pick.T) / 2)
    return Quadratic(np.array(a), np.array(b), np.array(c))


@pytest.mark.parametrize("name", few(NAMES, [name for name in NAMES if name != "slopes by arm and device"]))
def test_statistics_have_their_exact_mean_and_covariance(name):
    """Up to 2000 products at |z| < 5: false alarms below 2e-3 for each example. Mutant: a variance that is 10 % off."""
    example = examples()[name]
    d = dense(example, example.x)
    expansion = example.problem.latent.expand()
    x = expansion.extended(example.x)
    mean, covariance = expanded_statistics(d).moments(d.mean, d.covariance)
    np.testing.assert_allclose(expected(expansion.problem, x), mean, rtol=1e-9, atol=1e-9 * np.abs(mean).max())
    sample = drawn(expansion.problem, x, 20_000, seed=21)
    check_moments(sample, mean, covariance)
    with pytest.raises(AssertionError, match="is off"):
        check_moments(sample, mean, 1.1 * covariance)
