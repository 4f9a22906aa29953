"""From a model and a table to validated arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saem.data.aliasing import without_aliased
from saem.data.groups import check_constant, cluster_codes, group_codes, repeated_rows
from saem.data.intake import nearly_numbers, needed_columns, read_columns, response_values, table_of
from saem.data.table import Rows
from saem.data.weights import check_weights
from saem.errors import DataError
from saem.expressions.columns import NOTES, Factor, Values, check_columns, missing_rows, since_words
from saem.expressions.rows import RowExpression, row_expression
from saem.families.linear.layout import ONE_GROUP, Slots, slots_of, told_apart
from saem.specification import Model
from saem.specification.formula import Design, design
from saem.specification.parameters import Parameters
from saem.system.deferred import Deferred

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1e100

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelData:
    """What the linear family consumes: n rows, p mean columns, q random terms, C clusters, G variance groups.

    Parameters
    ----------
    parameters : Parameters
    response : (n,) ndarray
        On the model's scale, less the offset.
    mean_design : (n, p) ndarray
        C-contiguous.
    random_design : (n, q) ndarray
        C-contiguous.
    mean_index : (p,) ndarray of int64
        Parameter of each column of `mean_design`.
    mean_labels : tuple of str
        (p,) where each mean acts, as the model or the formula says it.
    term_names : tuple of str
        (q,) random terms.
    cluster : (n,) ndarray of int64
        0 to C - 1, in order of first appearance.
    cluster_labels : DataFrame
        (C,) rows with the cluster columns.
    cluster_group : (C,) ndarray of int64
        Variance group of each cluster.
    group_levels : tuple of str
        (G,) levels of the variance groups; ``("",)`` without `by`.
    sd_index : (G, q) ndarray of int64
        Parameter of each random-effect SD.
    corr_index : (G, q, q) ndarray of int64
        Parameter of each correlation, symmetric; -1 where there is none.
    residual_group : (n,) ndarray of int64
    residual_levels : tuple of str
        (H,) levels of the residual groups; ``("",)`` without `by`.
    residual_index : (H,) ndarray of int64
        Parameter of each residual SD.
    warnings : tuple of str
    n_dropped : int
        Rows left out because of missing values.
    weights : (n,) ndarray or None
        Prior weights: the residual variance of a row is that of its residual group over its weight; None where all
        are 1.
    offset : (n,) ndarray or None
        What a formula adds to the mean with the coefficient 1.
    formula_state : dict
        Constants of the design of a formula (`saem.specification.formula.Design`), with the columns that it keeps.
    unclear : dict of str to str
        Parameter -> column of the design, for the names that do not tell it.
    table : DataFrame or None
        (n,) rows of the columns that the model reads, as the user has them.
    """

    parameters: Parameters
    response: _Floats
    mean_design: _Floats
    random_design: _Floats
    mean_labels: tuple[str, ...]
    mean_index: _Codes
    term_names: tuple[str, ...]
    cluster: _Codes
    cluster_labels: Deferred[pd.DataFrame] = Deferred()
    cluster_group: _Codes
    group_levels: tuple[str, ...]
    sd_index: _Codes
    corr_index: _Codes
    residual_group: _Codes
    residual_levels: tuple[str, ...]
    residual_index: _Codes
    warnings: tuple[str, ...]
    n_dropped: int
    weights: _Floats | None = None
    offset: _Floats | None = None
    formula_state: dict[str, Any] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    table: Deferred[pd.DataFrame | None] = Deferred(None)

    @property
    def observed(self) -> _Floats:
        """The response (n,) on the model's scale."""
        return self.response if self.offset is None else self.response + self.offset

    def residual_sds(self, x: _Floats) -> _Floats:
        """The residual standard deviation (n,) of every row at parameters (n_parameters,)."""
        sds: _Floats = x[self.residual_index][self.residual_group]
        return sds if self.weights is None else sds / np.sqrt(self.weights)


def arrange(
    model: Model, table: pd.DataFrame, drop_missing: bool = False, formula_state: dict[str, Any] | None = None
) -> ModelData:
    """Check a table against a model and arrange it as arrays.

    Parameters
    ----------
    model : Model
    table : DataFrame
        (n,) rows; other columns than those of the model are ignored.
    drop_missing : bool
        Leave out rows with a missing or infinite value in a column that the model reads, and count them.
    formula_state : dict, optional
        Of a fit: its constants are used in the design of a formula, and no new ones made.

    Returns
    -------
    ModelData

    Raises
    ------
    DataError
        Saying which column, row or level does not fit the model, and what to do.
    """
    if not hasattr(table, "columns"):
        raise DataError(f"the table must be a pandas DataFrame; got {type(table).__name__}")
    check_columns(table, list(needed_columns(model)))
    if len(table) == 0:
        raise DataError("the table has no rows")
    series, columns, factors, rows, n_dropped = read_columns(model, table, drop_missing)
    response = response_values(model, columns, len(table) - n_dropped)
    if response.min() == response.max():
        raise DataError(
            f"the response {model.response!r} is constant: it is {response[0]:g} in all {len(response)} rows"
        )

    cluster, first = cluster_codes([factors[name] for name in model.cluster])
    mean = _mean(model, columns, len(response), rows, formula_state)
    if mean.offset is not None:
        response = response - mean.offset
    random_design = _columns(model.random.terms, columns, len(response), rows, "random term")
    group, group_levels = _groups(model.random.by, model.random.sd, factors, len(response))
    cluster_group = group[first]
    if model.random.by is not None:
        cluster_group = check_constant(group, cluster, first, (model.random.by, model.cluster), rows)
    residual_group, residual_levels = _groups(model.residual.by, model.residual.sd, factors, len(response))
    if isinstance(model.mean, str):
        mean = _apart_from_sds(model, mean, group_levels, residual_levels)
    mean_design, mean_names, mean_labels = mean.matrix, mean.names, mean.labels
    slots = slots_of(model, mean_names, group_levels, residual_levels)
    _check_counts(model, slots, cluster_group, len(response), mean_design)
    _check_sizes((model.response,), response[:, None])
    _check_sizes(mean_names, mean_design)
    _check_sizes(tuple(model.random.terms), random_design)
    weights = None
    if model.residual.weights is not None:
        weights = check_weights(model.residual.weights, columns[model.residual.weights], rows)
    labels = partial(_labels, {name: series[name] for name in model.cluster}, first)
    repeated = repeated_rows(response, cluster, rows)
    notes = [text for name, text in table.attrs.get(NOTES, {}).items() if name in (*columns, *factors)]
    warnings = [*notes, *([] if repeated is None else [repeated]), *mean.warnings, *_origins(model, columns)]
    warnings += nearly_numbers(model, columns, rows)
    return ModelData(
        parameters=slots.parameters,
        response=response,
        mean_design=mean_design,
        random_design=random_design,
        mean_labels=mean_labels,
        mean_index=np.arange(len(mean_names), dtype=np.int64),
        term_names=tuple(model.random.terms),
        cluster=cluster,
        cluster_labels=labels,
        cluster_group=cluster_group,
        group_levels=group_levels,
        sd_index=slots.sd_index,
        corr_index=slots.corr_index,
        residual_group=residual_group,
        residual_levels=residual_levels,
        residual_index=slots.residual_index,
        warnings=tuple(dict.fromkeys(warnings)),
        n_dropped=n_dropped,
        weights=weights,
        offset=mean.offset,
        formula_state=mean.state,
        unclear={name: label for name, label in zip(mean_names, mean_labels, strict=True) if name in mean.unclear},
        table=partial(table_of, series, table.attrs),
    )


def _labels(columns: dict[str, pd.Series[Any]], first: _Codes) -> pd.DataFrame:
    """The table of the clusters, from the columns of the rows and the first row of each cluster."""
    import pandas as pd

    labels = pd.DataFrame(columns, copy=False).take(first)
    labels.index = range(len(first))  # type: ignore[assignment]
    return labels


def _check_sizes(names: tuple[str, ...], columns: _Floats) -> None:
    """Squares of the values have to be numbers that a computer can hold."""
    sizes = np.maximum(columns.max(axis=0), -columns.min(axis=0))
    for name, largest in zip(names, sizes.tolist(), strict=True):
        if largest > LARGEST or 0.0 < largest < 1.0 / LARGEST:
            raise DataError(
                f"the values of {name!r} must lie between {1 / LARGEST:g} and {LARGEST:g} in size; got {largest:g}: "
                "choose another unit, or look for a typing error"
            )


def _mean(model: Model, columns: dict[str, Values], n: int, rows: Rows, state: dict[str, Any] | None) -> Design:
    """Design of the mean, of a table or of a formula; columns of a formula that are zero everywhere are left out."""
    if isinstance(model.mean, dict):
        matrix = _columns(model.mean, columns, n, rows, "parameter")
        return Design(matrix, tuple(model.mean), tuple(model.mean.values()), frozenset(), None, {}, ())
    found = design(model.mean, columns, n, state)
    for name, label, column in zip(found.names, found.labels, found.matrix.T, strict=True):
        if not np.isfinite(column.sum()):
            raise DataError(
                f"parameter {name!r} of the formula {model.mean!r} ({label}) is not finite in all rows; "
                "a logarithm needs positive numbers, and a divisor must not be 0"
            )
    if found.offset is not None and not np.isfinite(found.offset.sum()):
        raise DataError(f"the offset of the formula {model.mean!r} is not finite in all rows")
    return without_aliased(model, found)


def _apart_from_sds(
    model: Model, found: Design, group_levels: tuple[str, ...], residual_levels: tuple[str, ...]
) -> Design:
    """The design with other names for means that are called as standard deviations are that the model does not name."""
    automatic: set[str] = set()
    if model.residual.sd is None:
        levels: Iterable[str | None] = told_apart(residual_levels) if model.residual.by is not None else (None,)
        automatic |= {model.residual.sd_name(level) for level in levels}
    levels = told_apart(group_levels) if model.random.by is not None else (None,)
    terms = list(model.random.terms)
    for level in levels:
        automatic |= set(model.random.sd_names(level)) if model.random.sd is None else set()
        automatic |= {model.random.corr_name(a, b, level) for b in terms for a in terms[: terms.index(b)]}
    names = tuple(f"x_{name}" if name in automatic and f"x_{name}" not in found.names else name for name in found.names)
    changed = {name for name, before in zip(names, found.names, strict=True) if name != before}
    return replace(found, names=names, unclear=found.unclear | changed)


def _origins(model: Model, columns: dict[str, Values]) -> list[str]:
    """What the dates count from that row expressions calculate with."""
    texts = [*model.random.terms.values(), *(model.mean.values() if isinstance(model.mean, dict) else ())]
    found = []
    for expression in map(row_expression, texts):
        for name in sorted(expression.columns - set(expression.levels)):
            values = columns[name]
            if isinstance(values, Factor) and values.is_date:
                found.append(since_words(name, values.day(values.origin())))
    return found


def _columns(texts: dict[str, str], columns: dict[str, Values], n: int, rows: Rows, what: str) -> _Floats:
    """Evaluate one column of a design after the other, straight into its place."""
    matrix = np.empty((n, len(texts)))
    for j, (name, text) in enumerate(texts.items()):
        expression = row_expression(text)
        try:
            values = expression.evaluate(columns, n)
        except DataError as error:
            raise DataError(f"{what} {name!r}: {error}") from None
        if not values.any():
            raise DataError(_acts_on_nothing(expression, values, name, what))
        bad = missing_rows(values)
        if bad is not None:
            raise DataError(
                f"{what} {name!r}: {text!r} is not a finite number in {int(bad.sum())} rows, first in {rows.first(bad)}"
            )
        matrix[:, j] = values
    return matrix


def _acts_on_nothing(expression: RowExpression, values: NDArray[np.float64], name: str, what: str) -> str:
    if values.dtype == np.bool_:
        return f"no row has {expression.text}, so {what} {name!r} acts on nothing; remove it, or correct the expression"
    return f"{expression.text!r} is 0 in all rows, so {what} {name!r} acts on nothing; remove it"


def _groups(by: str | None, sd: object, factors: dict[str, Factor], n: int) -> tuple[_Codes, tuple[str, ...]]:
    """Codes and levels of variance or residual groups; one group without `by`."""
    if by is None:
        return np.zeros(n, dtype=np.int64), ONE_GROUP
    named: Iterable[str] | None = list(sd) if isinstance(sd, dict) else None
    return group_codes(factors[by], by, named)


def _check_counts(model: Model, slots: Slots, cluster_group: _Codes, n: int, mean_design: _Floats) -> None:
    """Refuse tables that are too small for the variances or the means."""
    free = [name for names in slots.sds for name in names if name not in model.fixed]
    clusters = list(model.cluster)
    if len(cluster_group) == n and free and any(name not in model.fixed for name in slots.residual_sds):
        raise DataError(
            f"each of the {n} rows is a cluster of its own (cluster = {clusters}), so the random effects cannot be "
            "told from the residual error; cluster must name what several rows have in common, such as the replicate, "
            "and these rows must be there"
        )
    per_group = np.bincount(cluster_group, minlength=len(slots.sds))
    counts: dict[str, int] = {}  # of random effects with each SD: terms may share one, as crossed effects do
    for names, count in zip(slots.sds, per_group, strict=True):
        for name in names:
            counts[name] = counts.get(name, 0) + int(count)
    for name in dict.fromkeys(free):
        if counts[name] < 2:
            raise DataError(
                f"the SD {name!r} cannot be estimated from one cluster (cluster = {clusters}); it needs at least 2: "
                "name the cluster columns so that replicates differ, or share one SD between groups or terms"
            )
    if n <= mean_design.shape[1]:
        rank = int(np.linalg.matrix_rank(mean_design))
        if n <= rank:
            raise DataError(f"too few rows: {n} rows for {rank} means leave nothing to estimate a variance from")
