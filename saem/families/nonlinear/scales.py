"""Residual scales that factor out of the density of a row, so that sums of squares say all of them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from saem.expressions.grammar import names_in
from saem.families.nonlinear import trees
from saem.families.nonlinear.outcome_keys import Outcome
from saem.families.nonlinear.trees import ONE, ZERO


@dataclass(frozen=True, eq=False)
class Scale:
    """A residual scale of some rows.

    Attributes
    ----------
    parameter : str
    indicator : ast.expr
        Of columns: 1 at its rows and 0 elsewhere; the number 1 if all rows are.
    square : ast.expr
        At its rows the log-density is ``-log(parameter) - square / (2 parameter**2)`` and what holds no parameter; 0
        elsewhere.
    """

    parameter: str
    indicator: ast.expr
    square: ast.expr


def scales_of(
    outcome: Outcome,
    arguments: Mapping[str, ast.expr],
    response: str,
    parameters: frozenset[str],
    columns: frozenset[str],
) -> tuple[Scale, ...]:
    """The scales of an outcome.

    Parameters
    ----------
    outcome : Outcome
    arguments : mapping of str to ast.expr
        Of the distribution, in parameters, coordinates and columns.
    response : str
    parameters, columns : frozenset of str
        Which names are which.

    Returns
    -------
    tuple of Scale
        Empty where the density is not of this form.
    """
    is_censored = any(key is not None for key in (outcome.lower, outcome.upper, outcome.interval, outcome.event))
    if outcome.distribution not in ("normal", "lognormal") or is_censored:
        return ()
    y, centre = trees.column(response), arguments[outcome.about.arguments[0]]
    if trees.depends(centre, parameters):
        return ()
    distance = trees.subtract(y, centre)
    if outcome.distribution == "lognormal":
        distance = trees.subtract(trees.call("log", y), trees.log(centre))
    return tuple(_parts(arguments["sd"], ONE, distance, parameters, columns) or ())


def _parts(
    sd: ast.expr, indicator: ast.expr, distance: ast.expr, parameters: frozenset[str], columns: frozenset[str]
) -> list[Scale] | None:
    """The scales of the rows of an indicator; None where a parameter is no factor."""
    if trees.is_call(sd, "where") and all(name in columns for name in names_in(trees.argument(sd))):
        condition, yes, no = (trees.argument(sd, k) for k in range(3))
        first = _parts(yes, trees.call("where", condition, indicator, ZERO), distance, parameters, columns)
        second = _parts(no, trees.call("where", condition, ZERO, indicator), distance, parameters, columns)
        return None if first is None or second is None else first + second
    factor = _factor(sd, parameters)
    if factor is None:
        return None
    parameter, rest = factor
    if not parameter:
        return []
    square = trees.power(trees.divide(distance, rest), trees.number(2.0))
    if indicator is not ONE:
        square = trees.call("where", trees.filled("indicator == 1", {"indicator": indicator}), square, ZERO)
    return [Scale(parameter, indicator, square)]


def _factor(sd: ast.expr, parameters: frozenset[str]) -> tuple[str, ast.expr] | None:
    """The one parameter that is a factor (empty if there is none), and the other factors; None if there is no such."""
    if not trees.depends(sd, parameters):
        return "", sd
    match sd:
        case ast.Name(id=name):
            return name, ONE
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            first, second = _factor(left, parameters), _factor(right, parameters)
            if first is None or second is None or (first[0] and second[0]):
                return None
            return first[0] or second[0], trees.multiply(first[1], second[1])
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            first = _factor(left, parameters)
            if first is None or trees.depends(right, parameters):
                return None
            return first[0], trees.divide(first[1], right)
    return None
