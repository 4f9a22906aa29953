"""The parts of a model's expressions that are made of columns, evaluated once to see that they can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from saem.errors import DataError, ExpressionError
from saem.expressions.columns import Values, missing_rows
from saem.expressions.folding import describe
from saem.expressions.lifting import lift_columns
from saem.expressions.rows import RowExpression
from saem.families.nonlinear.laws import LAWS

if TYPE_CHECKING:
    from saem.data.table import Rows
    from saem.families.nonlinear.specification import NonlinearModel
    from saem.families.nonlinear.structure import Structure


def check_texts(model: NonlinearModel, columns: Mapping[str, Values], n: int) -> None:
    """Refuse texts that are used as numbers, and levels that columns do not have.

    Raises
    ------
    DataError
        Naming the place.
    """
    for place, tree in model.reading.texts():
        found: dict[str, RowExpression] = {}
        try:
            lift_columns(tree, model.reading.columns, found)
            for expression in found.values():
                expression.values(columns, n)
        except (DataError, ExpressionError) as error:
            raise DataError(f"{place}: {error}") from None


def check_centres(structure: Structure, columns: Mapping[str, Values], rows: Rows) -> None:
    """Refuse centres of which a part of columns is no finite number, such as the logarithm of a weight of 0.

    Raises
    ------
    DataError
        Naming the first row.
    """
    n = len(next(iter(columns.values())))
    for effect in structure.effects:
        for _, tree in effect.centre:
            bad = missing_rows(RowExpression.of_tree(tree).values(columns, n))
            if bad is not None:
                raise DataError(
                    f"individual.{effect.name}: its {LAWS[effect.law]} needs {describe(tree)}, which is no finite "
                    f"number in {int(bad.sum())} rows, first in {rows.first(bad)}"
                )
