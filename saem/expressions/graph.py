"""Expressions as graphs of operations, and their exact derivatives.

An expression becomes a graph in which equal parts exist once. A derivative adds nodes to the same graph, a few for each
node that depends on the parameter, so that its size is bounded and known while it grows. (Computer algebra works on
trees instead, which explode: SymPy needs minutes for the second derivatives of some texts of 200 terms.)
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from saem.errors import ExpressionError
from saem.expressions.folding import CONSTANTS, FUNCTIONS

#: Bound on the operations of all functions together; compiling so many takes a few seconds.
MAX_OPERATIONS = 4000


class Node(NamedTuple):
    """An operation; equal operations are one node."""

    op: str
    operands: tuple[int, ...] = ()
    number: float = 0.0  # of a constant, or the position of a parameter


#: The arithmetic operations.
SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}
_FOLD: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
}
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
}


class Graph:
    """Operations on parameters, each stored once.

    A node is a number: its operands have smaller ones. The operations are ``const``, ``x`` (a parameter), the binary
    ones of `SYMBOLS` and the functions of the language.
    """

    def __init__(self) -> None:
        self.owner = "the expression"  # at work, for messages: "constraint 'g'"
        self.nodes: list[Node] = []
        self._known: dict[Node, int] = {}
        self._derivatives: dict[tuple[int, int], int] = {}
        self._inputs: list[frozenset[int]] = []

    def inputs(self, node: int) -> frozenset[int]:
        """Parameters on which a node depends."""
        return self._inputs[node]

    def value(self, node: int) -> float | None:
        """Value of a constant node; None for others."""
        return self.nodes[node].number if self.nodes[node].op == "const" else None

    def _add_node(self, node: Node, inputs: frozenset[int]) -> int:
        if node not in self._known:
            if len(self.nodes) >= MAX_OPERATIONS:
                raise ExpressionError(
                    f"{self.owner}: the expressions and their derivatives take more than {MAX_OPERATIONS} "
                    "operations; write it in a simpler way"
                )
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
            self._inputs.append(inputs)
        return self._known[node]

    def const(self, value: float) -> int:
        """A number."""
        if isinstance(value, complex) or not math.isfinite(value):
            raise ExpressionError(
                f"{self.owner} or its derivative contains a part that is no finite real number; look for a "
                "division by zero, a power of zero or the logarithm of a negative number"
            )
        return self._add_node(Node("const", (), value), frozenset())

    def parameter(self, index: int) -> int:
        """A parameter."""
        return self._add_node(Node("x", (), index), frozenset((index,)))

    def binary(self, op: str, a: int, b: int) -> int:
        """An arithmetic operation, simplified where an operand is a number."""
        u, v = self.value(a), self.value(b)
        if u is not None and v is not None:
            return self.const(_apply(_FOLD[op], u, v))
        simple = getattr(self, f"_{op}")(a, b, u, v)
        if simple is not None:
            return int(simple)
        if op in ("add", "mul") and (v is not None or (u is None and a > b)):
            a, b = b, a  # one order: constants first
        return self._add_node(Node(op, (a, b)), self._inputs[a] | self._inputs[b])

    def _add(self, a: int, b: int, u: float | None, v: float | None) -> int | None:
        if u == 0.0 or v == 0.0:
            return b if u == 0.0 else a
        return self.binary("mul", self.const(2.0), a) if a == b else None

    def _sub(self, a: int, b: int, u: float | None, v: float | None) -> int | None:
        if v == 0.0:
            return a
        return self.const(0.0) if a == b else None

    def _mul(self, a: int, b: int, u: float | None, v: float | None) -> int | None:
        if u is None and v is not None:
            a, b, u = b, a, v
        if u is None:
            return None
        if u in (0.0, 1.0):
            return b if u else self.const(0.0)
        op, operands, _ = self.nodes[b]
        inner = self.value(operands[0]) if op == "mul" else None
        if inner is not None and math.isfinite(u * inner):  # 2 * (3 * x)
            return self.binary("mul", self.const(u * inner), operands[1])
        return None

    def _div(self, a: int, b: int, u: float | None, v: float | None) -> int | None:
        if u == 0.0:
            return self.const(0.0)
        if v == 0.0:
            return self.const(math.inf)
        return a if v == 1.0 else None

    def _pow(self, a: int, b: int, u: float | None, v: float | None) -> int | None:
        if u == 1.0:
            return self.const(1.0)
        if v is None:
            return None
        if v < 0.0:
            return self.binary("div", self.const(1.0), self.binary("pow", a, self.const(-v)))
        if v in (0.0, 1.0):
            return a if v else self.const(1.0)
        if v == 0.5:
            return self.call("sqrt", a)
        if v in (2.0, 4.0):
            half = self.binary("pow", a, self.const(v / 2.0))
            return self.binary("mul", half, half)
        return self.binary("mul", a, self.binary("mul", a, a)) if v == 3.0 else None

    def call(self, name: str, a: int) -> int:
        """A function of the language."""
        value = self.value(a)
        if value is not None:
            return self.const(_apply(FUNCTIONS[name], value))
        return self._add_node(Node(name, (a,)), self._inputs[a])

    def translate(self, node: ast.AST, index: dict[str, int]) -> int:
        """Add a parsed text.

        Parameters
        ----------
        node : ast.AST
            Part of a tree from `saem.expressions.grammar.parse`, of numbers, parameters, arithmetic and functions.
        index : dict of str to int
            Position of each parameter.

        Returns
        -------
        int
            Its node.
        """
        match node:
            case ast.Constant(value=int() | float() as value):
                return self.const(float(value))
            case ast.Name(id=name):
                return self.parameter(index[name]) if name in index else self.const(CONSTANTS[name])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.binary("mul", self.const(-1.0), self.translate(operand, index))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.translate(operand, index)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(_OPERATORS[type(op)], self.translate(left, index), self.translate(right, index))
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return self.call(name, self.translate(argument, index))
        raise AssertionError(f"split() let {type(node).__name__} through")

    def derivative(self, node: int, j: int) -> int:
        """Derivative with respect to a parameter.

        Parameters
        ----------
        node : int
        j : int
            Position of the parameter.

        Returns
        -------
        int
            Its node; a constant 0 if there is no dependence.
        """
        # Operands come before results, so that going upwards through the numbers needs no recursion.
        for k in sorted(self.reachable([node])):
            if (k, j) not in self._derivatives:
                self._derivatives[k, j] = self._chain(k, j) if j in self._inputs[k] else self.const(0.0)
        return self._derivatives[node, j]

    def _chain(self, node: int, j: int) -> int:
        """The chain rule at one node whose operands are done."""
        op, operands, _ = self.nodes[node]
        if op == "x":
            return self.const(1.0)
        a, b = operands[0], operands[-1]
        binary, const, da, db = self.binary, self.const, self._derivatives[a, j], self._derivatives[b, j]
        if op not in SYMBOLS:
            return binary("mul", self._slope(op, a, node), da)
        match op:
            case "add" | "sub":
                return binary(op, da, db)
            case "mul":
                return binary("add", binary("mul", da, b), binary("mul", a, db))
            case "div":
                return binary("div", binary("sub", da, binary("mul", node, db)), b)
        # a**b: the second term only where the exponent varies, for it holds a logarithm.
        lower = binary("pow", a, binary("sub", b, const(1.0)))
        result = binary("mul", binary("mul", b, lower), da)
        if j in self._inputs[b]:
            result = binary("add", result, binary("mul", binary("mul", node, self.call("log", a)), db))
        return result

    def _slope(self, name: str, a: int, node: int) -> int:
        """Derivative of a function at its argument, from the argument `a` or the value `node`."""
        binary, one = self.binary, self.const(1.0)
        match name:
            case "exp":
                return node
            case "log":
                return binary("div", one, a)
            case "log2" | "log10":
                return binary("div", self.const(1.0 / math.log(2.0 if name == "log2" else 10.0)), a)
            case "sqrt":
                return binary("div", self.const(0.5), node)
            case "sin":
                return self.call("cos", a)
            case "cos":
                return binary("mul", self.const(-1.0), self.call("sin", a))
            case "tan":
                return binary("add", one, binary("mul", node, node))
            case "tanh":
                return binary("sub", one, binary("mul", node, node))
            case "expit":
                return binary("mul", node, binary("sub", one, node))
            case "logit":
                return binary("div", one, binary("mul", a, binary("sub", one, a)))
        raise AssertionError(f"{name} has no derivative")

    def reachable(self, nodes: Sequence[int]) -> set[int]:
        """The nodes and all that they are computed from.

        Parameters
        ----------
        nodes : sequence of int

        Returns
        -------
        set of int
        """
        seen: set[int] = set()
        stack = list(nodes)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(self.nodes[node].operands)
        return seen


def _apply(function: Callable[..., float], *arguments: float) -> float:
    try:
        return function(*arguments)
    except (ArithmeticError, ValueError):
        return math.nan
