"""Functions with their exact Jacobian and Hessian, in LLVM's assembly language."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NamedTuple

from saem.errors import ExpressionError
from saem.expressions.assembly import DECLARATIONS, block, instructions, number
from saem.expressions.graph import Graph


class Function(NamedTuple):
    """An expression, or the difference of two."""

    owner: str  # for messages: "constraint 'g'"
    left: ast.AST
    right: ast.AST | None = None


def source_of(functions: Sequence[Function], inputs: Sequence[str]) -> str:
    """A module with a function ``functions(x, c, jac, hess)``, which writes functions, their Jacobian and Hessians.

    Parameters
    ----------
    functions : sequence of Function
        (m,)
    inputs : sequence of str
        (n,) the order of the argument ``x``.

    Returns
    -------
    str
        It stores ``c[i]``, ``jac[i * n + j]`` and ``hess[(i * n + j) * n + k]``; entries that are zero whatever the
        inputs are left as they are.

    Raises
    ------
    ExpressionError
        When a function takes too many operations, is no number, or depends on no input.
    """
    n = len(inputs)
    index = {name: position for position, name in enumerate(inputs)}
    graph = Graph()
    targets: list[tuple[str, int, int]] = []  # array, place, node
    for i, (graph.owner, left, right) in enumerate(functions):
        value = graph.translate(left, index)
        if right is not None:
            value = graph.binary("sub", value, graph.translate(right, index))
        used = sorted(graph.inputs(value))
        if not used:
            raise ExpressionError(f"{graph.owner} involves no parameter: they all cancel out")
        targets.append(("c", i, value))
        for j in used:
            first = graph.derivative(value, j)
            if graph.value(first) != 0.0:
                targets.append(("jac", i * n + j, first))
            for k in (k for k in used if k <= j):
                second = graph.derivative(first, k)
                if graph.value(second) != 0.0:
                    targets += [("hess", cell, second) for cell in sorted({(i * n + j) * n + k, (i * n + k) * n + j})]
    return _module(graph, targets)


def _module(graph: Graph, targets: Sequence[tuple[str, int, int]]) -> str:
    """The operations that the targets need, in order, and then their stores."""
    from saem.system.machine import POINTER

    lines: list[str] = []
    for node in sorted(graph.reachable([node for *_, node in targets])):
        lines += instructions(graph, node, lambda i: ("%x", i))
    for k, (array, place, node) in enumerate(targets):
        lines += [
            f"%o{k} = getelementptr double, {POINTER} %{array}, i64 {place}",
            f"store double {number(graph, node)}, {POINTER} %o{k}",
        ]
    arguments = ", ".join(f"{POINTER} noalias %{name}" for name in ("x", "c", "jac", "hess"))
    return f"{DECLARATIONS}\n\ndefine void @functions({arguments}) {{\n{block(lines)}\n  ret void\n}}\n"
