"""Designs of rows: columns of named expressions, or of a formula."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saem.data.aliasing import without_aliased
from saem.data.table import Rows
from saem.errors import DataError
from saem.expressions.columns import Factor, Values, missing_rows, since_words
from saem.expressions.rows import RowExpression, row_expression
from saem.specification.formula import Design, design

LARGEST = 1e100

_Floats = NDArray[np.float64]


def fixed_design(
    said: Mapping[str, str] | str,
    columns: dict[str, Values],
    n: int,
    rows: Rows,
    state: dict[str, Any] | None,
    named: Collection[str],
) -> Design:
    """The design of a table name -> expression, or of a formula, whose columns that are zero everywhere are left out.

    Parameters
    ----------
    said : mapping of str to str, or str
    columns : dict of str to Values
        (n,) rows each.
    n : int
    rows : Rows
        To name them.
    state : dict or None
        Constants of the design of a fit, which are used again.
    named : collection of str
        Parameters of which constraints or fixed values say something.

    Raises
    ------
    DataError
        When a column acts on nothing or is not finite.
    """
    if not isinstance(said, str):
        matrix = expression_columns(said, columns, n, rows, "parameter")
        return Design(matrix, tuple(said), tuple(said.values()), frozenset(), None, {}, ())
    found = design(said, columns, n, state)
    for name, label, column in zip(found.names, found.labels, found.matrix.T, strict=True):
        if not np.isfinite(column.sum()):
            raise DataError(
                f"parameter {name!r} of the formula {said!r} ({label}) is not finite in all rows; "
                "a logarithm needs positive numbers, and a divisor must not be 0"
            )
    if found.offset is not None and not np.isfinite(found.offset.sum()):
        raise DataError(f"the offset of the formula {said!r} is not finite in all rows")
    return without_aliased(said, found, named)


def expression_columns(texts: Mapping[str, str], columns: dict[str, Values], n: int, rows: Rows, what: str) -> _Floats:
    """Evaluate one column (n,) of a design after the other, straight into its place.

    Raises
    ------
    DataError
        When a column is zero everywhere or is not finite.
    """
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


def check_sizes(names: tuple[str, ...], columns: _Floats) -> None:
    """Refuse values whose squares are not numbers that a computer can hold.

    Raises
    ------
    DataError
        Naming the column.
    """
    sizes = np.maximum(columns.max(axis=0), -columns.min(axis=0))
    for name, largest in zip(names, sizes.tolist(), strict=True):
        if largest > LARGEST or 0.0 < largest < 1.0 / LARGEST:
            raise DataError(
                f"the values of {name!r} must lie between {1 / LARGEST:g} and {LARGEST:g} in size; got {largest:g}: "
                "choose another unit, or look for a typing error"
            )


def date_origins(texts: Collection[str], columns: dict[str, Values]) -> list[str]:
    """What the dates count from that row expressions calculate with, in words."""
    found = []
    for expression in map(row_expression, texts):
        for name in sorted(expression.columns - set(expression.levels)):
            values = columns[name]
            if isinstance(values, Factor) and values.is_date:
                found.append(since_words(name, values.day(values.origin())))
    return found
