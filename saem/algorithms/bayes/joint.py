"""The log posterior density of parameters and random effects together, compiled.

Where the random effects cannot be integrated out in closed form they are drawn, as standard normals ``u_c`` before the
data are seen (not centred), in coordinates that the family guides by the data (`saem.families.contract.fill_guide`).
The density of parameters and random effects is that of `density` with the complete-data likelihood in place of the
marginal one. Coordinates are ``v`` (d,) of the parameters, those of `frame`, and ``w_c`` (q,) of each cluster, by which
those of the family are

    m_c + T_c v + R_c w_c,

with ``m_c`` where the mode of the random effects given data and parameters is at ``v = 0``, ``T_c`` how it moves with
the parameters (what no guide knows of, such as slopes within clusters), and ``R_c R_c'`` the covariance given them. The
map is one-to-one with a constant Jacobian, whatever the numbers are: they change the work of the sampler and not the
posterior.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from saem.algorithms.bayes.density import Space, parameters_at
from saem.algorithms.bayes.frame import Frame, coordinates_of, standardised
from saem.estep.modes import find_mode
from saem.families import contract
from saem.families.contract import effects_root, fill_guide, log_complete_all, n_effects, supply
from saem.system.jit import borrowed, entry, inlined, kernel

Array = np.ndarray


class Joint(NamedTuple):
    """Objective: the complete-data log-likelihood at given random effects; for `saem.families.contract.evaluate`.

    The arrays of their coordinates are room that the density writes to, so no two threads may share them.
    """

    arrays: Any  # those of `log_complete_all`
    effects: Array  # (C, q)
    by_effects: Array  # (C, q), written: the gradient by them


class JointFrame(NamedTuple):
    """The numbers of the map: d coordinates of the parameters, C clusters with q random effects."""

    parameters: Frame
    centre: Array  # (C, q), m
    slopes: Array  # (C, q, d), T
    root: Array  # (C, q, q), R


@inlined
def evaluate_joint(joint: Joint, x: Array, gradient: Array, hessian: Array) -> float:
    """The objective; there is no Hessian."""
    return log_complete_all(joint.arrays, x, joint.effects, gradient, joint.by_effects)


supply(contract.evaluate, Joint, evaluate_joint)


@kernel
def place_effects(frame: JointFrame, v: Array, effects: Array) -> None:
    """Write the family's coordinates (C, q) of the random effects at coordinates (d + C q,)."""
    frame, v, effects = borrowed(frame), borrowed(v), borrowed(effects)
    (clusters, q), d = effects.shape, frame.slopes.shape[2]
    for c in range(clusters):
        own = v[d + c * q : d + (c + 1) * q]
        for j in range(q):
            total = frame.centre[c, j]
            for k in range(d):
                total += frame.slopes[c, j, k] * v[k]
            for k in range(q):
                total += frame.root[c, j, k] * own[k]
            effects[c, j] = total


@kernel
def standardised_jointly(
    objective: Joint, space: Space, address: int, frame: JointFrame, v: Array, gradient: Array
) -> float:
    """Log posterior density and its gradient (d + C q,) in the coordinates ``v`` (d + C q,), up to a constant."""
    objective, space, frame = borrowed(objective), borrowed(space), borrowed(frame)
    v, gradient = borrowed(v), borrowed(gradient)
    effects, by_effects = objective.effects, objective.by_effects
    (clusters, q), d = effects.shape, frame.slopes.shape[2]
    place_effects(frame, v, effects)
    value = standardised(objective, space, address, frame.parameters, v[:d], gradient[:d])
    if not math.isfinite(value):
        gradient[:] = math.nan
        return -math.inf
    for c in range(clusters):
        for j in range(q):
            slope, at = by_effects[c, j], d + c * q
            if not math.isfinite(slope):
                gradient[:] = math.nan
                return -math.inf
            for k in range(d):
                gradient[k] += slope * frame.slopes[c, j, k]
            for k in range(q):
                gradient[at + k] = (0.0 if j == 0 else gradient[at + k]) + slope * frame.root[c, j, k]
    return value


@entry
def joint_density(objective: Joint, space: Space, address: int, frame: JointFrame, v: Array, gradient: Array) -> float:
    """The density that `standardised_jointly` computes, for calls from Python."""
    return float(standardised_jointly(objective, space, address, frame, v, gradient))


@entry
def place_model_effects(
    guided: Any, arrays: Any, space: Space, address: int, frame: JointFrame, v: Array, out: Array
) -> None:
    """Write the model's random effects (k, C, q) at coordinates ``v`` (k, d + C q).

    ``guided`` are the arrays of `fill_guide`, and ``arrays`` those of `effects_root`.
    """
    (clusters, q), d = frame.centre.shape, frame.slopes.shape[2]
    x, effects, root = np.empty((v.shape[0], space.base.shape[0])), np.empty((clusters, q)), np.zeros((q, q))
    coordinates, shift, factor = np.empty((v.shape[0], d)), np.empty(q), np.empty((q, q))
    coordinates_of(space, address, frame.parameters, np.ascontiguousarray(v[:, :d]), coordinates)
    parameters_at(space, address, coordinates, x)
    for row in range(v.shape[0]):
        place_effects(frame, v[row], effects)
        for c in range(clusters):
            known = effects_root(arrays, x[row], c, root) and fill_guide(guided, x[row], c, shift, factor)
            u = effects[c]
            for j in range(q - 1, -1, -1):
                for k in range(j + 1, q):
                    u[j] -= factor[k, j] * u[k]
                u[j] /= factor[j, j]
            for j in range(q):
                total = 0.0 if known else math.nan
                for k in range(q):
                    total += root[j, k] * (u[k] + shift[k])
                out[row, c, j] = total


@entry
def fill_modes(arrays: Any, x: Array, modes: Array, factors: Array) -> None:
    """Write the modes (C, q) of ``u`` given the data and the factors (C, q, q) of the curvature there.

    ``arrays`` are those of `log_complete`; nan where no mode is found.
    """
    for c in range(modes.shape[0]):
        d = n_effects(arrays, x, c)
        for j in range(d, modes.shape[1]):  # effects that a cluster lacks are what they are without data
            modes[c, j] = 0.0
            for k in range(modes.shape[1]):
                factors[c, j, k] = factors[c, k, j] = 1.0 if j == k else 0.0
        mode, factor = np.empty(d), np.empty((d, d))
        known = math.isfinite(find_mode(arrays, x, c, mode, factor))
        for j in range(d):
            modes[c, j] = mode[j] if known else math.nan
            for k in range(d):
                factors[c, j, k] = factor[j, k]


@entry
def fill_guides(guided: Any, x: Array, shifts: Array, factors: Array) -> None:
    """Write ``M`` (C, q) and ``F`` (C, q, q) of all clusters; see `saem.families.contract.fill_guide`."""
    for c in range(shifts.shape[0]):
        if not fill_guide(guided, x, c, shifts[c], factors[c]):
            shifts[c, :] = math.nan
