"""From a response on the scale of a model to the column that it was made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError
from saem.specification.formula.design import read
from saem.specification.formula.functions import ELEMENTWISE
from saem.specification.formula.grammar import Call, Name, Node, Number, Operation, Pi, Sign, names_in, text_of

Floats = NDArray[np.float64]

_INVERSES: dict[str, Callable[[Any], Any]] = {
    "log": np.exp,
    "log2": np.exp2,
    "log10": lambda v: 10.0**v,
    "log1p": np.expm1,
    "exp": np.log,
    "expm1": np.log1p,
    "sqrt": lambda v: np.where(v >= 0.0, v**2, np.nan),
    "logit": ELEMENTWISE["expit"],
    "expit": ELEMENTWISE["logit"],
}


def column_giving(formula: str, values: Floats) -> tuple[str, Floats]:
    """The column from which the left side of a formula makes given values: ``exp(values)`` for ``log(y) ~ x``.

    Parameters
    ----------
    formula : str
    values : (n,) ndarray

    Returns
    -------
    name : str
    column : (n,) ndarray

    Raises
    ------
    DataError
        When there is no such column, or more than one.
    """
    left = read(formula).left
    assert left is not None
    with np.errstate(all="ignore"):
        name, column = _undo(left, values, formula)
    if not np.isfinite(column).all():
        raise DataError(f"the response {text_of(left)} of the formula {formula!r} cannot have some of the values drawn")
    return name, column


def _undo(node: Node, values: Floats, formula: str) -> tuple[str, Floats]:
    match node:
        case Name(text):
            return text, values
        case Sign(operator, operand):
            return _undo(operand, -values if operator == "-" else values, formula)
        case Call("I", ((_, inner),)):
            return _undo(inner, values, formula)
        case Call(function, ((_, inner),)) if function in _INVERSES:
            return _undo(inner, np.asarray(_INVERSES[function](values)), formula)
        case Operation(operator, left, right) if not names_in(right) and operator in ("+", "-", "*", "/"):
            number = _constant(right)
            undone = {"+": values - number, "-": values + number, "*": values / number, "/": values * number}
            return _undo(left, undone[operator], formula)
        case Operation(operator, left, right) if not names_in(left) and operator in ("+", "-", "*", "/"):
            number = _constant(left)
            undone = {"+": values - number, "-": number - values, "*": values / number, "/": number / values}
            return _undo(right, undone[operator], formula)
    raise DataError(
        f"{text_of(node)} in the response of the formula {formula!r} does not tell its column: simulate the model of a "
        "column that holds the response"
    )


def _constant(node: Node) -> float:
    """Arithmetic without columns."""
    match node:
        case Number(value):
            return value
        case Pi():
            return math.pi
        case Sign(operator, operand):
            return -_constant(operand) if operator == "-" else _constant(operand)
        case Call(function, ((_, inner),)) if function in ELEMENTWISE or function == "I":
            return float(ELEMENTWISE.get(function, float)(_constant(inner)))
        case Operation(operator, left, right) if operator in ("+", "-", "*", "/", "**"):
            a, b = np.float64(_constant(left)), np.float64(_constant(right))
            return float({"+": a + b, "-": a - b, "*": a * b, "/": a / b, "**": a**b}[operator])
    return float("nan")
