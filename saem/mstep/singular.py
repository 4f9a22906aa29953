"""Maxima at which the correlation matrix of three or more random effects is singular.

Two correlated random effects reach the boundary where their correlation is one, which a bound on that parameter
expresses. With three or more, the boundary is where the determinant of the correlation matrix vanishes. There the
likelihood is maximised over a triangular factor, ``Omega = L L'``, whose entries are free (Bates et al. 2015, lme4):
a singular maximum is an ordinary stationary point in them.
"""

from __future__ import annotations

import numpy as np

from saem.models.contract import Problem
from saem.mstep.solver import Solver

Array = np.ndarray

NEAR = 1e-3  # smallest eigenvalue of a correlation matrix below which its boundary is tried


class Factors:
    """The map from free coordinates, with a triangular factor in place of each group's covariance, to parameters."""

    def __init__(self, problem: Problem, x: Array, pinned: Array) -> None:
        self.x = x
        free = ~problem.parameters.fixed & ~pinned
        self.blocks = [(sd, corr) for sd, corr in problem.blocks if len(sd) > 2 and free[[*sd, *inner(corr)]].all()]
        inside = np.zeros(len(x), dtype=bool)
        for sd, corr in self.blocks:
            inside[[*sd, *inner(corr)]] = True
        self.inside = inside
        self.others = np.flatnonzero(free & ~inside)

    def start(self) -> Array:
        """Coordinates (k,) of the point."""
        parts = [self.x[self.others]]
        for sd, corr in self.blocks:
            values, vectors = np.linalg.eigh(correlation(self.x, corr))
            root = vectors * np.sqrt(np.maximum(values, 1e-10)) @ vectors.T
            triangle = np.asarray(np.linalg.qr((self.x[sd][:, None] * root).T, mode="r"))
            parts.append(triangle.T[np.tril_indices(len(sd))])
        return np.concatenate(parts)

    def parameters(self, u: Array) -> tuple[Array, Array]:
        """Parameters (n,) at coordinates (k,), and their Jacobian (n, k)."""
        x = self.x.copy()
        jacobian = np.zeros((len(x), len(u)))
        x[self.others] = u[: len(self.others)]
        jacobian[self.others, np.arange(len(self.others))] = 1.0
        at = len(self.others)
        for sd, corr in self.blocks:
            q = len(sd)
            rows, columns = np.tril_indices(q)
            factor = np.zeros((q, q))
            factor[rows, columns] = u[at : at + len(rows)]
            size = np.sqrt(np.sum(factor**2, axis=1))
            unit = factor / size[:, None]
            x[sd] = size
            slots = {(int(r), int(c)): at + i for i, (r, c) in enumerate(zip(rows, columns, strict=True))}
            for (j, k), slot in slots.items():
                jacobian[sd[j], slot] = unit[j, k]
            for j in range(q):
                for k in range(j):
                    rho = float(unit[j] @ unit[k])
                    x[corr[j, k]] = rho
                    for i in range(q):
                        if i <= j:
                            jacobian[corr[j, k], slots[j, i]] = (unit[k, i] - rho * unit[j, i]) / size[j]
                        if i <= k:
                            jacobian[corr[j, k], slots[k, i]] = (unit[j, i] - rho * unit[k, i]) / size[k]
            at += len(rows)
        return x, jacobian


def inner(corr: Array) -> list[int]:
    """Parameters of the correlations of a block."""
    return [int(corr[j, k]) for j in range(len(corr)) for k in range(j)]


def correlation(x: Array, corr: Array) -> Array:
    """Correlation matrix (q, q) of a block."""
    return np.asarray(np.where(np.eye(len(corr)) > 0, 1.0, x[corr]))


def is_near_singular(problem: Problem, x: Array) -> bool:
    """Whether a correlation matrix of three or more random effects is nearly singular."""
    matrices = [correlation(x, corr) for sd, corr in problem.blocks if len(sd) > 2]
    return any(np.linalg.eigvalsh(matrix)[0] < NEAR for matrix in matrices)


def climb_singular(problem: Problem, solver: Solver, x: Array, pinned: Array) -> tuple[Array, Array, float, float]:
    """Maximise the observed likelihood over triangular factors.

    Returns
    -------
    x : (n,) ndarray
    pinned : (n,) bool ndarray
        The correlations of a singular block are pinned too: standard errors take them as known.
    value : float
        Log-likelihood.
    stationarity : float
        Largest component of the gradient in units of standard errors; ``inf`` when the search failed.
    """
    from scipy.optimize import minimize

    factors = Factors(problem, x, pinned)
    objective = solver.observed()
    constraints = problem.constraints

    def value_and_slope(u: Array) -> tuple[float, Array]:
        point, jacobian = factors.parameters(u)
        if (point[np.array(problem.parameters.kinds) == "sd"] < 0).any():
            return np.inf, np.zeros(len(u))
        at = solver.derivatives(objective, point)
        return -at.value, -jacobian.T @ at.gradient

    def curvature(u: Array) -> Array:
        """Hessian by central differences of the exact gradient."""
        rows = []
        for i, size in enumerate(1e-6 * np.maximum(1e-3, np.abs(u))):
            step = np.zeros(len(u))
            step[i] = size
            rows.append((value_and_slope(u + step)[1] - value_and_slope(u - step)[1]) / (2.0 * size))
        return np.asarray(0.5 * (np.array(rows) + np.array(rows).T))

    u = factors.start()
    if len(constraints) == 0:
        u = minimize(value_and_slope, u, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-9}).x
    else:
        equality = {
            "type": "eq",
            "fun": lambda u: constraints.evaluate(factors.parameters(u)[0])[0],
            "jac": lambda u: constraints.evaluate(factors.parameters(u)[0])[1] @ factors.parameters(u)[1],
        }
        options = {"ftol": 1e-14, "maxiter": 500}
        u = minimize(value_and_slope, u, jac=True, method="SLSQP", constraints=[equality], options=options).x
    point, jacobian = factors.parameters(u)
    value, slope = value_and_slope(u)
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(curvature(u))), 1e-300))
    if len(constraints):
        normal = (constraints.evaluate(point)[1] @ jacobian) * scale
        slope = slope * scale
        slope -= normal.T @ np.linalg.lstsq(normal.T, slope, rcond=None)[0]
        scale = np.ones(len(u))
    held = pinned.copy()
    for _, corr in factors.blocks:
        if np.linalg.eigvalsh(correlation(point, corr))[0] < 1e-8:
            held[inner(corr)] = True
    return point, held, -value, float(np.max(np.abs(slope * scale), initial=0.0))
