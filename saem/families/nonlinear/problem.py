"""The nonlinear model of a validated table, as algorithms see it."""

from __future__ import annotations

import ast
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from saem.expressions.columns import Values
from saem.expressions.constraint import Constraints
from saem.expressions.rows import RowExpression
from saem.families.nonlinear import complete, density, integral, reduction
from saem.families.nonlinear.arrays import BETWEEN, POSITIVE, REAL, NonlinearArrays, n_statistics
from saem.families.nonlinear.centring import Centring
from saem.families.nonlinear.columns import Lifted, lifted, values_of
from saem.families.nonlinear.data import NonlinearData
from saem.families.nonlinear.default_priors import default_priors
from saem.families.nonlinear.functions import Builder, Functions
from saem.families.nonlinear.separation import check_separation
from saem.families.nonlinear.slopes import guided, slope_arrays
from saem.families.nonlinear.start import starting_values
from saem.families.problem import Boundary, Clusters, LatentData, Likelihood, Priors, Problem, Starts
from saem.specification.domains import CORRELATION, SD
from saem.specification.parameters import Parameters

Array = np.ndarray
#: Their functions are found by the types of the arrays.
COMPILED = (complete, density, integral, reduction)
FIRST_NODES = 3  # of the quadrature for every random effect, far from the estimate
SMALLER = (0.2, 2.0)  # factors of the standard deviations of other starts
#: Machine code by the model that it is of; kept as long as the process, for arrays know but its addresses.
_FUNCTIONS: dict[Any, Functions] = {}
_LIFTED: WeakKeyDictionary[NonlinearData, Lifted] = WeakKeyDictionary()


def build_problem(data: NonlinearData, constraints: Constraints) -> Problem:
    """See `saem.families.family.Family.build_problem`."""
    structure, parameters = data.structure, data.parameters
    arrays = arrays_of(data)
    start = starting_values(arrays, parameters, structure)
    check_separation(data, constraints, start)
    domains = parameters.domains
    effects = np.array([domain in (SD, CORRELATION) for domain in domains])
    free = ~parameters.fixed
    sds = np.unique(arrays.sd_index[arrays.sd_index >= 0])
    scale = np.maximum(np.abs(start), np.where(domains.is_positive, 1e-300, 1e-3))  # what is positive may be small
    collapsible = free & effects
    dependents: dict[int, tuple[int, ...]] = {}
    for row, corr in zip(arrays.sd_index, arrays.corr_index, strict=True):
        for sd, own in zip(row.tolist(), corr, strict=True):
            if sd < 0:
                continue
            dependents[sd] = tuple(dict.fromkeys([*dependents.get(sd, ()), *own[own >= 0].tolist()]))
    is_sd = np.isin(np.arange(len(domains)), sds)
    others = tuple(np.where(is_sd & free, factor * start, start) for factor in SMALLER)
    d, groups = len(structure.effects), len(arrays.n_clusters)
    has_correlations = bool(np.any(arrays.corr_index >= 0))

    centring = Centring(arrays, functions_of(data))

    def joint() -> Any:
        return arrays

    return Problem(
        parameters=parameters,
        constraints=constraints,
        arrays=arrays,
        scale=scale,
        starts=Starts((start,), others),
        boundary=Boundary(
            collapsible,
            dependents,
            np.zeros(len(domains)),
            tuple((sd, corr) for sd, corr in zip(arrays.sd_index, arrays.corr_index, strict=True) if np.all(sd >= 0))
            if has_correlations
            else (),
        ),
        latent=LatentData(
            size=len(arrays.group) * d,
            n_statistics=n_statistics(
                len(arrays.expanded), len(arrays.scale_index), groups, len(arrays.term_effect), d
            ),
            has_draws=False,
            augmentation=centring,
            observe=centring.observed,
        ),
        clusters=Clusters(
            len(arrays.group),
            joint=joint,
            together=lambda x, modes, curvatures: guided(
                slope_arrays(data, lifted_of(data), arrays), x, modes, curvatures
            ),
        ),
        likelihood=Likelihood("quadrature", first_nodes=FIRST_NODES if d else 1, is_local=True),
        priors=Priors(default=partial(default_priors, arrays, parameters, structure, start)),
    )


def lifted_of(data: NonlinearData) -> Lifted:
    """The expressions of a model with the columns of its table taken apart; once for a table."""
    if data not in _LIFTED:
        structure = data.structure if data.gathered is None else data.gathered.structure
        _LIFTED[data] = lifted(structure, frozenset(columns_of(data)), data.constant_columns)
    return _LIFTED[data]


def columns_of(data: NonlinearData) -> dict[str, Values]:
    """The columns (n,) that the compiled expressions read."""
    return data.columns if data.gathered is None else {**data.columns, **data.gathered.columns}


def expanded(found: Lifted, parameters: Parameters) -> Array:
    """The parameters (p,) that may be part of an expansion: those of the rows, and of the terms."""
    names = {
        node.id
        for tree in (found.log_density, *found.arguments.values(), *found.terms)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
    }
    return np.array([i for i, name in enumerate(parameters.names) if name in names], dtype=np.int64)


def functions_of(data: NonlinearData) -> Functions:
    """The compiled functions of a model, from the memory of this process or the cache folder."""
    found = lifted_of(data)
    key = (
        found.parameters,
        found.coordinates,
        ast.dump(found.log_density),
        *(ast.dump(tree) for tree in (*found.arguments.values(), *found.terms)),
        tuple((pair, ast.dump(tree)) for pair, tree in found.information.items()),
        found.scored,
        tuple((s.parameter, ast.dump(s.indicator), ast.dump(s.square)) for s in found.scales),
        tuple(found.prepared),
        found.constant,
        data.gathered is not None,
    )
    if key not in _FUNCTIONS:
        _FUNCTIONS[key] = Builder(found, expanded(found, data.parameters), data.gathered is not None).build()
    return _FUNCTIONS[key]


def arrays_of(data: NonlinearData) -> NonlinearArrays:
    """The arrays of the family's compiled functions; nothing is centred."""
    found, functions, structure = lifted_of(data), functions_of(data), data.structure
    order = np.argsort(data.cluster, kind="stable")
    sizes = np.bincount(data.cluster, minlength=len(data.cluster_group))
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    n, d = len(data.response), len(structure.effects)
    read = np.zeros((n, 0), dtype=np.int64) if data.gathered is None else data.gathered.positions
    matrix = found.matrix(columns_of(data), n)
    if data.gathered is not None:
        matrix = np.hstack([matrix, read, np.full((n, 1), d)])
    columns = np.ascontiguousarray(matrix[order])
    basis = np.ascontiguousarray(found.centre_columns(data.columns, n)[order][first[:-1]])
    groups = len(data.group_levels)
    gram = np.zeros((groups, basis.shape[1], basis.shape[1]))
    for g in range(groups):
        own = basis[data.cluster_group == g]
        gram[g] = own.T @ own
    indicators = tuple(RowExpression.of_tree(scale.indicator) for scale in structure.scales)
    scale_rows = np.add.reduceat(values_of(indicators, data.columns, n)[order], first[:-1])
    index = expanded(found, data.parameters)
    kinds = np.array([kind_of(data.parameters, int(i)) for i in index], dtype=np.int64)
    sd_index, corr_index = structure.sd_index, structure.corr_index
    terms = [(j, j) for j in range(d)]
    terms += [(j, k) for j in range(d) for k in range(j) if groups and corr_index[0, j, k] >= 0]
    slots = [[sd_index[g, j] if j == k else corr_index[g, j, k] for j, k in terms] for g in range(groups)]
    return NonlinearArrays(
        rows=functions.uncentred,
        slopes=functions.slopes,
        bends=functions.bends,
        terms=functions.terms,
        term_values=functions.term_values.address,
        columns=columns,
        first=first,
        term_effect=np.array(found.term_effect, dtype=np.int64),
        basis=basis,
        gram=gram,
        centred=np.zeros(d, dtype=np.int64),
        expanded=index,
        kind=kinds,
        low=data.parameters.domains.low[index],
        high=data.parameters.domains.high[index],
        scale_index=np.array(found.scale_index, dtype=np.int64),
        scale_rows=scale_rows,
        group=np.asarray(data.cluster_group, dtype=np.int64),
        n_clusters=np.bincount(data.cluster_group, minlength=groups).astype(float),
        sd_index=np.asarray(sd_index, dtype=np.int64),
        corr_index=np.ascontiguousarray(corr_index, dtype=np.int64),
        n_effects=numbers_of_effects(data),
        read=np.ascontiguousarray(read[order]),
        slot_index=np.maximum(np.array(slots, dtype=np.int64).reshape(groups, len(terms)), 0),  # absent: adds nothing
        slot_terms=np.array(terms, dtype=np.int64).reshape(len(terms), 2),
    )


def numbers_of_effects(data: NonlinearData) -> Array:
    """The effects of each variance group (G,): a row reads all of them, or none beyond the last that is there."""
    sd_index = np.asarray(data.structure.sd_index)
    if data.gathered is None:
        return np.full(len(sd_index), sd_index.shape[1], dtype=np.int64)
    return np.array([1 + max(np.flatnonzero(row >= 0), default=-1) for row in sd_index], dtype=np.int64)


def kind_of(parameters: Parameters, i: int) -> int:
    """How a parameter is expanded: on a scale without bounds, unless a maximum may be at its bound, or it is fixed."""
    domain = parameters.domains[i]
    if parameters.fixed[i] or domain in (SD, CORRELATION) or not np.isfinite(domain.low):
        return REAL
    return BETWEEN if np.isfinite(domain.high) else POSITIVE
