"""The chain rule at one operation of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable

from saem.errors import ExpressionError
from saem.expressions.operations import Operations
from saem.system.functions import MAX_ORDER


def derivative(graph: Operations, node: int, j: int, slope: Callable[[int], int]) -> int:
    """Derivative of a node with respect to parameter `j`, where `slope` has those of its operands."""
    op, operands, number = graph.nodes[node]
    if op == "x":
        return graph.const(1.0)
    if op == "where":
        return graph.where(operands[0], slope(operands[1]), slope(operands[2]))
    slopes = [slope(operand) for operand in operands]
    if op == "logitnormal":
        return _smoothed(graph, operands, slopes, int(number))
    a, b, da, db = operands[0], operands[-1], slopes[0], slopes[-1]
    binary = graph.binary
    match op:
        case "add" | "sub":
            return binary(op, da, db)
        case "mul":
            return binary("add", binary("mul", da, b), binary("mul", a, db))
        case "div":
            return binary("div", binary("sub", da, binary("mul", node, db)), b)
        case "pow":  # the second term only where the exponent varies, for it holds a logarithm
            lower = binary("pow", a, binary("sub", b, graph.const(1.0)))
            result = binary("mul", binary("mul", b, lower), da)
            if j in graph.inputs(b):
                logarithm = binary("mul", node, graph.call("log", a))
                if graph.admits_zero:  # zero is zero to any positive power
                    zero = graph.const(0.0)
                    logarithm = graph.where(graph.condition("eq", a, zero), zero, logarithm)
                result = binary("add", result, binary("mul", logarithm, db))
            return result
    return binary("mul", _slope(graph, op, a, node), da)


def _slope(graph: Operations, name: str, a: int, node: int) -> int:
    """Derivative of a function at its argument, from the argument `a` or the value `node`."""
    binary, const, one = graph.binary, graph.const, graph.const(1.0)
    match name:
        case "exp":
            return node
        case "log":
            return binary("div", one, a)
        case "log2" | "log10":
            return binary("div", const(1.0 / math.log(2.0 if name == "log2" else 10.0)), a)
        case "sqrt":
            return binary("div", const(0.5), node)
        case "sin":
            return graph.call("cos", a)
        case "cos":
            return binary("mul", const(-1.0), graph.call("sin", a))
        case "tan":
            return binary("add", one, binary("mul", node, node))
        case "tanh":
            return binary("sub", one, binary("mul", node, node))
        case "abs":
            return graph.where(graph.condition("lt", a, const(0.0)), const(-1.0), one)
        case "expit":  # not 1 - expit, which is 0 where expit rounds to 1
            return binary("mul", node, graph.call("expit", binary("mul", const(-1.0), a)))
        case "logit":
            return binary("div", one, binary("mul", a, binary("sub", one, a)))
        case "log_expit":
            return graph.call("expit", binary("mul", const(-1.0), a))
        case "normal_cdf":
            return binary("mul", const(1.0 / math.sqrt(2.0 * math.pi)), _bell(graph, a))
        case "probit":
            return binary("div", const(math.sqrt(2.0 * math.pi)), _bell(graph, node))
        case "log_normal_cdf":
            return graph.call("mills", a)
        case "mills":
            return binary("mul", const(-1.0), binary("mul", node, binary("add", a, node)))
        case "lgamma":
            return graph.family("polygamma", 0, a)
        case "polygamma":
            return graph.family("polygamma", int(graph.nodes[node].number) + 1, a)
    raise AssertionError(f"{name} has no derivative")


def _bell(graph: Operations, a: int) -> int:
    """``exp(-a^2 / 2)``"""
    return graph.call("exp", graph.binary("mul", graph.const(-0.5), graph.binary("mul", a, a)))


def _smoothed(graph: Operations, operands: tuple[int, ...], slopes: list[int], order: int) -> int:
    """Of `saem.system.functions.logitnormal`; a constant SD (or centre) asks for no more orders than it needs."""
    if order + 2 > MAX_ORDER:
        raise ExpressionError(f"{graph.owner}: logitnormal_mean() has no derivatives of such an order")
    zero, result = graph.const(0.0), graph.const(0.0)
    if slopes[0] != zero:
        result = graph.binary("mul", graph.family("logitnormal", order + 1, *operands), slopes[0])
    if slopes[1] != zero:
        second = graph.binary("mul", operands[1], graph.family("logitnormal", order + 2, *operands))
        result = graph.binary("add", result, graph.binary("mul", second, slopes[1]))
    return result
