"""Examples of generalised linear mixed models, posed by hand: without tables, model files or formulas."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from parameterkinds import kinds_of, slots_of

from saem.estep.metropolis import metropolis
from saem.expressions.constraint import compile_constraints
from saem.families.glmm import problem  # noqa: F401 - registers the compiled functions
from saem.families.glmm.arrays import BINOMIAL, POISSON, build_arrays, n_statistics
from saem.families.glmm.start import effect_sizes, starting_values
from saem.families.problem import Boundary, Clusters, LatentData, Likelihood, Problem, Starts
from saem.specification.parameters import Parameters

NODES = 15


def posed(
    outcome: int,
    y: Sequence[float] | np.ndarray,
    design: np.ndarray,
    cluster: np.ndarray,
    *,
    means: Sequence[str],
    sds: Sequence[str],
    random: np.ndarray | None = None,
    corrs: Sequence[str] = (),
    group: np.ndarray | None = None,
    trials: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    nodes: int = NODES,
    constraints: dict[str, str] | None = None,
) -> Problem:
    """The problem; names that occur again are shared. ``sds`` are those of the groups, one after the other.

    With two random effects ``corrs`` names their correlation in each group.
    """
    rows = len(y)
    random = np.ones((rows, 1)) if random is None else random
    group = np.zeros(int(cluster.max()) + 1, dtype=int) if group is None else group
    groups, q = int(group.max()) + 1, random.shape[1]
    slots = [(name, "mean") for name in means] + [(name, "sd") for name in sds] + [(name, "corr") for name in corrs]
    parameters = Parameters.build(slots_of(*slots), {})
    corr_index = np.full((groups, q, q), -1)
    for g, name in enumerate(corrs):
        corr_index[g, 0, 1] = corr_index[g, 1, 0] = parameters.index(name)
    arrays = build_arrays(
        outcome,
        np.asarray(y, dtype=float),
        np.ones(rows) if trials is None else trials,
        np.zeros(rows) if offset is None else offset,
        design,
        random,
        cluster,
        group,
        [parameters.index(name) for name in means],
        np.array([parameters.index(name) for name in sds]).reshape(groups, q),
        corr_index,
    )
    n = len(parameters)
    is_sd = np.array(kinds_of(parameters)) == "sd"
    scale = np.ones(n)
    scale[arrays.mean_index] = 1.0 / np.sqrt(np.mean(design**2, axis=0))
    scale[arrays.sd_index] = 1.0 / effect_sizes(arrays)
    return Problem(
        parameters=parameters,
        arrays=metropolis(arrays, len(group), q),
        constraints=compile_constraints(constraints or {}, parameters.names),
        scale=scale,
        starts=Starts((starting_values(arrays, n, np.full(n, np.nan)),)),
        boundary=Boundary(
            collapsible=is_sd | (np.array(kinds_of(parameters)) == "corr"),
            dependents={int(i): tuple(np.unique(corr_index[corr_index >= 0])) for i in np.flatnonzero(is_sd)},
            at_zero=np.zeros(n),
        ),
        latent=LatentData(size=len(group) * q, n_statistics=n_statistics(arrays)),
        clusters=Clusters(len(group), joint=lambda: arrays),
        likelihood=Likelihood("quadrature", nodes=nodes),
    )


def slopes(nodes: int = NODES, n_clusters: int = 20, seed: int = 3, **constraints: str) -> Problem:
    """Binomial outcomes with correlated random intercepts and slopes; a sum of six rows of two trials by cluster."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(n_clusters), 6)
    x = np.tile(np.linspace(-1.0, 1.0, 6), n_clusters)
    u = rng.standard_normal((n_clusters, 2)) @ np.array([[0.9, 0.3], [0.0, 0.6]])
    design = np.column_stack([np.ones_like(x), x])
    eta = 0.3 + 0.8 * x + u[cluster, 0] + u[cluster, 1] * x
    y = rng.binomial(2, 1.0 / (1.0 + np.exp(-eta)))
    return posed(
        BINOMIAL,
        y,
        design,
        cluster,
        means=("b0", "b1"),
        sds=("s0", "s1"),
        corrs=("rho",),
        random=design,
        trials=np.full(len(y), 2.0),
        nodes=nodes,
        constraints=constraints,
    )


def counts(nodes: int = NODES, n_clusters: int = 30, seed: int = 5, **constraints: str) -> Problem:
    """Poisson counts with log-normal intercepts in two groups of clusters, four rows each with exposures."""
    rng = np.random.default_rng(seed)
    group = np.arange(n_clusters) % 2
    cluster = np.repeat(np.arange(n_clusters), 4)
    offset = np.log(np.tile([1.0, 2.0, 1.0, 0.5], n_clusters))
    first = group[cluster] == 0
    u = np.where(group == 0, 0.4, 0.9) * rng.standard_normal(n_clusters)
    y = rng.poisson(np.exp(offset + np.where(first, 1.5, 1.175) + u[cluster]))
    return posed(
        POISSON,
        y,
        np.column_stack([first, ~first]).astype(float),
        cluster,
        means=("beta1", "beta2"),
        sds=("sigma1", "sigma2"),
        group=group,
        offset=offset,
        nodes=nodes,
        constraints=constraints,
    )


@cache
def problems() -> dict[str, Problem]:
    """Examples, for the checks that every family is held to."""
    return {"slopes": slopes(25), "tied counts": counts(25, tie="beta1 + sigma1**2/2 == beta2 + sigma2**2/2")}
