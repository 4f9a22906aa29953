"""Maxima at which the correlation matrix of three or more random effects is singular.

Two correlated random effects reach the boundary where their correlation is one, which a bound on that parameter
expresses. With three or more, the boundary is where the determinant of the correlation matrix vanishes. There the
likelihood is maximised over the angles of a triangular factor of the correlation matrix, in which a singular maximum is
an ordinary stationary point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from saem.families.problem import Problem
from saem.mstep.solver import Solver

Array = np.ndarray

ROUNDING = 1e-14  # of the log-likelihood
IDLE = 10  # iterations without progress after which a search ends
NEAR = 1e-3  # smallest eigenvalue of a correlation matrix below which its boundary is tried


class Factors:
    """The map from free coordinates, with angles in place of each block's correlations, to parameters.

    Row ``j`` of the triangular factor of a correlation matrix is a point of a sphere with ``j`` angles (Pinheiro &
    Bates 1996). The standard deviations, which may be shared, fixed or tied by a constraint, may go through zero: a
    negative one stands for its size and the opposite sign of its correlations.
    """

    def __init__(self, problem: Problem, x: Array, pinned: Array) -> None:
        self.x = x
        free = ~problem.parameters.fixed & ~pinned
        known: list[int] = []
        self.blocks: list[tuple[Array, Array]] = []
        self.is_sd = problem.parameters.domains.can_vanish
        for sd, corr in problem.boundary.blocks:
            own = inner(corr)
            if len(sd) > 2 and free[own].all() and len(set(own)) == len(own) and not set(own) & set(known):
                self.blocks.append((sd, corr))
                known += own
        self.others = np.array([i for i in np.flatnonzero(free) if i not in known], dtype=int)

    def start(self) -> Array:
        """Coordinates (k,) of the point."""
        parts = [self.x[self.others]]
        for _, corr in self.blocks:
            values, vectors = np.linalg.eigh(correlation(self.x, corr))
            root = vectors * np.sqrt(np.maximum(values, 1e-10)) @ vectors.T
            triangle = np.asarray(np.linalg.qr(root.T, mode="r")).T
            parts += [angles_of(row[: j + 1]) for j, row in enumerate(triangle) if j > 0]
        return np.concatenate(parts)

    def parameters(self, u: Array) -> tuple[Array, Array]:
        """Parameters (n,) at coordinates (k,), and their Jacobian (n, k)."""
        x = self.x.copy()
        jacobian = np.zeros((len(x), len(u)))
        at = len(self.others)
        x[self.others] = u[:at]
        sign = np.where(self.is_sd & (x < 0), -1.0, 1.0)
        x *= sign
        jacobian[self.others, np.arange(at)] = sign[self.others]
        for sd, corr in self.blocks:
            q = len(corr)
            factor = np.eye(q)
            slopes = np.zeros((q, q, len(u)))
            for j in range(1, q):
                factor[j, : j + 1], slopes[j, : j + 1, at : at + j] = point_of(u[at : at + j])
                at += j
            for j in range(q):
                for k in range(j):
                    direction = sign[sd[j]] * sign[sd[k]]
                    x[corr[j, k]] = direction * (factor[j] @ factor[k])
                    jacobian[corr[j, k]] = direction * (factor[k] @ slopes[j] + factor[j] @ slopes[k])
        return x, jacobian


def point_of(angles: Array) -> tuple[Array, Array]:
    """The point (j + 1,) of the unit sphere at some angles (j,), and its Jacobian (j + 1, j)."""
    j = len(angles)
    sines, cosines = np.sin(angles), np.cos(angles)
    factors = np.ones((j + 1, j))  # entry i of the point is the product of row i
    slopes = np.zeros((j + 1, j))
    for i in range(j + 1):
        factors[i, :i], slopes[i, :i] = sines[:i], cosines[:i]
        if i < j:
            factors[i, i], slopes[i, i] = cosines[i], -sines[i]
    jacobian = np.empty((j + 1, j))
    for m in range(j):
        jacobian[:, m] = slopes[:, m] * np.prod(np.delete(factors, m, axis=1), axis=1)
    return np.prod(factors, axis=1), jacobian


def angles_of(point: Array) -> Array:
    """Angles (j,) of a point (j + 1,) of a sphere."""
    rest = np.sqrt(np.cumsum(point[::-1] ** 2)[::-1])  # lengths of the tails
    return np.asarray(np.arctan2(rest[1:], point[:-1]))


def inner(corr: Array) -> list[int]:
    """Parameters of the correlations of a block."""
    return [int(corr[j, k]) for j in range(len(corr)) for k in range(j)]


def correlation(x: Array, corr: Array) -> Array:
    """Correlation matrix (q, q) of a block."""
    return np.asarray(np.where(np.eye(len(corr)) > 0, 1.0, x[corr]))


def is_near_singular(problem: Problem, x: Array) -> bool:
    """Whether a correlation matrix of three or more random effects is nearly singular."""
    matrices = [correlation(x, corr) for sd, corr in problem.boundary.blocks if len(sd) > 2]
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

    best, idle = np.inf, 0

    def watch(intermediate_result: Any) -> None:
        """End where the value is no longer improved: rounding may keep the gradient above its tolerance."""
        nonlocal best, idle
        value = float(intermediate_result.fun)
        idle = 0 if best - value > ROUNDING * (1.0 + abs(value)) else idle + 1
        best = min(best, value)
        if idle > IDLE:
            raise StopIteration

    u = factors.start()
    if len(constraints) == 0:
        options: dict[str, float] = {"gtol": 1e-9}
        try:
            u = minimize(
                value_and_slope, u, jac=True, hess=curvature, method="trust-exact", callback=watch, options=options
            ).x
        except (ValueError, np.linalg.LinAlgError):  # the likelihood ends beside a step of the search
            return x, pinned, solver.height(x), np.inf
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
    steepness = np.abs(np.diag(curvature(u)))
    scale = 1.0 / np.sqrt(np.maximum(steepness, 1e-12 * np.max(steepness, initial=1e-300)))
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
