"""From a parsed text to operations of a graph."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import reduce
from itertools import pairwise

from saem.errors import ExpressionError
from saem.expressions.folding import CONSTANTS, describe
from saem.expressions.operations import Operations

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
}


def translate(graph: Operations, node: ast.AST, index: Mapping[str, int]) -> int:
    """Add a parsed text to a graph; `index` has the position of each parameter."""

    def part(inner: ast.AST) -> int:
        return translate(graph, inner, index)

    match node:
        case ast.Constant(value=int() | float() as value):
            return graph.const(float(value))
        case ast.Name(id=name):
            return graph.parameter(index[name]) if name in index else graph.const(CONSTANTS[name])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return graph.binary("mul", graph.const(-1.0), part(operand))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return part(operand)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return graph.condition("not", part(operand))
        case ast.BinOp(left=left, op=op, right=right):
            return graph.binary(_OPERATORS[type(op)], part(left), part(right))
        case ast.BoolOp(op=op, values=values):
            return _joined(graph, "and" if isinstance(op, ast.And) else "or", [part(value) for value in values])
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            pairs = zip(pairwise([left, *comparators]), ops, strict=True)
            return _joined(graph, "and", [_compared(graph, a, op, b, index) for (a, b), op in pairs])
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _called(graph, name, [part(argument) for argument in arguments])
        case ast.Constant(value=str() as text):
            raise ExpressionError(f"{graph.owner}: the level {text!r} can only be compared with a column")
    raise AssertionError(f"parse() let {type(node).__name__} through")


def _called(graph: Operations, name: str, arguments: list[int]) -> int:
    match name:
        case "where":
            return graph.where(*arguments)
        case "min":
            return graph.least(*arguments)
        case "max":
            return graph.greatest(*arguments)
        case "logitnormal_mean":
            return graph.family("logitnormal", 0, graph.call("logit", arguments[0]), arguments[1])
    return graph.call(name, *arguments)


def _compared(graph: Operations, left: ast.expr, op: ast.cmpop, right: ast.expr, index: Mapping[str, int]) -> int:
    """One comparison of two numbers, or of a number and a list."""
    a = translate(graph, left, index)
    if isinstance(right, ast.List):
        equal = [graph.condition("eq", a, translate(graph, item, index)) for item in right.elts]
        inside = _joined(graph, "or", equal)
        return graph.condition("not", inside) if isinstance(op, ast.NotIn) else inside
    b = translate(graph, right, index)
    match op:
        case ast.Lt():
            return graph.condition("lt", a, b)
        case ast.LtE():
            return graph.condition("le", a, b)
        case ast.Gt():
            return graph.condition("lt", b, a)
        case ast.GtE():
            return graph.condition("le", b, a)
        case ast.Eq():
            return graph.condition("eq", a, b)
        case ast.NotEq():
            return graph.condition("ne", a, b)
    raise AssertionError(f"parse() let {describe(left)} be compared by {type(op).__name__}")


def _joined(graph: Operations, name: str, conditions: list[int]) -> int:
    return reduce(lambda a, b: graph.condition(name, a, b), conditions)
