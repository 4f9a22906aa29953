"""What a formula may call, and with which arguments: a list, so that no formula can run code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from saem.errors import ExpressionError, nearest
from saem.expressions.vectorized import OF_NUMPY
from saem.specification.formula.grammar import (
    COMPARISONS,
    Call,
    Items,
    Name,
    Node,
    Number,
    Operation,
    Pi,
    Sign,
    Text,
    text_of,
)

#: Functions of numbers, element by element: those of row expressions with one argument, and two of R.
ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    **{name: OF_NUMPY[name] for name in ("log", "log2", "log10", "exp", "sqrt", "abs", "sin", "cos", "tan", "tanh")},
    **{name: OF_NUMPY[name] for name in ("expit", "logit")},
    "log1p": np.log1p,
    "expm1": np.expm1,
}
#: Functions with constants that come from the table of the fit, and what may be set of them.
STATEFUL: dict[str, tuple[str, ...]] = {
    "center": (),
    "scale": (),
    "standardize": (),
    "poly": ("degree", "raw"),
    "bs": ("df", "knots", "degree", "intercept", "lower_bound", "upper_bound"),
    "ns": ("df", "knots", "intercept", "lower_bound", "upper_bound"),
    "cr": ("df", "knots", "lower_bound", "upper_bound"),
}
SEVERAL_COLUMNS = ("poly", "bs", "ns", "cr")
#: Factors.
CATEGORICAL: dict[str, tuple[str, ...]] = {
    "C": ("contrast", "levels"),
    "factor": ("levels",),
    "relevel": ("ref",),
}
#: Contrasts by the names that patsy, formulae and R have for them.
CONTRASTS = {
    "Treatment": "treatment",
    "contr.treatment": "treatment",
    "treatment": "treatment",
    "Sum": "sum",
    "contr.sum": "sum",
    "sum": "sum",
    "Helmert": "helmert",
    "contr.helmert": "helmert",
    "helmert": "helmert",
    "Poly": "poly",
    "contr.poly": "poly",
    "poly": "poly",
    "Diff": "diff",
    "contr.sdif": "diff",
    "sdif": "diff",
}
_ARITHMETIC = ("+", "-", "*", "/", "**")
_LOGICAL = {"TRUE": True, "True": True, "T": True, "FALSE": False, "False": False, "F": False}

KNOWN = ("I", "offset", *ELEMENTWISE, *STATEFUL, *CATEGORICAL)


def check_call(call: Call, formula: str) -> None:
    """Refuse a call that a formula must not make.

    Raises
    ------
    ExpressionError
        In one sentence that is true.
    """
    function, arguments = call.function, call.arguments
    if function not in KNOWN:
        raise ExpressionError(_unknown(function, formula))
    if not arguments or arguments[0][0]:
        raise ExpressionError(f"{function}() in {formula!r} needs a column as its first argument")
    if function in STATEFUL or function in CATEGORICAL:
        settings(call, formula)
    elif len(arguments) > 1:
        raise ExpressionError(f"{function}() in {formula!r} takes one argument; got {len(arguments)}")
    if function in CATEGORICAL:
        if not isinstance(arguments[0][1], Name):
            raise ExpressionError(f"{text_of(call)} in {formula!r} must be of a column, such as {function}(dose)")
    else:
        _check_arithmetic(arguments[0][1], formula)


def _unknown(function: str, formula: str) -> str:
    advice = nearest(function.rpartition(".")[2], KNOWN)
    if function in ("s", "te", "ti", "t2", "cc", "tp", "hsgp", "rcs"):
        advice = " (splines are bs, ns and cr)"
    if function in CONTRASTS:
        advice = " (a contrast stands within C(): C(f, Sum), or C(f, Treatment('level')))"
    if function == "cbind":
        advice = " (a model has one response: of successes and failures the successes, with a column of trials beside)"
    return f"the formula {formula!r} cannot call {function!r}{advice}; it can call {', '.join(KNOWN)}"


def check_response(node: Node, formula: str) -> None:
    """Refuse a left side that is no arithmetic of columns."""
    inner = node.arguments[0][1] if isinstance(node, Call) and node.function == "I" and node.arguments else node
    _check_arithmetic(inner, formula)


def _check_arithmetic(node: Node, formula: str) -> None:
    """Within a call: numbers, columns, arithmetic, comparisons, and functions of one column."""
    match node:
        case Name() | Number() | Pi():
            return
        case Sign(_, operand):
            _check_arithmetic(operand, formula)
            return
        case Operation(operator, left, right) if operator in COMPARISONS and isinstance(right, Text):
            if operator not in ("==", "!=") or not isinstance(left, Name):
                raise ExpressionError(f"a level is compared with a column by == or !=; got {text_of(node)}")
            return
        case Operation(operator, left, right) if operator in (*_ARITHMETIC, *COMPARISONS):
            _check_arithmetic(left, formula)
            _check_arithmetic(right, formula)
            return
        case Call(function, _) if function in SEVERAL_COLUMNS:
            raise ExpressionError(f"{text_of(node)} has several columns, so that {formula!r} cannot calculate with it")
        case Call(function, _) if function in CATEGORICAL or function == "offset":
            raise ExpressionError(f"{text_of(node)} in {formula!r} is no number to calculate with")
        case Call():
            check_call(node, formula)
            return
    raise ExpressionError(f"{text_of(node)} is no number to calculate with in {formula!r}")


def settings(call: Call, formula: str) -> dict[str, Any]:
    """The settings of a call as plain values, such as ``{"df": 4}``.

    Raises
    ------
    ExpressionError
    """
    known = STATEFUL.get(call.function, CATEGORICAL.get(call.function, ()))
    found: dict[str, Any] = {}
    for position, (name, node) in enumerate(call.arguments[1:]):
        if not name and position < len(known):
            name = known[position]
        if name not in known:
            allowed = f"its settings are {', '.join(known)}" if known else "it has no settings"
            raise ExpressionError(f"{text_of(call)} in {formula!r} has a setting {name or text_of(node)!r}; {allowed}")
        if name in found:
            raise ExpressionError(f"{text_of(call)} in {formula!r} has the setting {name!r} twice")
        found[name] = _contrast(node, call) if name == "contrast" else _value(name, node, call, formula)
    if call.function == "relevel":
        if "ref" not in found:
            raise ExpressionError(f"{text_of(call)} in {formula!r} needs a level: relevel(f, ref='a')")
        found = {"contrast": ("treatment", found["ref"])}
    return found


def _contrast(node: Node, call: Call) -> tuple[str, str | None]:
    """The kind of a contrast, and the level that it names."""
    match node:
        case Name(text) | Text(text) if text in CONTRASTS:
            return CONTRASTS[text], None
        case Call(function, arguments) if function in CONTRASTS:
            kind = CONTRASTS[function]
            if not arguments:
                return kind, None
            name, value = arguments[0]
            of_level = {"treatment": ("", "reference", "base", "ref"), "sum": ("", "omit")}.get(kind, ())
            if len(arguments) == 1 and name in of_level and isinstance(value, Text | Number | Name):
                return kind, value.value if isinstance(value, Text) else text_of(value)
            raise ExpressionError(
                f"{text_of(node)} is no contrast: Treatment('level') and Sum('level') take a level, the others nothing"
            )
    names = ", ".join(name for name in CONTRASTS if name[0].isupper())
    raise ExpressionError(f"{text_of(call)}: the contrasts are {names}, such as C(f, Sum) or C(f, Treatment('b'))")


def _value(name: str, node: Node, call: Call, formula: str) -> Any:
    """A setting that is a number, several, a truth value or levels."""
    wrong = ExpressionError(f"{text_of(call)} in {formula!r}: {name} cannot be {text_of(node)}")
    if name in ("raw", "intercept"):
        if isinstance(node, Name) and node.text in _LOGICAL:
            return _LOGICAL[node.text]
        raise wrong
    if name == "ref":
        if isinstance(node, Text | Number):
            return node.value if isinstance(node, Text) else text_of(node)
        raise wrong
    if name == "levels":
        parts: Sequence[Node] = node.parts if isinstance(node, Items) else (node,)
        if not all(isinstance(part, Text | Number) for part in parts):
            raise wrong
        return [part.value if isinstance(part, Text) else text_of(part) for part in parts]
    if name == "knots":
        return [_number(part, wrong) for part in (node.parts if isinstance(node, Items) else (node,))]
    value = _number(node, wrong)
    if name in ("df", "degree"):
        if not (value.is_integer() and 1 <= value <= 100):
            raise ExpressionError(f"{text_of(call)} in {formula!r}: {name} must be a whole number from 1 to 100")
        return int(value)
    return value


def _number(node: Node, wrong: ExpressionError) -> float:
    match node:
        case Number(value):
            return value
        case Sign(operator, Number(value)):
            return -value if operator == "-" else value
    raise wrong
