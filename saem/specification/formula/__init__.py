"""Formulas for the mean, ``"y ~ treatment * modification"``."""

from __future__ import annotations

from saem.errors import ExpressionError
from saem.specification.formula.design import Design, Formula, design, missing_cells, read, response_of
from saem.specification.formula.inverse import column_giving

__all__ = ["Design", "Formula", "column_giving", "design", "missing_cells", "read", "readable", "response_of"]


def readable(formula: str) -> Formula | None:
    """A formula that was read; None where it cannot be."""
    try:
        return read(formula)
    except ExpressionError:
        return None
