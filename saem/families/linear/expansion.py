"""The problem of the expanded model, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from saem.errors import ModelError
from saem.expressions.constraint import compile_constraints, parameters_of
from saem.families.linear.arrays import LinearArrays
from saem.families.linear.coordinates import rewritten
from saem.families.linear.expanded import ExpandedArrays, reduce_expanded
from saem.families.problem import Boundary, Clusters, Expansion, Likelihood, Problem, Starts
from saem.specification.domains import REAL
from saem.specification.parameters import Parameters

Array = np.ndarray

INSTEAD = "use another method"


def expand(problem: Problem) -> Expansion:
    """The expanded model of a problem of the linear family.

    The working matrix of a variance group is full where it has correlations, shares no standard deviation with another
    group or among its terms, and is in no constraint. Elsewhere it is diagonal, with one working parameter for each
    standard deviation, so that groups that share it share that too.

    The constraints are those of the reduced parameters, ``c(reduce(x, a)) = 0``: the expanded model is that of the
    constrained one, and a step increases its likelihood.

    Parameters
    ----------
    problem : Problem

    Raises
    ------
    ModelError
        Where the reduction would change a fixed value, or a parameter that acts elsewhere too.
    """
    check_expandable(problem)
    arrays: LinearArrays = problem.arrays
    n, p = len(problem.parameters), len(arrays.mean_index)
    texts = dict(zip(problem.constraints.names, problem.constraints.texts, strict=True))
    tied = {problem.parameters.index(used) for pair in texts.items() for used in parameters_of(*pair)}
    entries = working_entries(arrays, tied)
    work_column = np.full(arrays.corr_index.shape, -1, dtype=np.int64)
    for i, places in enumerate(entries):
        for place in places:
            work_column[place] = p + i
    names = tuple(working_names(problem.parameters.names, len(entries)))
    identity = np.array([float(j == k) for (_, j, k), *_ in entries])
    dependents = dict(problem.boundary.dependents)
    for i, places in enumerate(entries):  # what multiplies an absent effect, or gives its term another one
        for sd in dict.fromkeys(int(arrays.sd_index[g, term]) for g, *pair in places for term in pair):
            dependents[sd] = (*dependents.get(sd, ()), n + i)
    sds = problem.scale[arrays.sd_index]
    nothing = np.zeros(len(entries), dtype=bool)
    own = problem.parameters
    domains = own.domains + [REAL] * len(names)
    fixed = np.concatenate([own.fixed, nothing]), np.concatenate([own.fixed_values, np.full(len(names), np.nan)])
    residual_groups, (groups, q), size = len(arrays.residual_index), arrays.sd_index.shape, p + len(entries)
    parameters = Parameters((*own.names, *names), domains, *fixed)
    scaled = scaled_effects(
        arrays, own.names, {place: name for name, each in zip(names, entries, strict=True) for place in each}
    )
    texts = {name: rewritten(name, text, lambda used: scaled.get(used, used)) for name, text in texts.items()}
    expanded = replace(
        problem,
        parameters=parameters,
        arrays=ExpandedArrays(
            linear=arrays,
            column_index=np.concatenate([arrays.mean_index, np.arange(n, n + len(entries))]).astype(np.int64),
            column_reference=np.concatenate([arrays.beta_reference, np.zeros(len(entries))]),
            work_column=work_column,
        ),
        constraints=compile_constraints(texts, parameters.names),
        scale=np.concatenate([problem.scale, [sds[g, j] / sds[g, k] for (g, j, k), *_ in entries]]),
        starts=Starts(tuple(np.concatenate([start, identity]) for start in problem.starts.values)),
        boundary=Boundary(
            np.concatenate([problem.boundary.collapsible, nothing]),
            dependents,
            np.concatenate([problem.boundary.at_zero, np.zeros(len(entries))]),
            problem.boundary.blocks,
        ),
        latent=replace(problem.latent, n_statistics=residual_groups * size * (size + 1) + groups * q * q, expand=None),
        clusters=Clusters(),
        likelihood=Likelihood(),
    )
    return Expansion(expanded, identity, partial(reduced, expanded.arrays, n))


def reduced(arrays: ExpandedArrays, n: int, x: Array) -> Array:
    """Parameters of the model (n,) with the same law of the responses as those of the expanded one (n + W,)."""
    out = np.array(x, dtype=float)
    reduce_expanded(arrays, out)
    return out[:n]


def check_expandable(problem: Problem) -> None:
    """Refuse what the reduction would break."""
    arrays: LinearArrays = problem.arrays
    names = problem.parameters.names
    effects = [int(i) for i in np.unique([*arrays.sd_index.ravel(), *arrays.corr_index[arrays.corr_index >= 0]])]
    why = "parameter expansion rescales the random effects after the M-step"
    for i in effects:
        if problem.parameters.fixed[i]:
            raise ModelError(f"{why}, but {names[i]!r} is in [fixed]; {INSTEAD}")
        if i in arrays.residual_index:
            raise ModelError(f"{why}, but {names[i]!r} is the SD of a residual too; {INSTEAD}")


def working_entries(arrays: LinearArrays, tied: set[int]) -> list[list[tuple[int, int, int]]]:
    """The entries (group, row, column) of the working matrices that each working parameter stands for.

    ``tied`` parameters are in a constraint.
    """
    groups, q = arrays.sd_index.shape
    index = arrays.sd_index
    by_sd: dict[int, list[tuple[int, int, int]]] = {}
    full: list[list[tuple[int, int, int]]] = []
    for g in range(groups):
        own = all(np.sum(index == i) == 1 for i in index[g])
        between = arrays.corr_index[g][arrays.corr_index[g] >= 0]
        if own and len(between) and not tied.intersection(map(int, [*index[g], *between])):
            full += [[(g, j, k)] for j in range(q) for k in range(q)]
            continue
        for j in range(q):
            by_sd.setdefault(int(index[g, j]), []).append((g, j, j))
    return [*by_sd.values(), *full]


def scaled_effects(
    arrays: LinearArrays, names: tuple[str, ...], factors: dict[tuple[int, int, int], str]
) -> dict[str, str]:
    """The reduced standard deviations and correlations of groups with a diagonal working matrix, as expressions.

    ``factors`` names the working parameter of each entry (group, row, column). Roots of squares, and not ``abs``,
    have their derivatives everywhere but at zero.
    """
    found: dict[str, str] = {}
    groups, q = arrays.sd_index.shape
    for g in range(groups):
        if any((g, j, k) in factors for j in range(q) for k in range(q) if j != k):
            continue
        for j in range(q):
            size = f"sqrt({factors[g, j, j]}**2)"
            sd = names[arrays.sd_index[g, j]]
            found[sd] = f"{size} * {sd}"
            for k in range(j):
                if arrays.corr_index[g, j, k] >= 0:
                    name = names[arrays.corr_index[g, j, k]]
                    both = f"{factors[g, j, j]} * {factors[g, k, k]}"
                    found[name] = f"{name} * {both} / sqrt(({both})**2)"
    return found


def working_names(taken: tuple[str, ...], n: int) -> list[str]:
    """Names of working parameters, which are none of the model's."""
    stem = "work"
    while any(f"{stem}_{i + 1}" in taken for i in range(n)):
        stem += "_"
    return [f"{stem}_{i + 1}" for i in range(n)]
