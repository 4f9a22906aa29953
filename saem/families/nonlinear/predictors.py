"""Linear predictors by formula: coefficients ``eta_time`` times columns of a design, which a table gives."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from saem.data.designs import fixed_design
from saem.data.table import Rows
from saem.errors import DataError, ExpressionError, ModelError
from saem.expressions.columns import Values
from saem.expressions.grammar import MAX_NAME
from saem.families.designed_others import formula_design
from saem.families.nonlinear import trees
from saem.specification.formula import Design
from saem.specification.formula import read as read_formula

if TYPE_CHECKING:
    from saem.families.nonlinear.written import Written


INTERCEPT = "Intercept"  # the label of the column of ones


@dataclass(frozen=True, eq=False)
class Predictor:
    """A linear predictor.

    Attributes
    ----------
    coefficients : tuple of str
        (p,) parameters.
    columns : tuple of str
        (p,) columns of the design as `Predictors.columns` has them; empty for the intercept.
    labels : tuple of str
        (p,) columns in the words of the formula.
    offset : str
        Column that is added; empty where there is none.
    """

    coefficients: tuple[str, ...]
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    offset: str = ""

    @property
    def tree(self) -> ast.expr:
        """The predictor as an expression."""
        terms = [
            trees.multiply(trees.name(name), trees.column(column)) if column else trees.name(name)
            for name, column in zip(self.coefficients, self.columns, strict=True)
        ]
        return trees.total([*terms, *([trees.column(self.offset)] if self.offset else [])])


@dataclass(frozen=True, eq=False)
class Predictors:
    """The predictors of a model and a table.

    Attributes
    ----------
    each : dict of str to Predictor
    columns : dict of str to ndarray
        (n,) columns of their designs, under names that no column of a table should have.
    state : dict
        Constants of the designs, by predictor.
    unclear : dict of str to str
        Parameter -> column of the design, where the name does not tell it.
    warnings : tuple of str
    """

    each: dict[str, Predictor]
    columns: dict[str, Values]
    state: dict[str, Any]
    unclear: dict[str, str]
    warnings: tuple[str, ...]


def problems_of(formulas: Mapping[str, str], response: str) -> list[str]:
    """What is wrong with the texts of predictors."""
    found = []
    for name, text in formulas.items():
        try:
            formula = read_formula(text)
        except ExpressionError as error:
            found.append(f"linear.{name}: {error}")
            continue
        if formula.left is not None:
            found.append(f"linear.{name} must have no left side, as in '~ treatment * time'; got {text!r:.80}")
        if response in formula.columns:
            found.append(f"linear.{name} must not use the response {response!r} itself; got {text!r:.80}")
    return found


def columns_of(formulas: Mapping[str, str]) -> tuple[str, ...]:
    """The columns that predictors read."""
    return tuple(dict.fromkeys(name for text in formulas.values() for name in read_formula(text).columns))


def predictors_of(
    model: Written,
    columns: dict[str, Values],
    n: int,
    rows: Rows,
    named: Collection[str],
    state: Mapping[str, Any] | None,
) -> Predictors:
    """The predictors of a table.

    Parameters
    ----------
    model : NonlinearModel
    columns : dict of str to Values
        (n,) rows each.
    n : int
    rows : Rows
    named : collection of str
        Parameters of which constraints or fixed values say something.
    state : mapping or None
        `Predictors.state` of a fit, which is used again.

    Raises
    ------
    DataError
    """
    each: dict[str, Predictor] = {}
    found: dict[str, Values] = {}
    states: dict[str, Any] = {}
    unclear: dict[str, str] = {}
    warnings: list[str] = []
    for name, text in model.linear.items():
        own = {one.removeprefix(f"{name}_") for one in named if one.startswith(f"{name}_")}
        if state is not None and name not in state:
            raise DataError(f"the fit keeps no constants for the formula {text!r} of linear.{name}; fit again")
        try:
            design = fixed_design(text, columns, n, rows, None if state is None else state[name], own)
        except DataError as error:
            raise DataError(f"linear.{name}: {error}") from None
        each[name], more = _predictor(name, design)
        clash = sorted(set(more) & set(columns))
        if clash:
            raise DataError(f"the table has a column {clash[0]!r}, as the design of linear.{name} has one; rename it")
        found |= more
        states[name] = design.state
        warnings += design.warnings
        labels = dict(zip(each[name].coefficients, design.labels, strict=True))
        unclear |= {f"{name}_{short}": labels[f"{name}_{short}"[:MAX_NAME]] for short in design.unclear}
    return Predictors(each, found, states, unclear, tuple(warnings))


def other_columns(
    model: Written,
    predictors: Mapping[str, Predictor],
    state: Mapping[str, Any],
    columns: dict[str, Values],
    n: int,
    rows: Rows,
) -> dict[str, Values]:
    """The columns of the designs of rows that were not there when a model was fitted.

    Parameters
    ----------
    model : NonlinearModel
    predictors : mapping of str to Predictor
        Of the fit.
    state : mapping
        `Predictors.state` of the fit.
    columns : dict of str to Values
        (n,) rows each.
    n : int
    rows : Rows

    Raises
    ------
    DataError
        When they have what the rows of the fit do not tell.
    """
    found: dict[str, Values] = {}
    for name, each in predictors.items():
        matrix, offset = formula_design(model.linear[name], n, columns, state[name], rows)
        found |= {column: matrix[:, k] for k, column in enumerate(each.columns) if column}
        if offset is not None:
            found[each.offset] = offset
    return found


def _predictor(name: str, design: Design) -> tuple[Predictor, dict[str, Values]]:
    """A predictor and the columns of its design."""
    found: dict[str, Values] = {}
    used = []
    for label, values in zip(design.labels, design.matrix.T, strict=True):
        used.append("" if label == INTERCEPT else f"{name}[{label}]")
        if label != INTERCEPT:
            found[used[-1]] = np.ascontiguousarray(values)
    offset = ""
    if design.offset is not None:
        offset = f"{name}[offset]"
        found[offset] = np.ascontiguousarray(design.offset)
    coefficients = tuple(f"{name}_{column}"[:MAX_NAME] for column in design.names)
    if len(set(coefficients)) < len(coefficients):
        raise ModelError(f"linear.{name}: two of its coefficients have the same first {MAX_NAME} letters; rename it")
    return Predictor(coefficients, tuple(used), design.labels, offset), found
