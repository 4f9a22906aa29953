"""The frame of a posterior: where its mass is, and how the means hang on the standard deviations there."""

from __future__ import annotations

import math

import numpy as np

from saem.algorithms.bayes.density import ABOVE, IDENTITY, NORMAL, STUDENT
from saem.algorithms.bayes.frame import Frame
from saem.algorithms.bayes.target import LogPosterior, Standardised
from saem.mstep.solver import Solver

Array = np.ndarray

WIDEST = 2.0  # standard deviations of what is not a mean, where the posterior is flat: units of a logarithm
STEP = 1e-4  # of differences of the gradient
BEND = 1e-3  # of differences of the covariance of the means, by the logarithm of a standard deviation
SOFT = 1.0  # times a standard deviation at the centre: where its scale turns from logarithmic to its own
RIDGE = 1e-9  # of the variances of the means, so that their covariance is never singular
ROUNDS = 2  # frames, each at the mode that is seen from the one before


def frame_of(density: LogPosterior, solver: Solver, u: Array) -> Frame:
    """The frame at the mode that is nearest to coordinates (d,).

    The mode is that of the standardised density: given what is integrated over the means it is where the mass is, while
    the joint density may be highest where standard deviations are small and the means have hardly any room.
    """
    for _ in range(ROUNDS):
        frame = frame_at(density, solver, u)
        seen = Standardised(density, frame)
        u = seen.coordinates(climb(seen, np.zeros(len(u)))[None])[0]
    frame = frame_at(density, solver, u)
    return frame._replace(root=curvature_root(Standardised(density, frame)))


def climb(density: Standardised, v: Array) -> Array:
    """A mode (d,) near ``v`` (d,), by BFGS; ``v`` itself where none is found."""
    from scipy.optimize import minimize

    def downwards(point: Array) -> tuple[float, Array]:
        value, gradient = density(point)
        return (-value, -gradient) if np.isfinite(value) else (np.inf, np.zeros(len(point)))

    with np.errstate(all="ignore"):
        found = minimize(downwards, v, jac=True, method="BFGS", options={"maxiter": 200, "gtol": 1e-3}).x
    return np.asarray(found) if density(found)[0] >= density(v)[0] else v


def frame_at(density: LogPosterior, solver: Solver, u: Array) -> Frame:
    """The frame around coordinates (d,), with a root that leaves it as it is."""
    space = density.space
    straight = space.transform == IDENTITY
    means, others = np.flatnonzero(straight), np.flatnonzero(~straight)
    x = density.parameters(u[None])[0]
    d, m, q = len(u), len(space.parameter), len(means)
    moved = np.flatnonzero(space.kind == 0)  # of the determined ones, the means
    information, follow = parts_of(solver, density, x, means, moved)
    own = prior_precision(density, means)

    def covariance(information: Array) -> Array:
        return positive_inverse(follow.T @ information @ follow + np.diag(own))

    at_centre = covariance(information)
    shear = np.zeros((q, m))
    shear[:, moved] = -at_centre @ follow.T @ information[:, q:]
    spreads = np.zeros((len(others), q, q))
    for j, k in enumerate(others):
        if space.transform[k] != ABOVE:
            continue
        both = []
        for step in (BEND, -BEND):
            point = u.copy()
            point[k] += step
            there = density.parameters(point[None])[0]
            both.append(covariance(parts_of(solver, density, there, means, moved)[0]))
        sd = float(x[space.free[k]])
        slope = (both[0] - both[1]) / (2.0 * BEND) / (2.0 * sd * (sd - space.low[k]))
        spreads[j] = positive_part(slope) if np.isfinite(slope).all() else 0.0
    explained = np.tensordot(x[space.free[others]] ** 2, spreads, axes=1)
    base = positive_part(at_centre - explained) + RIDGE * np.diag(np.diag(at_centre))
    size = np.where(space.transform[others] == ABOVE, SOFT * np.exp(u[others]), 0.0)
    centre = u.copy()
    centre[others[size > 0.0]] = math.log(math.expm1(1.0 / SOFT))  # where size * log(1 + exp(y)) is exp(u)
    return Frame(
        centre=centre,
        root=np.eye(d),
        means=means,
        others=others,
        frozen=x,
        shear=shear,
        base=base,
        spreads=spreads,
        size=size,
    )


def parts_of(solver: Solver, density: LogPosterior, x: Array, means: Array, moved: Array) -> tuple[Array, Array]:
    """Information on the means (q + m', q + m') of the m' determined ones among them, and how these follow the others.

    The second is (q + m', q): the identity above the derivatives of the determined means by the independent ones.
    """
    space = density.space
    at = solver.derivatives(solver.observed(), x)
    independent, determined = space.free[means], space.parameter[moved]
    index = np.concatenate([independent, determined])
    information = -np.asarray(at.hessian)[np.ix_(index, index)]
    follow = np.vstack([np.eye(len(means)), np.zeros((len(moved), len(means)))])
    if len(moved):
        jacobian = np.asarray(at.jacobian)
        slopes = -np.linalg.pinv(jacobian[:, space.parameter]) @ jacobian[:, independent]
        follow[len(means) :] = slopes[moved]
    if not (np.isfinite(information).all() and np.isfinite(follow).all()):
        return np.zeros_like(information), np.nan_to_num(follow, posinf=0.0, neginf=0.0)
    return information, follow


def prior_precision(density: LogPosterior, means: Array) -> Array:
    """Curvature (q,) of the log priors of means at their centres."""
    space = density.space
    a, b, c = space.numbers[means].T
    shape = space.prior[means]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(shape == NORMAL, b**-2, np.where(shape == STUDENT, (a + 1.0) / (a * c**2), 0.0))


def positive_inverse(matrix: Array) -> Array:
    """Inverse of a symmetric matrix, were its eigenvalues positive."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    least = 1e-12 * max(float(np.abs(values).max(initial=0.0)), 1e-300)
    return np.asarray((vectors / np.maximum(values, least)) @ vectors.T)


def positive_part(matrix: Array) -> Array:
    """The nearest positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def curvature_root(density: Standardised) -> Array:
    """A root (d, d) of a covariance matrix like that of a standardised density, from the curvature at zero."""
    d = density.dimension
    bend = np.array([density(step)[1] - density(-step)[1] for step in STEP * np.eye(d)]) / (2.0 * STEP)
    bend = 0.5 * (bend + bend.T)
    if not np.isfinite(bend).all():
        return np.eye(d)
    values, vectors = np.linalg.eigh(-bend)
    return np.ascontiguousarray(vectors / np.sqrt(np.maximum(np.abs(values), WIDEST**-2)))
