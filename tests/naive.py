"""Slow twins of the kernels, written from the formulas with dense matrices.

Nothing here is shared with `saem`. A `Dense` model is a linear mixed model written out row by row,

    y = X beta + Z theta_c + eps,   theta_c ~ N(0, Omega_g),   eps ~ N(0, sigma_h^2),   V_c = Z Omega Z' + R,

and every function takes the vector ``x`` of its named parameters. All of them accept complex ``x``, so that
`gradient` is exact to rounding (the complex step), and `hessian` to about ten digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray
LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, eq=False)
class Dense:
    """A linear mixed model: n rows, p means, q terms, C clusters, G variance groups, H residual groups."""

    response: Array  # (n,)
    mean_design: Array  # (n, p)
    random_design: Array  # (n, q)
    cluster: Array  # (n,) int
    group: Array  # (C,) int, variance group of each cluster
    residual: Array  # (n,) int, residual group of each row
    means: tuple[str, ...]  # (p,)
    sds: tuple[tuple[str, ...], ...]  # (G, q)
    residual_sds: tuple[str, ...]  # (H,)
    names: tuple[str, ...]  # of all parameters, in the order of x
    correlations: dict[tuple[int, int, int], str] = field(default_factory=dict)  # (group, term, term) -> name
    weights: Array | float = 1.0  # (n,) prior weights

    def at(self, names: Any) -> Array:
        """Positions of parameters in ``x``."""
        return np.array([self.names.index(name) for name in names], dtype=int)

    def with_names(self, names: tuple[str, ...]) -> Dense:
        """The same model with its parameters in another order."""
        return replace(self, names=tuple(names))

    @cached_property
    def mean_at(self) -> Array:
        return self.at(self.means)

    @cached_property
    def residual_at(self) -> Array:
        return self.at(self.residual_sds)

    @cached_property
    def by_size(self) -> list[tuple[Array, Array]]:
        """Clusters (k,) and their rows (k, size), for each size of a cluster."""
        rows = [np.flatnonzero(self.cluster == c) for c in range(len(self.group))]
        sizes = np.array([len(r) for r in rows])
        return [
            (np.flatnonzero(sizes == size), np.array([rows[c] for c in np.flatnonzero(sizes == size)]))
            for size in np.unique(sizes)
        ]


def random_covariance(model: Dense, x: Array) -> Array:
    """Omega (G, q, q)."""
    sd = np.array([x[model.at(names)] for names in model.sds])
    correlation = np.zeros((*sd.shape, sd.shape[1]), dtype=x.dtype) + np.eye(sd.shape[1])
    for (g, j, k), name in model.correlations.items():
        correlation[g, j, k] = correlation[g, k, j] = x[model.names.index(name)]
    return sd[:, :, None] * sd[:, None, :] * correlation


def deviations(model: Dense, x: Array) -> Array:
    """Responses less their means (n,)."""
    return model.response - model.mean_design @ x[model.mean_at]


def row_variances(model: Dense, x: Array) -> Array:
    """Residual variance of each row (n,)."""
    return x[model.residual_at][model.residual] ** 2 / model.weights


def marginal_blocks(model: Dense, x: Array) -> list[tuple[Array, Array, Array]]:
    """Clusters (k,), their rows (k, m) and their covariance matrices V (k, m, m), by size of the clusters."""
    omega, variance = random_covariance(model, x), row_variances(model, x)
    out = []
    for clusters, rows in model.by_size:
        z = model.random_design[rows]
        v = z @ omega[model.group[clusters]] @ z.transpose(0, 2, 1)
        v = v + variance[rows][:, :, None] * np.eye(rows.shape[1])
        out.append((clusters, rows, v))
    return out


def marginal(model: Dense, x: Array) -> Any:
    """Marginal log-likelihood."""
    r = deviations(model, x)
    total = 0.0
    for _, rows, v in marginal_blocks(model, x):
        weighted = np.linalg.solve(v, r[rows][:, :, None])[:, :, 0]
        total = total - 0.5 * (rows.size * LOG_2PI + np.sum(np.log(np.linalg.det(v))) + np.sum(r[rows] * weighted))
    return total


def restricted(model: Dense, x: Array, columns: Array | None = None) -> Any:
    """Restricted log-likelihood at given means; maximised over the means it is Patterson & Thompson's.

    ``columns`` of the mean design are those of the estimated means: all of them, if omitted.
    """
    columns = np.arange(len(model.means)) if columns is None else columns
    p = len(columns)
    information = np.zeros((p, p))
    for _, rows, v in marginal_blocks(model, x):
        design = model.mean_design[rows][:, :, columns]
        information = information + np.einsum("cra,crb->ab", design, np.linalg.solve(v, design))
    return marginal(model, x) - 0.5 * np.log(np.linalg.det(information)) + 0.5 * p * LOG_2PI


def complete_data(model: Dense, x: Array, theta: Array) -> Any:
    """Log-density of the responses and the random effects ``theta`` (C, q) together."""
    q = theta.shape[1]
    r = deviations(model, x) - np.sum(model.random_design * theta[model.cluster], axis=1)
    variance = row_variances(model, x)
    total = -0.5 * np.sum(LOG_2PI + np.log(variance) + r**2 / variance)
    for effects, omega in zip(theta, random_covariance(model, x)[model.group], strict=True):
        total = total - 0.5 * (q * LOG_2PI + np.log(np.linalg.det(omega)) + effects @ np.linalg.solve(omega, effects))
    return total


def conditional(model: Dense, x: Array) -> tuple[Array, Array]:
    """Mean (C, q) and variance (C, q, q) of the random effects given the responses, from the joint normal law."""
    r, omega = deviations(model, x), random_covariance(model, x)[model.group]
    mean = np.empty((len(model.group), omega.shape[1]))
    variance = np.empty_like(omega)
    for clusters, rows, v in marginal_blocks(model, x):
        cross = omega[clusters] @ model.random_design[rows].transpose(0, 2, 1)  # Cov(theta, y)
        mean[clusters] = np.einsum("cqr,cr->cq", cross, np.linalg.solve(v, r[rows][:, :, None])[:, :, 0])
        variance[clusters] = omega[clusters] - cross @ np.linalg.solve(v, cross.transpose(0, 2, 1))
    return mean, variance


def draw_effects(model: Dense, x: Array, rng: np.random.Generator) -> Array:
    """One draw (C, q) of the random effects given the responses."""
    mean, variance = conditional(model, x)
    return np.array([rng.multivariate_normal(m, v, method="eigh") for m, v in zip(mean, variance, strict=True)])


def statistics(model: Dense, theta: Array, reference: Array) -> Array:
    """The complete-data statistics of uncentred random effects, with responses centred by ``X reference``.

    ``X'(y - Z theta)`` by residual group, then ``|y - Z theta|^2`` by residual group, then ``sum theta theta'`` by
    variance group, then zeros, where centred effects have ``sum phi_j W_k.``. Every row counts by its weight.
    """
    r = model.response - model.mean_design @ reference - np.sum(model.random_design * theta[model.cluster], axis=1)
    weighted = r * model.weights
    groups = [model.residual == h for h in range(len(model.residual_sds))]
    first = [model.mean_design[rows].T @ weighted[rows] for rows in groups]
    second = [np.array([r[rows] @ weighted[rows]]) for rows in groups]
    third = [theta[model.group == g].T @ theta[model.group == g] for g in range(len(model.sds))]
    located = np.zeros(len(model.sds) * theta.shape[1] ** 2 * len(model.means))
    return np.concatenate([*first, *second, *(matrix.ravel() for matrix in third), located])


def expected_statistics(model: Dense, x: Array, reference: Array) -> Array:
    """``E[S | y]``: the statistics at the conditional mean, and what the conditional variance adds."""
    mean, variance = conditional(model, x)
    expected = statistics(model, mean, reference)
    h_count, q = len(model.residual_sds), mean.shape[1]
    spread = np.einsum("rj,rjk,rk->r", model.random_design, variance[model.cluster], model.random_design)
    spread = spread * model.weights
    start = h_count * len(model.means)
    expected[start : start + h_count] += np.bincount(model.residual, weights=spread, minlength=h_count)
    moments = [variance[model.group == g].sum(axis=0).ravel() for g in range(len(model.sds))]
    expected[start + h_count : start + h_count + len(model.sds) * q * q] += np.concatenate(moments)
    return expected


def statistics_covariance(model: Dense, x: Array, reference: Array) -> Array:
    """``Var[S | y]``, exactly: the statistics are quadratic forms of normal variables.

    For ``S_i = b_i'theta + theta'A_i theta`` with ``theta ~ N(t, G)``,
    ``Cov(S_i, S_j) = (b_i + 2 A_i t)'G (b_j + 2 A_j t) + 2 tr(A_i G A_j G)``.
    """
    mean, variance = conditional(model, x)
    h_count, p, q = len(model.residual_sds), len(model.means), mean.shape[1]
    size = h_count * (p + 1) + len(model.sds) * q * q * (1 + p)
    r = (model.response - model.mean_design @ reference) * model.weights
    total = np.zeros((size, size))
    weights = np.broadcast_to(model.weights, r.shape)
    for c, g in enumerate(model.group):
        linear, quadratic = np.zeros((size, q)), np.zeros((size, q, q))
        for h in range(h_count):
            rows = (model.cluster == c) & (model.residual == h)
            z = model.random_design[rows]
            weighted = weights[rows, None] * z
            linear[h * p : (h + 1) * p] = -model.mean_design[rows].T @ weighted
            linear[h_count * p + h] = -2.0 * r[rows] @ z
            quadratic[h_count * p + h] = z.T @ weighted
        for j in range(q):
            for k in range(q):
                at = h_count * (p + 1) + (g * q + j) * q + k
                quadratic[at, j, k] += 0.5
                quadratic[at, k, j] += 0.5
        slope = linear + 2.0 * quadratic @ mean[c]
        product = quadratic @ variance[c]
        total += slope @ variance[c] @ slope.T + 2.0 * np.einsum("iab,jba->ij", product, product)
    return total


def profiled_deviance(model: Dense, x: Array) -> float:
    """lme4's deviance of the relative covariance factor that belongs to ``x`` (Bates et al. 2015, eq. 34 and 36).

    ``log|L|^2 + n (1 + log(2 pi r^2 / n))`` with ``L L' = Lambda'Z'Z Lambda + I`` and ``r^2`` the penalised residual
    sum of squares, for one residual SD. It is -2 times the log-likelihood, maximised over means and residual SD.
    """
    sigma = float(x[model.residual_at[0]])
    n, q, n_clusters = len(model.response), model.random_design.shape[1], len(model.group)
    z = np.zeros((n, n_clusters * q))
    factor = np.zeros((n_clusters * q, n_clusters * q))
    for c in range(n_clusters):
        rows, block = model.cluster == c, slice(c * q, (c + 1) * q)
        z[rows, block] = model.random_design[rows]
        values, vectors = np.linalg.eigh(random_covariance(model, x)[model.group[c]] / sigma**2)
        factor[block, block] = vectors * np.sqrt(np.maximum(values, 0.0))
    z = z @ factor
    augmented = np.block([[z, model.mean_design], [np.eye(z.shape[1]), np.zeros((z.shape[1], len(model.means)))]])
    target = np.concatenate([model.response, np.zeros(z.shape[1])])
    penalised = target - augmented @ np.linalg.lstsq(augmented, target, rcond=None)[0]
    determinant = np.linalg.slogdet(z.T @ z + np.eye(z.shape[1]))[1]
    return float(determinant + n * (1.0 + np.log(2.0 * np.pi * penalised @ penalised / n)))


def gradient(function: Callable[[Array], Any], x: Array, step: float = 1e-30) -> Array:
    """Gradient by the complex step: no difference is taken, so it is exact to rounding."""
    out = np.empty(len(x))
    for i in range(len(x)):
        point = x.astype(complex)
        point[i] += 1j * step
        out[i] = np.imag(function(point)) / step
    return out


def hessian(function: Callable[[Array], Any], x: Array, step: float = 1e-3) -> Array:
    """Hessian by central differences of `gradient`, extrapolated (Richardson) from two steps."""

    def at(h: float) -> Array:
        return np.array(
            [(gradient(function, x + e) - gradient(function, x - e)) / (2.0 * h) for e in h * np.eye(len(x))]
        )

    out = (4.0 * at(0.5 * step) - at(step)) / 3.0
    return 0.5 * (out + out.T)
