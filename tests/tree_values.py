"""Trees of the language evaluated on arrays, in the plainest way: the referee of what compiled code makes of them."""

from __future__ import annotations

import ast
import operator
from functools import reduce

import numpy as np
from scipy import special

FUNCTIONS = {
    "exp": np.exp,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "min": np.minimum,
    "max": np.maximum,
    "where": np.where,
    "expit": special.expit,
    "logit": special.logit,
    "log_expit": special.log_expit,
    "lgamma": special.gammaln,
    "normal_cdf": special.ndtr,
    "log_normal_cdf": special.log_ndtr,
    "probit": special.ndtri,
}
ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
COMPARISONS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def value(node: ast.expr, at: dict[str, object]) -> np.ndarray:
    """A tree at values of its names."""
    with np.errstate(all="ignore"):
        return np.asarray(_value(node, at))


def _value(node: ast.expr, at: dict[str, object]) -> object:
    match node:
        case ast.Constant(value=number):
            return number if isinstance(number, str) else np.float64(number)
        case ast.Name(id=name):
            return np.asarray(at[name]) if name in at else {"pi": np.pi}[name]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return np.logical_not(_value(operand, at))
        case ast.UnaryOp(op=op, operand=operand):
            return -_value(operand, at) if isinstance(op, ast.USub) else _value(operand, at)
        case ast.BinOp(left=left, op=op, right=right):
            return ARITHMETIC[type(op)](_value(left, at), _value(right, at))
        case ast.BoolOp(op=op, values=values):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return reduce(join, [_value(each, at) for each in values])
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return COMPARISONS[type(op)](_value(left, at), _value(right, at))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(_value(each, at) for each in arguments))
    raise AssertionError(f"the referee knows no {type(node).__name__}")
