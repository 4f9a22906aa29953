"""Information through the constraints, and what follows from it: covariance and deficit.

With ``T`` a basis of the tangent space (the null space of the constraints' Jacobian) and
``L = -d2 (loglik + sum lambda_m c_m)`` the negative Hessian of the Lagrangian, the covariance is
``V = T (T'L T)^-1 T'``, which equals the inverse Hessian in any free parametrisation (Aitchison & Silvey 1958).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saem.families.problem import Problem
from saem.mstep.solver import Derivatives, Solver

#: Directions in which the information, on the scale of a correlation matrix, is below this are not identified.
SINGULAR = 1e-9
FLATTEST = 1e-3  # curvature, in units of the largest, below which a step is not trusted to be longer
ROUNDING = 1e-12  # what curvatures on that scale are uncertain by


@dataclass(frozen=True, eq=False)
class Information:
    """The constrained likelihood in the second order around a point.

    Attributes
    ----------
    loglik : float
    covariance : (n, n) ndarray
        ``V``; nan for parameters that are pinned or not identified, zero for fixed ones.
    score_norm : float
        Largest component of the gradient on the tangent space, in units of standard errors.
    deficit : float
        ``1/2 u'V u``: how far the log-likelihood is below its constrained maximum, to second order; ``inf`` where the
        information is not positive semidefinite, so that there is no maximum nearby.
    residuals, multipliers : (m,) ndarray
    root : (n, d) ndarray
        Columns along the tangent space with ``root root' = V``, where ``V`` is known: moves of one standard error, the
        least determined direction first.
    curvatures : (d,) ndarray
        Of these directions, on a scale on which each parameter alone has curvature one.
    """

    loglik: float
    covariance: np.ndarray
    score_norm: float
    deficit: float
    residuals: np.ndarray
    multipliers: np.ndarray
    root: np.ndarray
    curvatures: np.ndarray


def null_space(matrix: np.ndarray, tolerance: float = 1e-10) -> np.ndarray:
    """Orthonormal basis (n, k) of the null space of an (m, n) matrix."""
    m, n = matrix.shape
    if m == 0:
        return np.eye(n)
    _, singular, vt = np.linalg.svd(matrix)
    rank = int(np.sum(singular > tolerance * max(singular[0], 1e-300)))
    return np.asarray(vt[rank:].T)


def observed_information(problem: Problem, solver: Solver, x: np.ndarray, pinned: np.ndarray) -> Information:
    """The observed information at ``x``, with the pinned parameters taken as known."""
    free = ~problem.parameters.fixed & ~pinned
    at = solver.derivatives(solver.observed(), x, free)
    return information_of(problem, at, solver.multipliers, -at.hessian, free)


def information_of(
    problem: Problem, at: Derivatives, multipliers: np.ndarray, information: np.ndarray, free: np.ndarray
) -> Information:
    """An information matrix (n, n) seen through the constraints, with the score ``at.gradient``.

    Parameters
    ----------
    at : Derivatives
        Value, gradient and constraints at the point.
    multipliers : (m,) ndarray
    information : (n, n) ndarray
        Negative Hessian of the log-likelihood, without the constraints.
    free : (n,) bool ndarray
    """
    index = np.flatnonzero(free)
    block = index[:, None], index
    m, n, _ = at.c_hessian.shape
    lagrangian = (information - np.dot(multipliers[None], at.c_hessian.reshape(m, n * n)).reshape(n, n))[block]
    diagonal = np.abs(information.diagonal()[index])
    typical = problem.scale[index]
    scale = 1.0 / np.sqrt(np.maximum(diagonal, 1e-12 / typical**2))
    tangent = null_space(at.jacobian[:, index] * scale)
    reduced = tangent.T @ (lagrangian * (scale[:, None] * scale)) @ tangent
    values, vectors = np.linalg.eigh(reduced)
    slope = tangent.T @ (scale * at.gradient[index])
    singular = np.abs(values) < SINGULAR * max(1.0, float(np.abs(values).max(initial=0.0)))
    regular = ~singular & (values > 0)
    root = np.zeros((n, np.count_nonzero(regular)))
    root[index] = scale[:, None] * (tangent @ vectors[:, regular] / np.sqrt(values[regular]))
    covariance = root @ root.T
    covariance[~free, :] = np.nan
    covariance[:, ~free] = np.nan
    if not regular.all():  # on the common scale: units must not tell what a direction moves
        null = tangent @ vectors[:, singular | (values <= 0)]
        null = null / np.maximum(np.max(np.abs(null), axis=0, initial=0.0), 1e-300)
        moved = index[np.max(np.abs(null), axis=1, initial=0.0) > 1e-6]
        covariance[moved, :] = np.nan
        covariance[:, moved] = np.nan
    fixed = problem.parameters.fixed
    covariance[fixed, :] = 0.0
    covariance[:, fixed] = 0.0
    along = vectors[:, regular].T @ slope
    # a flat direction has no slope; one that has is badly conditioned, and leads somewhere
    flat = (vectors[:, singular].T @ slope) ** 2 / np.maximum(np.abs(values[singular]), ROUNDING)
    return Information(
        loglik=at.value,
        covariance=covariance,
        score_norm=float(np.abs(slope).max(initial=0.0)),
        deficit=0.5 * float(np.sum(along**2 / values[regular]) + flat.sum()) if np.all(regular | singular) else np.inf,
        residuals=at.c,
        multipliers=multipliers,
        root=root,
        curvatures=values[regular],
    )


def uphill(
    problem: Problem, at: Derivatives, multipliers: np.ndarray, information: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """Newton's step (n,) towards a maximum along the constraints, with curvatures of the wrong sign turned round.

    Parameters are those of `information_of`. Where the information is positive definite it is Newton's own step.
    """
    index = np.flatnonzero(free)
    block = index[:, None], index
    m, n, _ = at.c_hessian.shape
    lagrangian = (information - np.dot(multipliers[None], at.c_hessian.reshape(m, n * n)).reshape(n, n))[block]
    scale = 1.0 / np.sqrt(np.maximum(np.abs(lagrangian.diagonal()), 1e-12 / problem.scale[index] ** 2))
    tangent = null_space(at.jacobian[:, index] * scale)
    values, vectors = np.linalg.eigh(tangent.T @ (lagrangian * np.outer(scale, scale)) @ tangent)
    size = np.maximum(np.abs(values), FLATTEST * np.max(np.abs(values), initial=1.0))
    slope = vectors.T @ (tangent.T @ (scale * at.gradient[index]))
    step = np.zeros(n)
    step[index] = scale * (tangent @ (vectors @ (slope / size)))
    return step


def missing_information(solver: Solver, x: np.ndarray, expectation: np.ndarray) -> np.ndarray:
    """Covariance (n, n) of the complete-data score under p(z | y; x) (Louis 1982).

    It is the difference of the observed and the complete-data Hessians.

    Parameters
    ----------
    expectation : (s,) ndarray
        ``E[S | y]`` at ``x``.
    """
    complete = solver.derivatives(solver.complete(expectation), x)
    observed = solver.derivatives(solver.observed(), x)
    return np.asarray(observed.hessian - complete.hessian)
