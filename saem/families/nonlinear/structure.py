"""A nonlinear model as one thing: the log-density of a row in parameters, coordinates of the cluster, and columns."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.expressions.grammar import names_in
from saem.families.levels import Indices, Patterns, spread
from saem.families.nonlinear import trees
from saem.families.nonlinear.laws import Law
from saem.families.nonlinear.past import given_past
from saem.families.nonlinear.predictors import Predictor
from saem.families.nonlinear.row_law import RowLaw, row_law
from saem.families.nonlinear.scales import Scale, scales_of
from saem.families.nonlinear.separated import separated
from saem.families.nonlinear.slots import slots_of
from saem.specification.parameters import Parameters

if TYPE_CHECKING:
    from saem.families.nonlinear.specification import NonlinearModel


__all__ = ["Effect", "Scale", "Structure", "structure_of"]


@dataclass(frozen=True, eq=False)
class Effect:
    """The random effect of an individual parameter, on the scale on which it is normal.

    Attributes
    ----------
    name : str
        The individual parameter; its coordinate is named ``z.name``.
    law : str
        One of `saem.families.nonlinear.laws.LAWS`.
    low, high : float
        Its bounds.
    centre : tuple of (ast.expr, ast.expr)
        ``m = sum_k a_k(x) b_k(columns)``; empty where the coordinate has mean 0, and the centre, if there is one,
        stands in the expressions of the row.
    """

    name: str
    law: str
    low: float
    high: float
    centre: tuple[tuple[ast.expr, ast.expr], ...]


@dataclass(frozen=True, eq=False)
class Structure:
    """What the likelihood of a model is made of.

    In the trees population parameters and columns have their names, and coordinates ``z.name``.

    Attributes
    ----------
    parameters : Parameters
    effects : tuple of Effect
        (d,) in the order of the model file.
    sd_index : (G, d) ndarray of int64
    corr_index : (G, d, d) ndarray of int64
        -1 where there is no correlation.
    log_density : ast.expr
        Of a row, with every constant.
    arguments : dict of str to ast.expr
        The arguments of the distribution, by their keys; and quantities that `information` is about. Where residuals
        are correlated, given the earlier rows of the cluster.
    alone : dict of str to ast.expr
        The same for the row alone, and that of other rows.
    information : dict of (str, str) to ast.expr
        Fisher's information of a row in its arguments, each pair once. Empty where there is none of a simple form: the
        outer product of the score stands for it.
    scored : tuple of str
        Arguments that have no information of their own beside those that have: the outer product stands for theirs.
    scales : tuple of Scale
        Where residual scales factor out, and nothing else of the row holds a population parameter; else empty. A
        parameter may be that of several.
    mean, variance : ast.expr or None
        Of the response given the coordinates.
    start : dict of str to float
        Of the parameters for which the model says one.
    """

    parameters: Parameters
    effects: tuple[Effect, ...]
    sd_index: NDArray[np.int64]
    corr_index: NDArray[np.int64]
    log_density: ast.expr
    arguments: dict[str, ast.expr]
    alone: dict[str, ast.expr]
    information: dict[tuple[str, str], ast.expr]
    scales: tuple[Scale, ...]
    mean: ast.expr | None
    variance: ast.expr | None
    start: dict[str, float]
    scored: tuple[str, ...] = ()
    sds: list[tuple[str, ...]] = field(default_factory=list)


def occasion_column(k: int) -> str:
    """The column that is one at the k-th occasion of each cluster, from 0."""
    return f"occasion[{k + 1}]"


def of_occasion(name: str, k: int) -> str:
    """What the k-th occasion adds to an individual parameter."""
    return f"{name}[{k + 1}]"


def structure_of(
    model: NonlinearModel,
    group_levels: tuple[str, ...],
    constant_columns: frozenset[str],
    predictors: Mapping[str, Predictor] | None = None,
    patterns: Patterns | None = None,
    largest: int = 3,
) -> Structure:
    """The structure of a model.

    Parameters
    ----------
    model : NonlinearModel
    group_levels : tuple of str
        (G,) levels of the variance groups; ``("",)`` without `by`.
    constant_columns : frozenset of str
        Columns that are constant within every cluster: only centres of these can be centres of coordinates.
    predictors : mapping of str to Predictor, optional
        Of all that the model names in [linear].
    patterns : Patterns, optional
        Of the clusters by their numbers of occasions, of a model that has these.
    largest : int
        Rows of the largest group of correlated ones.

    Raises
    ------
    ModelError
        When a name has two meanings, or a value is impossible.
    """
    reading, linear = model.reading, {name: each.tree for name, each in (predictors or {}).items()}
    slots = slots_of(model, group_levels, predictors or {}, largest)
    most = 0 if patterns is None else int(patterns.counts.max())
    columns = _columns(model, predictors or {}) | {occasion_column(k) for k in range(most)}
    values: dict[str, ast.expr] = {name: trees.column(name) for name in columns} | linear
    effects = []
    for name in reading.order:
        if name in reading.laws:
            effect, values[name] = _effect(name, reading.laws[name], values, columns, constant_columns, most)
            effects.append(effect)
            trees.check_size(values[name], f"individual.{name}")
    index, sds = Indices(slots.sd_index, slots.corr_index), slots.sds
    if patterns is not None:
        varying = [e for e in effects if reading.laws[e.name].occasion_sd is not None]
        effects += [replace(e, name=of_occasion(e.name, k), centre=()) for k in range(most) for e in varying]
        o = len(varying)
        none = np.full((len(group_levels), o, o), -1, dtype=np.int64)
        index = spread(patterns, index, [Indices(slots.occasion_index, none)])
        sds = [
            (*slots.sds[g], *(slots.occasion_sds[g] * int(k)))
            for g, (k,) in zip(patterns.group, patterns.counts, strict=True)
        ]
    _resolve("individual", reading.derived, values)
    arguments = {name: tree for name, tree in values.items() if name not in reading.arguments}
    _resolve("outcome", reading.arguments, arguments)
    own = {key: arguments[key] for key in reading.arguments}
    plain: RowLaw = row_law(model.outcome, own, model.response)
    law, said = plain, model.outcome.correlated
    if said is not None:
        varying_columns = columns - constant_columns | {model.response}
        law = row_law(
            model.outcome, given_past(said, own, varying_columns, model.response, said.n_back(largest)), model.response
        )
        trees.check_size(law.log_density, "outcome.correlation")
    return Structure(
        parameters=slots.parameters,
        effects=tuple(effects),
        sd_index=index.sd,
        corr_index=index.corr,
        log_density=law.log_density,
        arguments=law.arguments,
        alone=plain.arguments,
        information=law.information,
        scales=()
        if said is not None
        else scales_of(model.outcome, own, model.response, frozenset(slots.parameters.names), columns),
        mean=plain.mean,
        variance=plain.variance,
        start=dict(model.start),
        scored=law.scored,
        sds=sds,
    )


def _columns(model: NonlinearModel, predictors: Mapping[str, Predictor]) -> frozenset[str]:
    """All columns that trees may name."""
    made = {name for each in predictors.values() for name in (*each.columns, each.offset) if name}
    return model.reading.columns | frozenset(model.outcome.columns) | made


def _effect(
    name: str,
    law: Law,
    values: Mapping[str, ast.expr],
    columns: frozenset[str],
    constant_columns: frozenset[str],
    occasions: int,
) -> tuple[Effect, ast.expr]:
    """The random effect of an individual parameter, and the parameter as a tree."""
    centre, at = trees.substitute(law.centre, values), trees.coordinate(name)
    if law.occasion_sd is not None:
        each = range(occasions)
        moved = [trees.multiply(trees.column(occasion_column(k)), trees.coordinate(of_occasion(name, k))) for k in each]
        at = trees.add(at, trees.total(moved))
    terms = separated(law.on_normal_scale(centre), columns)
    varying = columns - constant_columns
    if terms is None or trees.depends(centre, varying):
        return Effect(name, law.kind, law.low, law.high, ()), law.around(centre, at)
    return Effect(name, law.kind, law.low, law.high, terms), law.value(at)


def _resolve(table: str, said: Mapping[str, ast.expr], values: dict[str, ast.expr]) -> None:
    """Put expressions that may name each other, in any order but no circle, among the values of names."""

    def resolved(name: str) -> ast.expr:
        if name in said and name not in values:
            inside = {other: resolved(other) for other in names_in(said[name]) if other in said}
            values[name] = trees.substitute(said[name], values | inside)
            trees.check_size(values[name], f"{table}.{name}")
        return values[name]

    for name in said:
        resolved(name)
