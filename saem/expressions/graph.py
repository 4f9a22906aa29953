"""Expressions as graphs of operations, and their exact derivatives.

An expression becomes a graph in which equal parts exist once. A derivative adds nodes to the same graph, a few for each
node that depends on the parameter, so that its size is bounded and known while it grows. (Computer algebra works on
trees instead, which explode: SymPy needs minutes for the second derivatives of some texts of 200 terms.)
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from saem.expressions import chain, translation
from saem.expressions.operations import CONDITIONS, MAX_OPERATIONS, ROW_OPERATIONS, Node, Operations

__all__ = ["CONDITIONS", "MAX_OPERATIONS", "ROW_OPERATIONS", "Graph", "Node"]


class Graph(Operations):
    """Operations on parameters with their derivatives.

    Parameters
    ----------
    most : int
        Bound on the number of operations.
    """

    def __init__(self, most: int = MAX_OPERATIONS, admits_zero: bool = False) -> None:
        super().__init__(most, admits_zero)
        self._derivatives: dict[tuple[int, int], int] = {}

    def translate(self, node: ast.AST, index: Mapping[str, int]) -> int:
        """Add a parsed text; see `saem.expressions.translation`.

        Parameters
        ----------
        node : ast.AST
            Part of a tree from `saem.expressions.grammar.parse`, without texts.
        index : mapping of str to int
            Position of each parameter.

        Returns
        -------
        int
            Its node.
        """
        return translation.translate(self, node, index)

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
        missing: set[int] = set()
        stack = [node]
        while stack:
            k = stack.pop()
            if j in self.inputs(k) and (k, j) not in self._derivatives and k not in missing:
                missing.add(k)
                stack.extend(self._differentiated(k))

        def slope(operand: int) -> int:
            return self._slope(operand, j)

        for k in sorted(missing):
            is_flat = self.nodes[k].op in CONDITIONS
            self._derivatives[k, j] = self.const(0.0) if is_flat else chain.derivative(self, k, j, slope)
        return self._slope(node, j)

    def _differentiated(self, node: int) -> tuple[int, ...]:
        """The operands whose derivatives matter."""
        op, operands, _ = self.nodes[node]
        return () if op in CONDITIONS else operands[1:] if op == "where" else operands

    def _slope(self, node: int, j: int) -> int:
        """The derivative of a node, as far as `derivative` has come."""
        return self._derivatives[node, j] if j in self.inputs(node) else self.const(0.0)
