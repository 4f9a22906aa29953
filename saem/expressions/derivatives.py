"""Functions with their exact Jacobian and Hessian, as straight-line Python source for Numba."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NamedTuple

from saem.errors import ExpressionError
from saem.expressions.graph import SYMBOLS, Graph


class Function(NamedTuple):
    """An expression, or the difference of two."""

    owner: str  # for messages: "constraint 'g'"
    left: ast.AST
    right: ast.AST | None = None


def source_of(functions: Sequence[Function], inputs: Sequence[str]) -> list[str]:
    """Statements that compute functions, their Jacobian and their Hessians.

    Parameters
    ----------
    functions : sequence of Function
        (m,)
    inputs : sequence of str
        (n,) the order of the argument ``x``.

    Returns
    -------
    list of str
        Assignments to temporaries and to ``c[i]``, ``jac[i * n + j]`` and ``hess[(i * n + j) * n + k]``; entries that
        are zero whatever the inputs are not assigned.

    Raises
    ------
    ExpressionError
        When a function takes too many operations, is no number, or depends on no input.
    """
    n = len(inputs)
    index = {name: position for position, name in enumerate(inputs)}
    graph = Graph()
    targets: dict[str, int] = {}
    for i, (graph.owner, left, right) in enumerate(functions):
        value = graph.translate(left, index)
        if right is not None:
            value = graph.binary("sub", value, graph.translate(right, index))
        used = sorted(graph.inputs(value))
        if not used:
            raise ExpressionError(f"{graph.owner} involves no parameter: they all cancel out")
        targets[f"c[{i}]"] = value
        for j in used:
            first = graph.derivative(value, j)
            if graph.value(first) != 0.0:
                targets[f"jac[{i * n + j}]"] = first
            for k in (k for k in used if k <= j):
                second = graph.derivative(first, k)
                if graph.value(second) != 0.0:
                    cells = sorted({(i * n + j) * n + k, (i * n + k) * n + j})
                    targets[" = ".join(f"hess[{cell}]" for cell in cells)] = second
    return _statements(graph, targets)


def _statements(graph: Graph, targets: dict[str, int]) -> list[str]:
    """One line for each operation that the targets need, then one for each target."""
    lines = []
    for node in sorted(graph.reachable(list(targets.values()))):
        op, _, number = graph.nodes[node]
        if op == "x":
            lines.append(f"v{node} = x[{int(number)}]")
        elif op != "const":
            lines.append(f"v{node} = {_operation(graph, node)}")
    return lines + [f"{target} = {_operand(graph, node)}" for target, node in targets.items()]


def _operand(graph: Graph, node: int) -> str:
    value = graph.value(node)
    return f"v{node}" if value is None else f"({value!r})" if value < 0 else repr(value)


def _operation(graph: Graph, node: int) -> str:
    op, operands, number = graph.nodes[node]
    texts = [_operand(graph, operand) for operand in operands]
    if op in SYMBOLS:
        return f" {SYMBOLS[op]} ".join(texts)
    if op == "expit":
        return f"1.0 / (1.0 + math.exp(-{texts[0]}))"
    if op == "logit":
        return f"math.log({texts[0]} / (1.0 - {texts[0]}))"
    if op in ("polygamma", "logitnormal"):
        return f"special.{op}({int(number)}, {', '.join(texts)})"
    if op in ("log_expit", "normal_cdf", "log_normal_cdf", "mills", "lgamma", "probit"):
        return f"special.{op}({texts[0]})"
    return f"math.{op}({texts[0]})"
