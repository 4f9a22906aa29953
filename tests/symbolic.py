"""Expressions about parameters in SymPy: a referee of their derivatives."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence

import sympy

from saem.expressions.folding import fold
from saem.expressions.grammar import parse


def to_sympy(text: str, names: Sequence[str]) -> sympy.Expr:
    """An expression, whose parameters become real symbols; parts without parameters are folded first."""
    return _visit(parse(text).body, {name: sympy.Symbol(name, real=True) for name in names})


def _visit(node: ast.AST, symbols: dict[str, sympy.Symbol]) -> sympy.Expr:
    if (value := fold(node, "")) is not None:
        return sympy.Float(value)
    match node:
        case ast.Name(id=name):
            return symbols[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_visit(operand, symbols)
        case ast.UnaryOp(operand=operand):
            return _visit(operand, symbols)
        case ast.BinOp(left=left, op=ast.Pow(), right=right) if (value := fold(right, "")) is not None:
            # Whole and half exponents stay exact, so that x**2 is a polynomial.
            exact = (2.0 * value).is_integer()
            return _visit(left, symbols) ** (sympy.Rational(int(2.0 * value), 2) if exact else sympy.Float(value))
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _visit(left, symbols), _visit(right, symbols)
            return {ast.Add: a + b, ast.Sub: a - b, ast.Mult: a * b, ast.Div: a / b, ast.Pow: a**b}[type(op)]
        case ast.Call(func=ast.Name(id="logitnormal_mean"), args=[median, sd]):
            return sympy.Function("logitnormal_mean")(_visit(median, symbols), _visit(sd, symbols))  # no closed form
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return _call(name, _visit(argument, symbols))
    raise AssertionError(ast.dump(node))


def _call(name: str, x: sympy.Expr) -> sympy.Expr:
    match name:
        case "log2" | "log10":
            return sympy.log(x) * sympy.Float(1.0 / math.log(2.0 if name == "log2" else 10.0))
        case "expit":
            return 1 / (1 + sympy.exp(-x))
        case "logit":
            return sympy.log(x / (1 - x))
        case "log_expit":
            return -sympy.log(1 + sympy.exp(-x))
        case "normal_cdf":
            return sympy.erfc(-x / sympy.sqrt(2)) / 2
        case "log_normal_cdf":
            return sympy.log(sympy.erfc(-x / sympy.sqrt(2)) / 2)
        case "lgamma":
            return sympy.loggamma(x)
        case "probit":
            return sympy.sqrt(2) * sympy.erfinv(2 * x - 1)
    return getattr(sympy, name)(x)
