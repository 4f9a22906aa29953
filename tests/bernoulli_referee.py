"""The Bernoulli model with a random intercept, by adaptive Gauss-Hermite quadrature (Pinheiro & Bates 1995).

By NumPy alone. And what is known about Pólya-Gamma variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_ndtr, logsumexp

Array = np.ndarray
NODES, WEIGHTS = np.polynomial.hermite.hermgauss(60)


@dataclass(frozen=True, eq=False)
class Marginal:
    """The marginal likelihood of a table of n clusters of at most J rows, and what follows from it.

    Attributes
    ----------
    x, y : (n, J) ndarray
    there : (n, J) ndarray
        One for a row of the cluster, zero for a place that is left over.
    """

    x: Array
    y: Array
    there: Array

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Marginal:
        """From the columns ``cluster``, ``x`` and ``y``."""
        cluster, x, y = (np.asarray(table[name]) for name in ("cluster", "x", "y"))
        names, sizes = np.unique(cluster, return_counts=True)
        there = (np.arange(sizes.max()) < sizes[:, None]).astype(float)
        own = cls(np.zeros_like(there), np.zeros_like(there), there)
        for i, name in enumerate(names):
            own.x[i, : sizes[i]], own.y[i, : sizes[i]] = x[cluster == name], y[cluster == name]
        return own

    def predictor(self, point: Array, u: Array) -> Array:
        """``eta`` (n, K, J) at values of u (n, K)."""
        eta: Array = point[0] * self.x[:, None, :] + u[:, :, None]
        return eta

    def log_joint(self, point: Array, u: Array) -> Array:
        """``log p(y_i, u)`` (n, K) at values of u (n, K)."""
        eta = self.predictor(point, u)
        rows = self.there[:, None, :] * (self.y[:, None, :] * eta - np.logaddexp(0, eta))
        prior: Array = -0.5 * (u / point[1]) ** 2 - np.log(point[1] * np.sqrt(2 * np.pi))
        return rows.sum(axis=2) + prior

    def centre(self, point: Array) -> tuple[Array, Array]:
        """Modes of u given y (n, 1), and standard deviations (n, 1) from the curvature there."""
        u = np.zeros((len(self.x), 1))
        for _ in range(30):
            p = expit(point[0] * self.x + u)
            slope = np.sum(self.there * (self.y - p), axis=1, keepdims=True) - u / point[1] ** 2
            precision = np.sum(self.there * p * (1 - p), axis=1, keepdims=True) + 1 / point[1] ** 2
            u = u + np.clip(slope / precision, -1, 1)
        return u, 1 / np.sqrt(precision)

    def nodes(self, point: Array) -> tuple[Array, Array]:
        """Values of u (n, 60), and the logarithms (n, 60) of their parts of ``p(y_i)``."""
        mode, sd = self.centre(point)
        u = mode + np.sqrt(2) * sd * NODES
        return u, np.log(WEIGHTS) + NODES**2 + np.log(np.sqrt(2) * sd) + self.log_joint(point, u)

    def loglik(self, point: Array) -> float:
        """Marginal log-likelihood."""
        return float(np.sum(logsumexp(self.nodes(point)[1], axis=1)))

    def score(self, point: Array) -> Array:
        """Its gradient (2,), by differences: no identity of EM is used."""
        return differences(self.loglik, point)

    def information(self, point: Array) -> Array:
        """Observed information (2, 2), by differences."""
        return -differences(self.score, point)

    def maximum(self) -> Array:
        """The maximiser: by the simplex method, then Newton's."""
        found = minimize(lambda z: -self.loglik(np.array([z[0], np.exp(z[1])])), np.zeros(2), method="Nelder-Mead").x
        point = np.array([found[0], np.exp(found[1])])
        for _ in range(3):
            point = point + np.linalg.solve(self.information(point), self.score(point))
        return point

    def statistics(self, point: Array) -> Array:
        """``E[S | y]`` (3,) of ``bernoulli_family.py``; omega has the expectation ``tanh(eta / 2) / (2 eta)``."""
        u, parts = self.nodes(point)
        p = np.exp(parts - logsumexp(parts, axis=1, keepdims=True))
        omega = self.there[:, None, :] * polya_gamma_mean(self.predictor(point, u))
        slope = (
            np.sum(self.there * (self.y - 0.5) * self.x, axis=1, keepdims=True)
            - u * (omega @ self.x[..., None])[..., 0]
        )
        square = (omega @ self.x[..., None] ** 2)[..., 0]
        return np.array([np.sum(p * slope), np.sum(p * square), np.sum(p * u**2)])

    def complete_information(self, point: Array) -> Array:
        """Minus the expected Hessian (2, 2) of the complete-data log-likelihood."""
        s, sd = self.statistics(point), point[1]
        return np.diag([s[1], 3 * s[2] / sd**4 - len(self.x) / sd**2])

    def distributions(self, point: Array) -> list[Callable[[Array], Array]]:
        """Distribution functions (n) of u given y, by the trapezium rule."""
        mode, sd = self.centre(point)
        u = mode + sd * np.linspace(-12, 12, 2001)
        density = np.exp(self.log_joint(point, u) - self.log_joint(point, mode))
        below = np.cumsum(np.hstack([0 * mode, density[:, 1:] + density[:, :-1]]), axis=1)
        return [lambda v, at=a, of=b / b[-1]: np.interp(v, at, of) for a, b in zip(u, below, strict=True)]


def polya_gamma_mean(c: Array) -> Array:
    """``E PG(1, c)``."""
    c = np.maximum(np.abs(c), 1e-6)
    return np.tanh(c / 2) / (2 * c)


def differences(function: Callable[[Array], Any], point: Array, step: float = 5e-3) -> Array:
    """Central differences of order four; the last axis is the parameter."""
    columns = []
    for h in step * np.diag(np.abs(point)):
        near, far = function(point + h) - function(point - h), function(point + 2 * h) - function(point - 2 * h)
        columns.append((8 * near - far) / (12 * h.sum()))
    return np.stack(columns, axis=-1)


def polya_gamma_variance(c: float) -> float:
    """``var PG(1, c)``."""
    return float((np.sinh(c) - c) / (4 * c**3 * np.cosh(c / 2) ** 2)) if abs(c) > 1e-3 else 1 / 24


def polya_gamma_transform(c: float, t: float) -> float:
    """``E exp(-t omega)`` for PG(1, c) (Polson, Scott & Windle 2013, section 2)."""
    return float(np.cosh(c / 2) / np.cosh(np.sqrt((c**2 / 2 + t) / 2)))


def polya_gamma_cdf(c: float, values: Array) -> Array:
    """Distribution function of PG(1, c): its alternating series of first-passage densities, term by term."""
    a, c, root = np.arange(40)[:, None] + 0.5, abs(c), np.sqrt(values)
    passed = np.exp(log_ndtr(c * root - a / root) - a * c) + np.exp(log_ndtr(-c * root - a / root) + a * c)
    total: Array = 2 * np.cosh(c / 2) * np.sum((-1.0) ** np.arange(40)[:, None] * passed, axis=0)
    return total
