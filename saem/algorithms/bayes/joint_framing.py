"""The frame of a posterior of parameters and random effects: where the modes of these are, and how they move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from saem.algorithms.bayes.frame import Frame
from saem.algorithms.bayes.joint import JointFrame, fill_guides, fill_modes
from saem.algorithms.bayes.target import LogPosterior, Standardised
from saem.families.problem import Problem

Array = np.ndarray

NODES = 1  # of the quadrature by which the posterior of the parameters is looked at beforehand: Laplace's approximation
MOVE = 1.0  # of standardised coordinates of the parameters, by which the modes are seen to move


def roughly(problem: Problem) -> Problem:
    """The same problem with Laplace's approximation of its likelihood; one in closed form is what it was.

    It says where chains start and in which coordinates: draws do not hang on it.
    """
    if problem.likelihood.kind == "closed":
        return problem
    likelihood = replace(problem.likelihood, kind="quadrature", nodes=NODES)
    return replace(problem, likelihood=likelihood, clusters=replace(problem.clusters))


def joint_frame(density: LogPosterior, parameters: Frame) -> tuple[Any, JointFrame]:
    """The arrays of the density and the frame of all, given that of the parameters (`framing.frame_of`).

    Where the random effects of a cluster have no mode that is found, they are what they were before the data.
    """
    seen = Standardised(density, parameters)
    clusters, d = density.problem.clusters, seen.dimension
    modes, factors = modes_at(seen, np.zeros(d))
    if clusters.together is None:
        assert clusters.joint is not None
        arrays = clusters.joint()
    else:
        arrays = clusters.together(parameters_of(seen, np.zeros(d)), modes, factors @ np.swapaxes(factors, 1, 2))
    centre, guides = guided_at(seen, arrays, np.zeros(d))
    slopes = np.zeros((*centre.shape, d))
    for k, step in enumerate(MOVE * np.eye(d)):
        slopes[:, :, k] = (guided_at(seen, arrays, step)[0] - guided_at(seen, arrays, -step)[0]) / (2.0 * MOVE)
    known = np.isfinite(centre).all(axis=1) & np.isfinite(slopes).all(axis=(1, 2))
    root = np.tile(np.eye(centre.shape[1]), (len(centre), 1, 1))
    root[known] = np.swapaxes(guides[known], 1, 2) @ np.swapaxes(np.linalg.inv(factors[known]), 1, 2)
    return arrays, JointFrame(
        parameters=parameters,
        centre=np.where(known[:, None], centre, 0.0),
        slopes=np.where(known[:, None, None], slopes, 0.0),
        root=np.ascontiguousarray(root),
    )


def parameters_of(seen: Standardised, v: Array) -> Array:
    """Parameters (n,) at standardised coordinates (d,)."""
    return np.asarray(seen.density.parameters(seen.coordinates(v[None]))[0])


def modes_at(seen: Standardised, v: Array) -> tuple[Array, Array]:
    """Modes (C, q) and factors (C, q, q) of the curvature at coordinates (d,) of the parameters; nan where unknown."""
    problem, x = seen.density.problem, parameters_of(seen, v)
    assert problem.clusters.joint is not None
    count = problem.clusters.count
    q = problem.latent.size // max(1, count)
    modes, factors = np.full((count, q), np.nan), np.full((count, q, q), np.nan)
    if np.isfinite(x).all():
        fill_modes(problem.clusters.joint(), x, modes, factors)
    return modes, factors


def guided_at(seen: Standardised, arrays: Any, v: Array) -> tuple[Array, Array]:
    """Modes (C, q) in the family's coordinates and the factors (C, q, q) of these; nan where unknown."""
    modes, _ = modes_at(seen, v)
    x, shifts, factors = (
        parameters_of(seen, v),
        np.full(modes.shape, np.nan),
        np.full((*modes.shape, modes.shape[1]), np.nan),
    )
    if np.isfinite(x).all():
        fill_guides(arrays, x, shifts, factors)
    return np.einsum("ckj,ck->cj", factors, modes - shifts), factors
