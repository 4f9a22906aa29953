"""Parts of expressions that depend on columns only, as columns of their own: no parameter changes their values."""

from __future__ import annotations

import ast
from collections.abc import Collection

from saem.errors import ExpressionError
from saem.expressions.folding import CONSTANTS, describe
from saem.expressions.quoting import Column
from saem.expressions.rows import RowExpression


def lift_columns(node: ast.expr, columns: Collection[str], found: dict[str, RowExpression]) -> ast.expr:
    """Replace the largest parts that are made of columns only by names: ``"#0"``, ``"#1"``, ...

    Parameters
    ----------
    node : ast.expr
        Part of a tree from `saem.expressions.grammar.parse`; it is left as it is.
    columns : collection of str
        Names that are columns. All others are parameters.
    found : dict of str to RowExpression
        What was lifted so far, to which what is new is added; equal parts have one name.

    Returns
    -------
    ast.expr
        Of numbers, parameters and the new names.

    Raises
    ------
    ExpressionError
        Where a text is compared with what is no column, or what is no condition is used as one.
    """
    return _Lifter(frozenset(columns), found).lift(node, False)


class _Lifter:
    def __init__(self, columns: frozenset[str], found: dict[str, RowExpression]) -> None:
        self.columns = columns
        self.found = found
        self.names = {expression.key: name for name, expression in found.items()}
        self.kinds: dict[int, tuple[bool, bool]] = {}  # of a node, by its id: reads columns; reads parameters

    def lift(self, node: ast.expr, is_condition: bool) -> ast.expr:
        """A part without its columns; `is_condition` where true or false is asked for."""
        if is_condition:
            self._check_condition(node)
        reads_columns, reads_parameters = self._reads(node)
        if reads_columns and not reads_parameters:
            return self._name(node, is_condition)
        match node:
            case ast.Call(func=function, args=arguments):
                is_where = isinstance(function, ast.Name) and function.id == "where"
                return ast.Call(function, [self.lift(a, is_where and i == 0) for i, a in enumerate(arguments)], [])
            case ast.BinOp(left=left, op=op, right=right):
                return ast.BinOp(self.lift(left, False), op, self.lift(right, False))
            case ast.UnaryOp(op=op, operand=operand):
                return ast.UnaryOp(op, self.lift(operand, isinstance(op, ast.Not)))
            case ast.BoolOp(op=op, values=values):
                return ast.BoolOp(op, [self.lift(value, True) for value in values])
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                return ast.Compare(self.lift(left, False), ops, [self.lift(other, False) for other in comparators])
            case ast.Constant(value=str() as level):
                raise ExpressionError(f"the level {level!r} can only be compared with a column by ==, != or in")
            case ast.List(elts=items):
                for item in items:
                    self.lift(item, False)  # no levels
        return node

    def _reads(self, node: ast.AST) -> tuple[bool, bool]:
        """Whether a part reads columns, and whether it reads parameters."""
        if id(node) not in self.kinds:
            if isinstance(node, ast.Name):
                is_constant = node.id in CONSTANTS and not isinstance(node, Column)
                is_column = node.id in self.columns and not is_constant
                self.kinds[id(node)] = is_column, not (is_column or is_constant)
            else:
                parts = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
                found = [self._reads(part) for part in parts]
                self.kinds[id(node)] = any(a for a, _ in found), any(b for _, b in found)
        return self.kinds[id(node)]

    def _name(self, node: ast.expr, is_condition: bool) -> ast.expr:
        expression = RowExpression.of_tree(node, is_condition)
        if expression.key not in self.names:
            name = f"#{len(self.found)}"
            self.names[expression.key] = name
            self.found[name] = expression
        return ast.Name(id=self.names[expression.key], ctx=ast.Load())

    def _check_condition(self, node: ast.expr) -> None:
        """Refuse numbers where a condition is needed; a column may hold true and false."""
        is_not = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        is_column = isinstance(node, ast.Name) and self._reads(node)[0]
        if not (is_not or is_column or isinstance(node, ast.Compare | ast.BoolOp)):
            raise ExpressionError(
                f"where(), 'and', 'or' and 'not' need conditions such as dose > 1; got {describe(node)}, "
                "which is no condition"
            )
