"""Operations on numbers that are not known yet, each stored once, and simplified where some are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from saem.errors import ExpressionError
from saem.expressions.folding import FUNCTIONS
from saem.system import functions

#: Bound on the operations of all functions together.
MAX_OPERATIONS = 4000
#: The same for what is compiled by `saem.expressions.row_sums`.
ROW_OPERATIONS = 20_000


class Node(NamedTuple):
    """An operation; equal operations are one node."""

    op: str
    operands: tuple[int, ...] = ()
    number: float = 0.0  # of a constant; the position of a parameter; the order of `polygamma` and `logitnormal`


#: The arithmetic operations.
_FOLD: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
}
#: Conditions: 1 where they hold, else 0; their derivative is 0.
CONDITIONS: dict[str, Callable[..., float]] = {
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "eq": lambda a, b: float(a == b),
    "ne": lambda a, b: float(a != b),
    "and": lambda a, b: float(a != 0.0 and b != 0.0),
    "or": lambda a, b: float(a != 0.0 or b != 0.0),
    "not": lambda a: float(a == 0.0),
}
#: What derivatives take besides the functions of the language.
_INTERNAL: dict[str, Callable[..., float]] = {
    "mills": functions.mills,
    "polygamma": functions.polygamma,
    "logitnormal": functions.logitnormal,
}


class Operations:
    """Operations on parameters, each stored once.

    A node is a number: its operands have smaller ones. The operations are ``const``, ``x`` (a parameter), the binary
    ``add``, ``sub``, ``mul``, ``div`` and ``pow``, those of `CONDITIONS`, ``where`` (of a condition and two numbers),
    the functions of the language of one argument, and what their derivatives take: ``mills`` (normal density over
    distribution function), ``polygamma`` of an order, ``logitnormal`` of an order (see `saem.system.functions`).

    Parameters
    ----------
    most : int
        Bound on the number of operations.
    """

    def __init__(self, most: int = MAX_OPERATIONS, admits_zero: bool = False) -> None:
        self.most = most
        self.admits_zero = admits_zero  # as the base of a power whose exponent is differentiated
        self.owner = "the expression"  # at work, for messages: "constraint 'g'"
        self.nodes: list[Node] = []
        self._known: dict[Node, int] = {}
        self._inputs: list[frozenset[int]] = []

    def inputs(self, node: int) -> frozenset[int]:
        """Parameters on which a node depends."""
        return self._inputs[node]

    def value(self, node: int) -> float | None:
        """Value of a constant node; None for others."""
        return self.nodes[node].number if self.nodes[node].op == "const" else None

    def _add_node(self, node: Node, inputs: frozenset[int]) -> int:
        if node not in self._known:
            if len(self.nodes) >= self.most:
                raise ExpressionError(
                    f"{self.owner}: the expressions and their derivatives take more than {self.most} "
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

    def call(self, name: str, *arguments: int) -> int:
        """A function of the language that is an operation itself, or ``mills``."""
        return self._call(FUNCTIONS.get(name) or _INTERNAL[name], name, arguments)

    def family(self, name: str, order: int, *arguments: int) -> int:
        """``polygamma`` or ``logitnormal`` of an order."""
        function = _INTERNAL[name]
        return self._call(lambda *values: function(order, *values), name, arguments, order)

    def condition(self, name: str, *arguments: int) -> int:
        """A comparison, or what joins conditions."""
        return self._call(CONDITIONS[name], name, arguments)

    def _call(self, function: Callable[..., float], name: str, arguments: tuple[int, ...], order: int = 0) -> int:
        values = [self.value(argument) for argument in arguments]
        if None not in values:
            return self.const(_apply(function, *values))  # type: ignore[arg-type]
        inputs = frozenset().union(*(self._inputs[argument] for argument in arguments))
        return self._add_node(Node(name, arguments, order), inputs)

    def where(self, condition: int, a: int, b: int) -> int:
        """One of two numbers; what the other one is does not matter."""
        chosen = self.value(condition)
        if chosen is not None or a == b:
            return b if chosen == 0.0 else a
        inputs = self._inputs[condition] | self._inputs[a] | self._inputs[b]
        return self._add_node(Node("where", (condition, a, b)), inputs)

    def least(self, a: int, b: int) -> int:
        """The smaller number; nan where one is nan."""
        return self.where(self.condition("or", self.condition("lt", a, b), self.condition("ne", a, a)), a, b)

    def greatest(self, a: int, b: int) -> int:
        """The larger number; nan where one is nan."""
        return self.where(self.condition("or", self.condition("lt", b, a), self.condition("ne", a, a)), a, b)

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
