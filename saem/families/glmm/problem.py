"""The generalised linear mixed model of a validated table, as algorithms see it."""

from __future__ import annotations

from typing import Any

import numpy as np

from saem.expressions.constraint import Constraints
from saem.families.glmm import complete, density
from saem.families.glmm.arrays import BINOMIAL, POISSON, GlmmArrays, build_arrays, n_statistics
from saem.families.glmm.data import GlmmData
from saem.families.glmm.expected import unit_information
from saem.families.glmm.separation import check_separation
from saem.families.glmm.start import effect_sizes, starting_values
from saem.families.problem import Boundary, Clusters, LatentData, Likelihood, Problem, Starts

#: Their functions are found by the types of the arrays.
COMPILED = (complete, density)
SMALLER = (0.2, 2.0)  # factors of the standard deviations of other starts


def build_problem(data: GlmmData, constraints: Constraints) -> Problem:
    """See `saem.families.family.Family.build_problem`."""
    parameters = data.parameters
    arrays = arrays_of(data)
    start = starting_values(arrays, len(parameters), parameters.fixed_values)
    check_separation(arrays, parameters, constraints, start)
    domains = parameters.domains
    scale = np.ones(len(domains))
    rms = np.sqrt(np.mean(data.mean_design**2, axis=0))
    scale[data.mean_index] = 1.0 / np.where(rms > 0.0, rms, 1.0)
    scale[data.sd_index] = 1.0 / effect_sizes(arrays)
    free = ~parameters.fixed
    collapsible = free & ~domains.is_real
    dependents: dict[int, tuple[int, ...]] = {}
    for row, corr in zip(data.sd_index, data.corr_index, strict=True):
        for sd, own in zip(row.tolist(), corr, strict=True):  # groups and terms may share a name
            dependents[sd] = tuple(dict.fromkeys([*dependents.get(sd, ()), *own[own >= 0].tolist()]))
    others = tuple(np.where(domains.can_vanish & free, factor * start, start) for factor in SMALLER)
    has_correlations = bool(np.any(data.corr_index >= 0))
    blocks = tuple(zip(data.sd_index, data.corr_index, strict=True)) if has_correlations else ()

    def joint() -> Any:
        return arrays

    return Problem(
        parameters=parameters,
        constraints=constraints,
        arrays=arrays,
        scale=scale,
        starts=Starts((start,), others),
        boundary=Boundary(collapsible, dependents, np.zeros(len(domains)), blocks),
        latent=LatentData(
            size=len(data.cluster_group) * len(data.term_names), n_statistics=n_statistics(arrays), has_draws=False
        ),
        clusters=Clusters(len(data.cluster_group), joint=joint),
        likelihood=Likelihood("quadrature", expected_information=lambda x: unit_information(arrays, x)),
    )


def arrays_of(data: GlmmData) -> GlmmArrays:
    """The arrays of the family's compiled functions."""
    return build_arrays(
        POISSON if data.distribution == "poisson" else BINOMIAL,
        data.response,
        data.trials,
        np.zeros(len(data.response)) if data.offset is None else data.offset,
        data.mean_design,
        data.random_design,
        data.cluster,
        data.cluster_group,
        data.mean_index,
        data.sd_index,
        data.corr_index,
    )
