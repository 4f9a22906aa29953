"""Numbers in expressions: the functions of the language, and the parts that depend on no name."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

from saem.errors import ExpressionError
from saem.expressions.quoting import Column, short, text_of
from saem.system import functions

MAX_EXPONENT = 100.0


def _expit(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def _logit(x: float) -> float:
    return math.log(x / (1.0 - x))


def _logitnormal_mean(median: float, sd: float) -> float:
    return functions.logitnormal(0, _logit(median), sd)


#: The functions of the language, on Python floats.
FUNCTIONS: dict[str, Callable[..., float]] = {
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "tanh": math.tanh,
    "abs": abs,
    "expit": _expit,
    "logit": _logit,
    "log_expit": functions.log_expit,
    "lgamma": math.lgamma,
    "normal_cdf": functions.normal_cdf,
    "log_normal_cdf": functions.log_normal_cdf,
    "probit": functions.probit,
    "logitnormal_mean": _logitnormal_mean,
    "min": min,
    "max": max,
    "where": lambda condition, a, b: a if condition else b,
}
#: What those of several arguments take; all others take one.
ARGUMENTS = {
    "logitnormal_mean": ("median", "sd"),
    "min": ("a", "b"),
    "max": ("a", "b"),
    "where": ("condition", "a", "b"),
}
#: Those that have no derivative everywhere: not for what is to be differentiated at every point.
NOT_SMOOTH = frozenset({"abs", "min", "max", "where"})
CONSTANTS = {"pi": math.pi}

#: The arithmetic of the language.
OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}


def describe(node: ast.AST) -> str:
    """A piece of a tree as text, for messages.

    Parameters
    ----------
    node : ast.AST
    """
    return short(text_of(node))


def fold(node: ast.AST, text: str) -> float | None:
    """Value of what depends on no name, in double precision; refuse huge exponents and numbers.

    Whole numbers are folded as floats, too: ``9**9**9`` must overflow, not fill the memory with digits.

    Parameters
    ----------
    node : ast.AST
        Made of allowed nodes only.
    text : str
        The whole text, for messages.

    Returns
    -------
    float or None
        None for what depends on a name.

    Raises
    ------
    ExpressionError
        If a part is not a finite real number, or an exponent is beyond `MAX_EXPONENT`.
    """
    value: float | None = None
    match node:
        case ast.Constant(value=number):
            return float(number) if isinstance(number, int | float) else None
        case Column():
            return None
        case ast.Name(id=name):
            return CONSTANTS.get(name)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            values = [fold(argument, text) for argument in arguments]
            if None in values:
                return None
            value = _compute(FUNCTIONS[name], tuple(values), node, text)  # type: ignore[arg-type]
        case ast.UnaryOp(op=op, operand=operand):
            inner = fold(operand, text)
            if inner is None or isinstance(op, ast.Not):
                return None
            value = -inner if isinstance(op, ast.USub) else inner
        case ast.BinOp(left=left, op=op, right=right):
            a, b = fold(left, text), fold(right, text)
            if isinstance(op, ast.Pow) and b is not None and abs(b) > MAX_EXPONENT:
                raise ExpressionError(
                    f"an exponent must lie between -{MAX_EXPONENT:g} and {MAX_EXPONENT:g}; got {b:g} in {short(text)}"
                )
            if a is None or b is None:
                return None
            value = _compute(OPERATORS[type(op)], (a, b), node, text)
        case _:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    fold(child, text)
            return None
    return value


def _compute(function: Callable[..., float], arguments: tuple[float, ...], node: ast.AST, text: str) -> float:
    try:
        value = function(*arguments)
    except (ArithmeticError, ValueError):
        value = math.nan
    if isinstance(value, complex) or not math.isfinite(value):
        raise ExpressionError(f"{describe(node)} is not a finite real number in {short(text)}")
    return value


def check_powers(node: ast.AST, outer: float, text: str) -> None:
    """Bound the product of the exponents of powers of powers, which computer algebra would multiply out.

    Parameters
    ----------
    node : ast.AST
        Made of allowed nodes only.
    outer : float
        Product of the exponents around it.
    text : str
        The whole text, for messages.
    """
    inner = 1.0
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        inner = outer * max(1.0, abs(fold(node.right, text) or 1.0))
        if inner > MAX_EXPONENT:
            raise ExpressionError(
                f"exponents of powers of powers must multiply to at most {MAX_EXPONENT:g}; "
                f"got {inner:g} in {short(text)}"
            )
    elif (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)) or isinstance(node, ast.UnaryOp):
        inner = outer
    for child in ast.iter_child_nodes(node):
        check_powers(child, inner, text)
