"""The linear model of a validated table, as algorithms see it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from saem.expressions.constraint import Constraints, parameters_of
from saem.families.coordinates import USERS, Coordinates
from saem.families.linear import clusterwise, complete, draws, joint, observed, restricted
from saem.families.linear.arrays import LinearArrays
from saem.families.linear.centring import Centring
from saem.families.linear.clusters import build_clusters
from saem.families.linear.data import LinearData
from saem.families.linear.default_priors import default_priors
from saem.families.linear.effects import conditional_effects, conditional_moments
from saem.families.linear.exact_fits import check_exact_fits, roles_of
from saem.families.linear.expansion import expand
from saem.families.linear.expected import fisher_information, restricted_unit_information, unit_information
from saem.families.linear.joint import observed_clusters
from saem.families.linear.one_maximum import has_one_maximum
from saem.families.linear.patterns import build_arrays
from saem.families.linear.random_walk import build_metropolis
from saem.families.linear.start import orthogonal_starts, starting_values
from saem.families.linear.variates import ANTITHETIC, LATTICE
from saem.families.problem import Boundary, Clusters, LatentData, Likelihood, Priors, Problem, Starts

#: Their functions are found by the types of the arrays.
COMPILED = (clusterwise, complete, draws, joint, observed, restricted)
RESIDUAL_ZERO = 1e-3  # of its typical size: stands for a residual SD of zero (the likelihood is even and smooth there)


def build_problem(
    data: LinearData, constraints: Constraints, is_restricted: bool = False, coordinates: Coordinates = USERS
) -> Problem:
    """The linear model of a validated table, as algorithms see it.

    Parameters
    ----------
    data : LinearData
    constraints : Constraints
    is_restricted : bool
        Whether the observed likelihood is the restricted one (REML).
    coordinates : Coordinates
        Those that data and constraints are in.
    """
    arrays = build_arrays(data)
    if not coordinates.is_users:
        arrays = arrays._replace(constants=np.array(coordinates.constants(data, arrays.basis)))
    check_exact_fits(data, constraints, coordinates)
    groups, q = arrays.sd_index.shape
    residual_groups, p = arrays.xy.shape
    starts = starting_values(data, arrays)
    domains = data.parameters.domains
    spread = np.sqrt(arrays.yy.sum() / arrays.n_rows.sum())
    scale = np.where(domains.is_between, 1.0, np.maximum(np.abs(starts[0]), 1e-300))
    scale[domains.is_real] = spread
    rms = np.sqrt(np.einsum("hpp->p", arrays.xx) / arrays.n_rows.sum())
    scale[arrays.mean_index] = spread / np.where(rms > 0, rms, 1.0)
    collapsible = np.zeros(len(domains), dtype=bool)
    collapsible[arrays.sd_index] = True
    collapsible[arrays.corr_index[arrays.corr_index >= 0]] = True
    # of one residual group among several the errors may vanish: the random effects still spread the responses
    tied = {name for text in constraints.texts for name in parameters_of("", text)}
    names = data.parameters.names
    for i in arrays.residual_index:
        alone = np.sum(arrays.residual_index == i) < residual_groups and i not in arrays.sd_index
        collapsible[i] = alone and names[i] not in tied
    collapsible &= ~data.parameters.fixed
    dependents: dict[int, tuple[int, ...]] = {}
    for g in range(groups):
        for j in range(q):
            row, sd = arrays.corr_index[g, j], int(arrays.sd_index[g, j])  # groups and terms may share a name
            dependents[sd] = tuple(dict.fromkeys([*dependents.get(sd, ()), *(int(k) for k in row[row >= 0])]))
    # the typical size of a random effect's standard deviation is that of the data, not of its (possibly tiny) start
    for j in range(q):
        size = np.sqrt(arrays.zz[:, :, j, j].sum(axis=1) @ arrays.pattern_size / arrays.n_rows.sum())
        scale[arrays.sd_index[:, j]] = spread / max(size, 1e-300)
    at_zero = np.zeros(len(domains))
    at_zero[arrays.residual_index] = RESIDUAL_ZERO * scale[arrays.residual_index]
    totals = scale.copy()
    totals[arrays.residual_index] = np.sqrt(np.maximum(arrays.yy / arrays.n_rows, scale[arrays.residual_index] ** 2))
    blocks = tuple(zip(arrays.sd_index, arrays.corr_index, strict=True)) if np.any(arrays.corr_index >= 0) else ()
    problem = Problem(
        parameters=data.parameters,
        constraints=constraints,
        arrays=arrays,
        scale=scale,
        starts=Starts(starts, orthogonal_starts(data, arrays), totals),
        boundary=Boundary(collapsible, dependents, at_zero, blocks),
        latent=LatentData(
            size=int(arrays.n_clusters.sum()) * q,
            n_statistics=residual_groups * (p + 1) + groups * q * q * (1 + p),
            has_expectation=True,
            samplers={
                "metropolis": partial(build_metropolis, data),
                "antithetic": partial(with_variates, ANTITHETIC),
                "lattice": partial(with_variates, LATTICE),
            },
            augmentation=Centring(arrays, term_labels(data)),
        ),
        clusters=Clusters(
            count=len(data.cluster_group),
            clusterwise=partial(build_clusters, data, arrays),
            joint=partial(build_clusters, data, arrays),
            observed=partial(observed_clusters, data),
            constants=0.0 if coordinates.unit == 1.0 else -np.log(coordinates.unit) * np.bincount(data.cluster),
            effects=partial(effects_on_users_scale, data, coordinates),
        ),
        likelihood=Likelihood(
            kind="closed",
            restricted=is_restricted,
            can_fit_exactly=can_fit_exactly(arrays, data),
            has_one_maximum=partial(has_one_maximum, arrays, data.parameters.fixed),
            expected_information=partial(restricted_unit_information if is_restricted else unit_information, arrays),
            fisher_information=None if is_restricted else partial(fisher_information, arrays),
        ),
        priors=Priors(default=partial(default_priors, data)),
        coordinates=coordinates,
        roles=roles_of(data),
    )
    return replace(problem, latent=replace(problem.latent, expand=partial(expand, problem)))


def effects_on_users_scale(data: LinearData, coordinates: Coordinates, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Modes (C, q) of the user's random effects and their standard deviations (C, q), at inner parameters (n,)."""
    if coordinates.is_users:
        return conditional_effects(data, x)
    modes, variance = conditional_moments(data, x)
    spread = np.einsum("cii->ci", coordinates.spreads(variance))
    return coordinates.effects(modes), np.sqrt(np.maximum(spread, 0.0))


def term_labels(data: LinearData) -> tuple[str, ...]:
    """Names of the terms of each variance group."""
    if len(data.group_levels) == 1:
        return data.term_names
    return tuple(f"{term} ({level})" for level in data.group_levels for term in data.term_names)


def with_variates(variates: int, arrays: LinearArrays) -> LinearArrays:
    """The arrays with draws that depend on each other."""
    return arrays._replace(variates=variates)


def can_fit_exactly(arrays: LinearArrays, data: LinearData) -> bool:
    """Whether the columns of the free means and of the random effects span all responses."""
    if arrays.n_rows.sum() - arrays.n_clusters.sum() * arrays.zz.shape[2] > arrays.zx.shape[3]:
        return False  # whatever the ranks are
    zz, zx = arrays.zz.sum(axis=1), arrays.zx.sum(axis=1)
    left = arrays.n_rows.sum() - arrays.pattern_size @ np.linalg.matrix_rank(zz, hermitian=True)
    if left > zx.shape[2]:
        return False
    explained = arrays.pattern_size[:, None, None] * (np.linalg.pinv(zz, hermitian=True) @ zx)
    within = arrays.xx.sum(axis=0) - np.einsum("pic,pid->cd", zx, explained)  # X'(I - P_Z)X, pattern by pattern
    scale = np.sqrt(np.maximum(np.diag(arrays.xx.sum(axis=0)), 1e-300))
    free = ~data.parameters.fixed[arrays.mean_index]
    within = (within / np.outer(scale, scale))[np.ix_(free, free)]
    return bool(np.sum(np.linalg.eigvalsh(within) > 1e-10) >= left)
