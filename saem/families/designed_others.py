"""Rows that were not there when a model with a design was fitted, arranged as those of the fit were."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saem.data.table import Rows
from saem.errors import DataError, listing, nearest
from saem.expressions.columns import Factor, Values, check_columns, column_of, factorize, level_text, missing_rows
from saem.expressions.rows import row_expression
from saem.families.arranged import Arranged, DesignedData
from saem.families.designed_model import DesignedModel
from saem.specification.formula import design

if TYPE_CHECKING:
    import pandas as pd

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DesignedRows:
    """m rows without a response, for the parameters of a `DesignedData`.

    Attributes
    ----------
    mean_design : (m, p) ndarray
    random_design : (m, q) ndarray
    cluster : (m,) ndarray of int64
        The cluster of the fit that each row is of; -1 for a new one.
    group : (m,) ndarray of int64
        Variance group.
    offset : (m,) ndarray or None
        What a formula adds to the fixed part.
    """

    mean_design: _Floats
    random_design: _Floats
    cluster: _Codes
    group: _Codes
    offset: _Floats | None = None


class Others(NamedTuple):
    """Rows arranged, and their columns by name, for what a family has beside."""

    designed: DesignedRows
    columns: dict[str, Values]
    rows: Rows


def arrange_designed(model: DesignedModel, table: pd.DataFrame, data: DesignedData, others: pd.DataFrame) -> Others:
    """Arrange rows as those of a fit.

    Parameters
    ----------
    model : DesignedModel
    table : DataFrame
        The rows of the fit.
    data : DesignedData
        The same, arranged.
    others : DataFrame
        (m,) rows with all columns that the model reads, but the response. A cluster that is not in `table`, or left
        empty, is a new one, and all are where there are no cluster columns.

    Raises
    ------
    DataError
        When a column is missing or of another type, a value is missing, or a level of a factor of the fixed part or of
        a group is not in `table`.
    """
    strict = list(dict.fromkeys([*model.design_columns, *model.group_columns, *model.number_columns]))
    columns, rows = read_others(model.cluster, strict, table, others)
    terms = evaluated(model.random.terms, columns, len(others), rows)
    offset = None
    if isinstance(model.design, str):
        mean, offset = formula_design(model.design, len(others), columns, data.formula_state, rows)
    else:
        mean = evaluated(model.design, columns, len(others), rows)
    cluster, group = clusters_and_groups(model.cluster, model.random.by, data, columns, others, rows)
    return Others(DesignedRows(mean, terms, cluster, group, offset), columns, rows)


def read_others(
    cluster: tuple[str, ...],
    strict: list[str],
    table: pd.DataFrame,
    others: pd.DataFrame,
    are_several: bool = False,
) -> tuple[dict[str, Values], Rows]:
    """The columns that new rows must have, as the rows of a fit had them.

    Parameters
    ----------
    cluster : tuple of str
        Columns of the clusters, of which all may be absent, but not some.
    strict : list of str
        Others, of which none may.
    table : DataFrame
        The rows of the fit.
    others : DataFrame
        (m,) rows.
    are_several : bool
        Whether there are several grouping factors, each of which may be absent by itself.

    Raises
    ------
    DataError
    """
    if not hasattr(others, "columns"):
        raise DataError(f"the table must be a pandas DataFrame; got {type(others).__name__}")
    needed = strict.copy()
    texts = [str(name) for name in others.columns]
    absent = [name for name in cluster if name not in texts and name not in needed]
    if (len(absent) < len(cluster) and not are_several) or any(nearest(name, texts) for name in absent):
        needed += absent  # none of them, and none misspelt: rows of no cluster in particular
    check_columns(others, list(dict.fromkeys([*cluster, *needed])) if not absent else needed, "a prediction")
    if len(others) == 0:
        raise DataError("the table has no rows to predict")
    rows = Rows(others)
    return {name: as_before(table, others, name, rows) for name in strict}, rows


def clusters_and_groups(
    clusters: tuple[str, ...],
    by: str | None,
    data: Arranged,
    columns: dict[str, Values],
    others: pd.DataFrame,
    rows: Rows,
) -> tuple[_Codes, _Codes]:
    """The cluster (m,) of the fit that each new row is of, -1 for a new one, and its variance group (m,)."""
    labels: Any = data.cluster_labels
    known = all(name in others.columns for name in clusters)
    cluster = clusters_of_rows(labels, others) if known else np.full(len(others), -1, dtype=np.int64)
    group = group_of(columns, by, data.group_levels, len(others))
    if by is not None:
        check_groups(by, data, cluster, group, rows)
    return cluster, group


def as_before(table: pd.DataFrame, others: pd.DataFrame, name: str, rows: Rows) -> Values:
    """A column of new rows, with the type and the levels that it had."""
    old, now = column_of(table, name), others[name]
    new: Values = factorize(now) if isinstance(old, Factor) else column_of(others, name)
    bad = missing_rows(new)
    if bad is not None:
        raise DataError(
            f"column {name!r} has missing or infinite values in {int(bad.sum())} of {len(now)} rows to predict, the "
            f"first is {rows.first(bad)}; a prediction needs all of them"
        )
    if not isinstance(old, Factor):
        if isinstance(new, Factor):
            raise DataError(f"column {name!r} holds numbers in the data of the fit, but text in the rows to predict")
        return new if (new.dtype == np.bool_) == (old.dtype == np.bool_) else new.astype(old.dtype)
    assert isinstance(new, Factor)
    known = _present(old)
    unknown = [level for level in _present(new) if level not in known]
    if old.as_numbers and replace(new, is_numeric=old.is_numeric).as_numbers:  # other days, which have a place in time
        levels = (*old.levels, *(level for level in new.levels if level not in old.levels))
        codes = np.array([levels.index(level) for level in new.levels], dtype=np.int64)[new.codes]
        return Factor(codes, levels, old.is_ordered, old.is_numeric, old.origin() if old.is_date else None)
    if unknown:
        raise DataError(
            f"column {name!r} has the level {unknown[0]!r}{nearest(unknown[0], known)} in the rows to predict; the "
            f"data of the fit, which alone say what it does, have {listing(known)}"
        )
    position = np.array([old.levels.index(level) if level in known else -1 for level in new.levels], dtype=np.int64)
    return Factor(position[new.codes], old.levels)


def _present(factor: Factor) -> list[str]:
    """The levels that have rows."""
    counts = np.bincount(factor.codes[factor.codes >= 0], minlength=len(factor.levels))
    return [level for level, count in zip(factor.levels, counts, strict=True) if count]


def evaluated(texts: dict[str, str], columns: dict[str, Values], n: int, rows: Rows) -> _Floats:
    """Row expressions as the columns of a matrix."""
    matrix = np.empty((n, len(texts)))
    for j, (name, text) in enumerate(texts.items()):
        matrix[:, j] = row_expression(text).evaluate(columns, n)
        _check_finite(matrix[:, j], f"{name!r} ({text})", rows)
    return matrix


def _check_finite(values: _Floats, what: str, rows: Rows) -> None:
    bad = missing_rows(values)
    if bad is not None:
        raise DataError(
            f"{what} is not a finite number in {int(bad.sum())} rows to predict, first in {rows.first(bad)}"
        )


def formula_design(
    formula: str, n: int, columns: dict[str, Values], state: dict[str, Any], rows: Rows
) -> tuple[_Floats, _Floats | None]:
    """The design of a formula in the columns that the fit has, with its constants, and what is added to the mean."""
    found = design(formula, columns, n, state)
    for label, column in zip(found.labels, found.matrix.T, strict=True):
        _check_finite(column, f"{label!r} of the formula {formula!r}", rows)
    if found.offset is not None:
        _check_finite(found.offset, f"the offset of the formula {formula!r}", rows)
    kept: list[int] = state["kept"]
    matrix = found.matrix[:, kept]
    for j, combination in state["aliased"].items():
        column = found.matrix[:, int(j)]
        usual = matrix @ np.array(combination) if combination else np.zeros(len(column))
        unknown = np.abs(column - usual) > 1e-6 * np.maximum(1.0, np.abs(column))
        if unknown.any():
            raise DataError(
                f"no row of the data of the fit has the combination of levels that {rows.first(unknown)} to predict "
                f"has ({found.labels[int(j)]!r} of the formula {formula!r}), so that its mean is not known"
            )
    return np.ascontiguousarray(matrix), found.offset


def clusters_of_rows(labels: pd.DataFrame, others: pd.DataFrame) -> _Codes:
    """The cluster of each row; -1 where it is none of the fit's."""
    keys = [_keys(labels[name], others[name]) for name in labels.columns]
    position = {key: c for c, key in enumerate(zip(*(known for known, _ in keys), strict=True))}
    return np.array([position.get(key, -1) for key in zip(*(now for _, now in keys), strict=True)], dtype=np.int64)


def _keys(known: pd.Series[Any], now: pd.Series[Any]) -> tuple[list[Any], list[Any]]:
    """The levels of two columns by row as text; with the kind of value where the first has one text of two kinds."""
    texts, kinds = _texts(known), [isinstance(value, str) for value in known]
    both = {text for text, kind in zip(texts, kinds, strict=True) if kind} & {
        text for text, kind in zip(texts, kinds, strict=True) if not kind
    }
    if not both:
        return list(texts), list(_texts(now))
    return (
        [(text, kind if text in both else None) for text, kind in zip(texts, kinds, strict=True)],
        [
            (text, isinstance(value, str) if text in both else None)
            for text, value in zip(_texts(now), now, strict=True)
        ],
    )


def _texts(series: pd.Series[Any]) -> list[str | None]:
    """The levels of a column by row; None where it is missing."""
    factor = factorize(series)
    levels = [*factor.levels, None]
    return [levels[code] for code in factor.codes]


def group_of(columns: dict[str, Values], by: str | None, levels: tuple[str, ...], n: int) -> _Codes:
    """Codes of the variance or residual groups, in the order of the fit."""
    if by is None:
        return np.zeros(n, dtype=np.int64)
    values = columns[by]
    factor = values if isinstance(values, Factor) else _numbered(values)
    unknown = [level for level in _present(factor) if level not in levels]
    if unknown:
        raise DataError(
            f"column {by!r} has the level {unknown[0]!r}{nearest(unknown[0], levels)} in the rows to predict; standard "
            f"deviations are known for {listing(levels)}"
        )
    position = np.array([levels.index(level) if level in levels else -1 for level in factor.levels], dtype=np.int64)
    return np.asarray(position[factor.codes])


def _numbered(values: NDArray[Any]) -> Factor:
    """Numbers as levels."""
    distinct, codes = np.unique(values, return_inverse=True)
    return Factor(codes, tuple(level_text(value) for value in distinct))


def check_groups(by: str, data: Arranged, cluster: _Codes, group: _Codes, rows: Rows) -> None:
    """A known cluster is in the variance group that it was in."""
    same = np.array([data.group_levels.index(level) for level in data.group_levels])  # groups of one level: patterns
    moved = (cluster >= 0) & (same[group] != same[data.cluster_group[cluster]])
    if moved.any():
        row = int(np.argmax(moved))
        own = data.group_levels[data.cluster_group[cluster[row]]]
        raise DataError(
            f"the cluster of {rows.first(moved)} is in the variance group {own!r} of {by!r} in the data of the fit, "
            f"not in {data.group_levels[group[row]]!r}; give it a name of its own if it is another cluster"
        )
