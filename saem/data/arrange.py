"""From a model and a table to validated arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saem.columns import Factor, Values, check_columns, missing_rows
from saem.data.groups import check_constant, cluster_codes, group_codes, repeated_rows
from saem.data.intake import needed_columns, read_columns
from saem.data.table import Rows
from saem.errors import DataError, listing
from saem.expressions.rows import RowExpression, row_expression
from saem.parameters import Parameters
from saem.specification import Model
from saem.specification.formula import design
from saem.specification.slots import ONE_GROUP, Slots

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1e100

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ModelData:
    """What the linear family consumes: n rows, p mean columns, q random terms, C clusters, G variance groups.

    Parameters
    ----------
    parameters : Parameters
    response : (n,) ndarray
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
    """

    parameters: Parameters
    response: _Floats
    mean_design: _Floats
    random_design: _Floats
    mean_labels: tuple[str, ...]
    mean_index: _Codes
    term_names: tuple[str, ...]
    cluster: _Codes
    cluster_labels: pd.DataFrame
    cluster_group: _Codes
    group_levels: tuple[str, ...]
    sd_index: _Codes
    corr_index: _Codes
    residual_group: _Codes
    residual_levels: tuple[str, ...]
    residual_index: _Codes
    warnings: tuple[str, ...]
    n_dropped: int


def arrange(model: Model, table: pd.DataFrame, drop_missing: bool = False) -> ModelData:
    """Check a table against a model and arrange it as arrays.

    Parameters
    ----------
    model : Model
    table : DataFrame
        (n,) rows; other columns than those of the model are ignored.
    drop_missing : bool
        Leave out rows with a missing or infinite value in a column that the model reads, and count them.

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
    table, columns, factors, rows, n_dropped = read_columns(model, table, drop_missing)
    response = columns[model.response]
    assert isinstance(response, np.ndarray)
    response = np.ascontiguousarray(response, dtype=np.float64)
    if response.min() == response.max():
        raise DataError(
            f"the response {model.response!r} is constant: it is {response[0]:g} in all {len(response)} rows"
        )

    cluster, first = cluster_codes([factors[name] for name in model.cluster])
    mean_design, mean_names, mean_labels, left_out = _mean(model, table, columns, rows)
    random_design = _columns(model.random.terms, columns, len(response), rows, "random term")
    group, group_levels = _groups(model.random.by, model.random.sd, factors, len(response))
    cluster_group = group[first]
    if model.random.by is not None:
        cluster_group = check_constant(group, cluster, first, (model.random.by, model.cluster), rows)
    residual_group, residual_levels = _groups(model.residual.by, model.residual.sd, factors, len(response))
    slots = Slots(model, mean_names, group_levels, residual_levels)
    _check_counts(model, slots, cluster_group, len(response), mean_design)
    _check_size(model.response, response)
    for names, matrix in ((mean_names, mean_design), (tuple(model.random.terms), random_design)):
        for name, values in zip(names, matrix.T, strict=True):
            _check_size(name, values)
    warnings = [text for text in (repeated_rows(table, response, cluster, rows), left_out) if text is not None]
    labels = table[list(model.cluster)].take(first)
    labels.index = range(len(first))  # type: ignore[assignment]
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
        warnings=tuple(warnings),
        n_dropped=n_dropped,
    )


def _check_size(name: str, values: _Floats) -> None:
    """Squares of the values have to be numbers that a computer can hold."""
    largest = max(float(values.max()), -float(values.min()))
    if largest > LARGEST or 0.0 < largest < 1.0 / LARGEST:
        raise DataError(
            f"the values of {name!r} must lie between {1 / LARGEST:g} and {LARGEST:g} in size; got {largest:g}: "
            "choose another unit, or look for a typing error"
        )


def _mean(
    model: Model, table: pd.DataFrame, columns: dict[str, Values], rows: Rows
) -> tuple[_Floats, tuple[str, ...], tuple[str, ...], str | None]:
    """Design matrix of the mean, the names of its parameters, where they act, and a warning about what was left out."""
    if isinstance(model.mean, dict):
        matrix = _columns(model.mean, columns, len(table), rows, "parameter")
        return matrix, tuple(model.mean), tuple(model.mean.values()), None
    matrix, names, labels = design(model.mean, table)
    for name, label, column in zip(names, labels, matrix.T, strict=True):
        if not np.isfinite(column.sum()):
            raise DataError(
                f"parameter {name!r} of the formula {model.mean!r} ({label}) is not finite in all rows; "
                "a logarithm needs positive numbers"
            )
    used: NDArray[np.bool_] = np.any(matrix, axis=0)
    if used.all():
        return matrix, names, labels, None
    empty = listing([label for label, keep in zip(labels, used, strict=True) if not keep])
    names, labels = (tuple(np.array(texts, dtype=object)[used]) for texts in (names, labels))
    warning = f"no row has the combination of levels {empty} of the formula {model.mean!r}: left out of the model"
    return np.ascontiguousarray(matrix[:, used]), names, labels, warning


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
    counts: dict[str, int] = {}
    for names, count in zip(slots.sds, per_group, strict=True):
        for name in dict.fromkeys(names):
            counts[name] = counts.get(name, 0) + int(count)
    for name in dict.fromkeys(free):
        if counts[name] < 2:
            raise DataError(
                f"the SD {name!r} cannot be estimated from one cluster (cluster = {clusters}); it needs at least 2: "
                "name the cluster columns so that replicates differ, or share one SD between the groups"
            )
    if n <= mean_design.shape[1]:
        rank = int(np.linalg.matrix_rank(mean_design))
        if n <= rank:
            raise DataError(f"too few rows: {n} rows for {rank} means leave nothing to estimate a variance from")
