"""From a model with several grouping factors and a table to what the nonlinear family consumes.

The clusters are the connected components of the rows: those that share a level of any factor, one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saem.data.designs import check_sizes, date_origins, expression_columns, fixed_design
from saem.data.groups import cluster_codes
from saem.data.intake import nearly_numbers, table_of
from saem.errors import DataError
from saem.expressions.columns import NOTES, level_text
from saem.expressions.constraint import parameters_of
from saem.families.crossed_glmm.specification import CrossedGlmmModel, correlations
from saem.families.designed_data import apart_from, take_in
from saem.families.glmm.columns import columns_of, structure_of
from saem.families.glmm.data import GlmmData, check_outcomes, with_successes
from saem.families.levels import (
    Indices,
    Listed,
    Patterns,
    Units,
    connected,
    level_label,
    packed,
    patterns_of_all,
    units_of,
)
from saem.families.nonlinear.data import check_effects, is_constant
from saem.families.nonlinear.gathered import Gathered
from saem.specification.grouping import GroupingFactor
from saem.specification.layout import ONE_GROUP
from saem.specification.parameters import Parameters

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class Positions(NamedTuple):
    """The parameters, and where those of random effects act: as `saem.specification.layout.Layout` has them."""

    parameters: Parameters
    sd_index: Codes
    corr_index: Codes
    sds: list[tuple[str, ...]]


def arrange(
    model: CrossedGlmmModel, table: pd.DataFrame, drop_missing: bool, formula_state: dict[str, Any] | None
) -> GlmmData:
    """See `saem.families.arrange`."""
    taken = take_in(model, with_successes(model, table), drop_missing)
    n, rows = len(taken.response), taken.rows
    levels = [cluster_codes([taken.factors[name] for name in factor.cluster])[0] for factor in model.random.values()]
    cluster = connected(levels)
    first = np.unique(cluster, return_index=True)[1]
    units = tuple(units_of(cluster, level) for level in levels)
    check_units(model, units, n)
    named = {used for name, text in model.constraints.items() for used in parameters_of(name, text)}
    mean = fixed_design(model.design, taken.columns, n, rows, formula_state, named | set(model.fixed))
    if isinstance(model.predictor, str):
        mean = apart_from({name for factor in model.random.values() for name in factor.sd_names(None)}, mean)
    designs = [expression_columns(f.terms, taken.columns, n, rows, "random term") for f in model.random.values()]
    patterns = patterns_of_all(units)
    names, counts = term_names(model, patterns), patterns.counts[patterns.of_cluster]
    places = coordinates_read(model, counts[cluster], [each.position for each in units])
    random = random_design(places, np.hstack(designs), len(names))
    check_sizes(mean.names, mean.matrix)
    check_sizes(names, random)
    layout = positions(model, mean.names, patterns)
    check_outcomes(model, taken)
    columns = columns_of(model, mean.names, mean.matrix, random, mean.offset, taken.columns, rows, names)
    columns |= {f"response[{model.response}]": taken.response}
    notes = [text for name, text in taken.attributes.get(NOTES, {}).items() if name in (*taken.columns, *taken.factors)]
    texts = [text for factor in model.random.values() for text in factor.terms.values()]
    texts += [] if isinstance(model.design, str) else list(model.design.values())
    warnings = [
        *notes,
        *mean.warnings,
        *date_origins(texts, taken.columns),
        *nearly_numbers(model, taken.columns, rows),
    ]
    return GlmmData(
        parameters=layout.parameters,
        response=taken.response,
        mean_design=mean.matrix,
        random_design=random,
        mean_labels=mean.labels,
        mean_index=np.arange(len(mean.names), dtype=np.int64),
        term_names=names,
        cluster=cluster,
        cluster_labels=partial(labels, len(first)),
        cluster_group=patterns.of_cluster,
        group_levels=ONE_GROUP * len(patterns.group),
        sd_index=layout.sd_index,
        corr_index=layout.corr_index,
        warnings=tuple(dict.fromkeys(warnings)),
        n_dropped=taken.n_dropped,
        offset=mean.offset,
        formula_state=mean.state,
        unclear={name: label for name, label in zip(mean.names, mean.labels, strict=True) if name in mean.unclear},
        table=partial(table_of, taken.series, taken.attributes),
        structure=structure_of(model, layout, mean, {}, dict.fromkeys(names, "")),
        gathered=Gathered(
            structure_of(model, layout, mean, {}, reading(model)),
            {f"term[{name}]": column for name, column in zip(reading(model), np.hstack(designs).T, strict=True)},
            places,
        ),
        columns=columns,
        constant_columns=frozenset(name for name, values in columns.items() if is_constant(values, cluster, first)),
        outcome=model.outcome.row,
        predictors={},
        patterns=patterns,
        units=units,
    )


def positions(model: CrossedGlmmModel, means: tuple[str, ...], patterns: Patterns) -> Positions:
    """Where the parameters act, on the random effects of clusters of every pattern."""
    parameters = model.parameters_with(means)
    found = packed(patterns, [indices(factor, parameters) for factor in model.random.values()])
    sds = [tuple(parameters.names[i] for i in row if i >= 0) for row in found.sd]
    return Positions(parameters, found.sd, found.corr, sds)


def indices(factor: GroupingFactor, parameters: Parameters) -> Indices:
    """The parameters of the random effects of one level of a factor."""
    q = len(factor.terms)
    corr = np.full((1, q, q), -1, dtype=np.int64)
    for (i, j), name in correlations(factor).items():
        corr[0, i, j] = corr[0, j, i] = parameters.index(name)
    return Indices(np.array([[parameters.index(name) for name in factor.sd_names(None)]], dtype=np.int64), corr)


def term_names(model: CrossedGlmmModel, patterns: Patterns) -> tuple[str, ...]:
    """The coordinates of a cluster: ``Female[3]``, or ``Female[3].slope`` of several terms, of the largest one.

    Others may have those of other levels there: see `listed`.
    """
    found = [
        f"{name}[{k + 1}]" if tuple(factor.terms) == ("intercept",) else f"{name}[{k + 1}].{term}"
        for (name, factor), count in zip(model.random.items(), patterns.counts[0], strict=True)
        for k in range(count)
        for term in factor.terms
    ]
    return tuple(found)


def reading(model: CrossedGlmmModel) -> dict[str, str]:
    """The random effects that a row reads: their names -> where they act."""
    return {f"{name}.{term}": text for name, factor in model.random.items() for term, text in factor.terms.items()}


def coordinates_read(model: CrossedGlmmModel, counts: Codes, places: Sequence[Codes]) -> Codes:
    """Which coordinates of its cluster each row reads, in the order of `reading`; -1 where a level has none.

    Parameters
    ----------
    counts : (n, F) ndarray
        Units of each factor in the cluster of each row.
    places : sequence of (n,) ndarray
        Of the row's unit among them.
    """
    found, begin = [], np.zeros(len(counts), dtype=np.int64)
    for factor, count, place in zip(model.random.values(), counts.T, places, strict=True):
        q = len(factor.terms)
        found += [np.where(place >= 0, begin + q * place + k, -1) for k in range(q)]
        begin = begin + q * count
    return np.column_stack(found)


def random_design(positions: Codes, terms: Floats, d: int) -> Floats:
    """The columns (n, d) by which rows read the coordinates of their clusters: ``terms`` (n, m) at ``positions``."""
    n, m = positions.shape
    found = np.zeros((n, d + 1))  # -1 is the last, which is nobody's
    found[np.repeat(np.arange(n), m), positions.ravel()] = terms.ravel()
    return np.ascontiguousarray(found[:, :d])


def check_units(model: CrossedGlmmModel, units: tuple[Units, ...], n: int) -> None:
    """Refuse factors whose effects cannot be told from anything, and clusters with too many of them.

    Raises
    ------
    DataError
    """
    for (name, factor), each in zip(model.random.items(), units, strict=True):
        free = [sd for sd in factor.sd_names(None) if sd not in model.fixed]
        if free and len(each.first) < 2:
            raise DataError(
                f"the SD {free[0]!r} cannot be estimated from one level of {name!r} (cluster = {list(factor.cluster)})"
                "; it needs at least 2"
            )
        if free and len(each.first) == n and model.outcome.distribution == "bernoulli":
            raise DataError(
                f"each of the {n} rows is a level of {name!r} of its own, and one outcome of 0 or 1 says nothing of a "
                "random effect; cluster must name what several rows have in common"
            )
    counts = np.column_stack([each.counts for each in units])
    effects = counts @ [len(factor.terms) for factor in model.random.values()]
    worst = int(np.argmax(effects))
    what = " and ".join(f"{k} levels of {name!r}" for k, name in zip(counts[worst], model.random, strict=True))
    check_effects(int(effects[worst]), f"{what} (rows that share levels, one after another, are one cluster)")


def labels(n: int) -> pd.DataFrame:
    """The table of the clusters: their numbers."""
    import pandas as pd

    return pd.DataFrame({"component": np.arange(1, n + 1)})


def listed(model: CrossedGlmmModel, data: GlmmData, table: pd.DataFrame) -> Listed:
    """See `saem.families.family.Family.listed`."""
    import pandas as pd

    assert data.patterns is not None
    counts = data.patterns.counts[data.cluster_group][data.cluster]
    places = coordinates_read(model, counts, [units.position for units in data.units])
    names, cluster, coordinate, slot = [], [], [], 0
    for (name, factor), units in zip(model.random.items(), data.units, strict=True):
        rows, terms = table[list(factor.cluster)].iloc[units.first], tuple(factor.terms)
        for first, values in zip(units.first.tolist(), rows.itertuples(index=False), strict=True):
            level = level_label([level_text(value) for value in values])
            names += [(name, level, term) for term in terms]
            cluster += [int(data.cluster[first])] * len(terms)
            coordinate += places[first, slot : slot + len(terms)].tolist()
        slot += len(terms)
    index = pd.MultiIndex.from_tuples(names, names=["factor", "level", "term"])
    return Listed(index, np.array(cluster), np.array(coordinate))
