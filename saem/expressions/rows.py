"""Expressions about the rows of a table: indicators and columns of a design, and filters."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saem.errors import DataError, ExpressionError, listing, nearest
from saem.expressions.columns import Factor, Values, level_text
from saem.expressions.folding import CONSTANTS, describe
from saem.expressions.grammar import names_in, parse
from saem.expressions.quoting import Column, text_of
from saem.expressions.vectorized import call

_ARITHMETIC: dict[type[ast.operator], Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_COMPARISONS: dict[type[ast.cmpop], Any] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}


class RowExpression:
    """An expression that has a value on each row of a table.

    Parameters
    ----------
    text : str
        For instance ``"1"``, ``"Days"`` or ``"treatment == 'CCCP' and dose in [1, 2]"``.

    Attributes
    ----------
    text : str
    columns : frozenset of str
        The columns it reads.
    levels : dict of str to set of str
        The levels that each column is compared with.

    Raises
    ------
    ExpressionError
        If the text is not of the language, or uses a level as a number or as a condition.
    """

    def __init__(self, text: str) -> None:
        self._take(text, parse(text).body, False)

    @classmethod
    def of_tree(cls, tree: ast.expr, is_condition: bool = False) -> RowExpression:
        """The same of a part of a tree from `parse`, which may have to be a condition."""
        expression = cls.__new__(cls)
        expression._take(text_of(tree), tree, is_condition)
        return expression

    def _take(self, text: str, body: ast.expr, is_condition: bool) -> None:
        self.text = text
        self._body = body
        self._is_condition = is_condition
        self.columns = frozenset(names_in(body))
        self.levels: dict[str, set[str]] = {}
        self._check(body)

    @cached_property
    def key(self) -> str:
        """What is the same for expressions with the same values."""
        asked = isinstance(self._body, ast.Name) and self._is_condition
        return f"{asked:d} {ast.dump(self._body)}"

    def values(self, columns: Mapping[str, Values], n: int | None = None) -> NDArray[np.float64]:
        """Value on each row as `evaluate` has it, as a number: 1 where a condition holds, else 0."""
        return self.evaluate(columns, n).astype(np.float64, copy=False)

    def evaluate(self, columns: Mapping[str, Values], n: int | None = None) -> NDArray[Any]:
        """Value on each row.

        Parameters
        ----------
        columns : mapping of str to (n,) ndarray or Factor
            At least the columns that the expression reads.
        n : int, optional
            Number of rows; by default that of the first column.

        Returns
        -------
        (n,) ndarray of bool or float
            Bool for a condition.

        Raises
        ------
        DataError
            If a column is absent or of the wrong type, or lacks a level that it is compared with.
        """
        if n is None:
            n = len(next(iter(columns.values())))
        with np.errstate(all="ignore"):
            value = self._condition(self._body, columns) if self._is_condition else self._value(self._body, columns)
        value = _as_number(value)
        if _holds_text(value):
            raise DataError(self._text_column(self._body))
        array = np.asarray(value)
        if array.ndim == 0:
            array = np.full(n, array)
        return array if array.dtype == np.bool_ else array.astype(np.float64, copy=False)

    # Checks that need no table.

    def _check(self, node: ast.AST) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            raise ExpressionError(
                f"the level {node.value!r} must be compared with a column, as in treatment == {node.value!r}; "
                f"got {self.text!r}"
            )
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            for (left, right), op in zip(pairwise(operands), node.ops, strict=True):
                self._check_pair(left, op, right)
            for operand in operands:
                if not _level(operand) and not isinstance(operand, ast.List):
                    self._check(operand)
            return
        for part in _conditions_of(node):
            is_not = isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not)
            if not (is_not or isinstance(part, ast.Name | ast.Compare | ast.BoolOp)) or _is_pi(part):
                raise ExpressionError(self._no_condition(part))
        for child in ast.iter_child_nodes(node):
            self._check(child)

    def _check_pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> None:
        """Note the levels of one comparison; a level can only be compared with a column, for equality."""
        items = right.elts if isinstance(right, ast.List) else [right]
        levels = {level for item in (left, *items) if (level := _level(item))}
        if not levels:
            return
        column = right if _level(left) else left
        comparable = isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn)
        if not isinstance(column, ast.Name) or _is_pi(column) or not comparable:
            raise ExpressionError(
                f"the level {sorted(levels)[0]!r} can only be compared with a column by ==, != or in; got {self.text!r}"
            )
        if isinstance(right, ast.List) and not all(_level(item) for item in items):
            raise ExpressionError(f"the list {describe(right)} mixes levels and numbers in {self.text!r}")
        self.levels.setdefault(column.id, set()).update(levels)

    # Evaluation.

    def _value(self, node: ast.AST, columns: Mapping[str, Values]) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name():
                return self._column(node, columns)
            case ast.Call(func=ast.Name(id="where"), args=[condition, a, b]):
                return np.where(self._condition(condition, columns), self._number(a, columns), self._number(b, columns))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return call(name, [self._number(argument, columns) for argument in arguments])
            case ast.BinOp(left=left, op=op, right=right):
                return _ARITHMETIC[type(op)](self._number(left, columns), self._number(right, columns))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return np.logical_not(self._condition(operand, columns))
            case ast.UnaryOp(op=op, operand=operand):
                value = self._number(operand, columns)
                return -value if isinstance(op, ast.USub) else value
            case ast.BoolOp(op=op, values=values):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                result = self._condition(values[0], columns)
                for part in values[1:]:
                    result = join(result, self._condition(part, columns))
                return result
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                pairs = zip(pairwise([left, *comparators]), ops, strict=True)
                results = [self._compare(a, op, b, columns) for (a, b), op in pairs]
                return results[0] if len(results) == 1 else np.logical_and.reduce(np.broadcast_arrays(*results))
        raise AssertionError(f"parse() let {type(node).__name__} through")

    def _column(self, node: ast.Name, columns: Mapping[str, Values]) -> Values | float:
        if node.id in CONSTANTS and not isinstance(node, Column):
            return CONSTANTS[node.id]
        try:
            return columns[node.id]
        except KeyError:
            raise DataError(
                f"there is no column {node.id!r}{nearest(node.id, columns)}, which {self.text!r} needs; "
                f"the columns are {listing(columns)}"
            ) from None

    def _number(self, node: ast.expr, columns: Mapping[str, Values]) -> Any:
        value = _as_number(self._value(node, columns))
        if _holds_text(value):
            raise DataError(self._text_column(node))
        return value * 1.0 if np.asarray(value).dtype == np.bool_ else value

    def _condition(self, node: ast.expr, columns: Mapping[str, Values]) -> Any:
        value = self._value(node, columns)
        if isinstance(value, Factor) or np.asarray(value).dtype != np.bool_:
            raise DataError(self._no_condition(node))
        return value

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr, columns: Mapping[str, Values]) -> Any:
        if _level(left):
            left, right = right, left
        if isinstance(right, ast.List):
            if _level(right.elts[0]):
                wanted = tuple(dict.fromkeys(_level(item) or "" for item in right.elts))
                inside = self._is_level(left, wanted, columns)
            else:
                numbers = [self._value(item, columns) for item in right.elts]
                inside = np.isin(self._number(left, columns), numbers)
            return np.logical_not(inside) if isinstance(op, ast.NotIn) else inside
        if level := _level(right):
            equal = self._is_level(left, (level,), columns)
            return np.logical_not(equal) if isinstance(op, ast.NotEq) else equal
        a, b = self._value(left, columns), self._value(right, columns)
        if _holds_text(a) and _holds_text(b) and isinstance(op, ast.Eq | ast.NotEq):
            return _COMPARISONS[type(op)](_as_text(a), _as_text(b))
        a, b = _as_number(a), _as_number(b)
        for node, value in ((left, a), (right, b)):
            if _holds_text(value):
                raise DataError(self._text_column(node))
        return _COMPARISONS[type(op)](a, b)

    def _is_level(self, node: ast.expr, wanted: tuple[str, ...], columns: Mapping[str, Values]) -> NDArray[np.bool_]:
        """Rows at which the column `node` has one of the levels."""
        assert isinstance(node, ast.Name)
        values = self._column(node, columns)
        if isinstance(values, Factor):
            missing = [level for level in wanted if level not in values.levels]
            if missing:
                raise DataError(self._unknown_level(node.id, missing[0], values.levels))
            codes = [values.levels.index(level) for level in wanted]
            return values.codes == codes[0] if len(codes) == 1 else np.isin(values.codes, codes)
        if not _holds_text(values):
            raise DataError(
                f"column {node.id!r} holds numbers, but {self.text!r} compares it with the text {wanted[0]!r}; "
                "write the number without quotes"
            )
        masks = [np.asarray(values == level, dtype=np.bool_) for level in wanted]
        for level, mask in zip(wanted, masks, strict=True):
            if not mask.any():
                present = sorted({level_text(value) for value in np.asarray(values).tolist()})
                raise DataError(self._unknown_level(node.id, level, present))
        return masks[0] if len(masks) == 1 else np.isin(values, wanted)

    # Messages.

    def _unknown_level(self, column: str, level: str, levels: tuple[str, ...] | list[str]) -> str:
        return (
            f"column {column!r} has no level {level!r}{nearest(level, levels)}, which {self.text!r} asks for; "
            f"its levels are {listing(levels)}"
        )

    def _text_column(self, node: ast.AST) -> str:
        return (
            f"column {describe(node)} holds text, but {self.text!r} uses it as a number; "
            "compare it with a level in quotes, as in treatment == 'CCCP'"
        )

    def _no_condition(self, node: ast.AST) -> str:
        return (
            "'and', 'or' and 'not' join conditions such as dose > 1, and where() takes one; "
            f"got {describe(node)}, which is no condition, in {self.text!r}"
        )


@lru_cache(maxsize=1024)
def row_expression(text: str) -> RowExpression:
    """A `RowExpression`, parsed once in a process (many fits share one model).

    Parameters
    ----------
    text : str
    """
    return RowExpression(text)


def _conditions_of(node: ast.AST) -> list[ast.expr]:
    """The parts of an operation that must be conditions."""
    match node:
        case ast.BoolOp(values=values):
            return values
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [operand]
        case ast.Call(func=ast.Name(id="where"), args=arguments):
            return arguments[:1]
    return []


def _level(node: ast.AST) -> str | None:
    """The level that a node is, if it is one."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_pi(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in CONSTANTS and not isinstance(node, Column)


def _holds_text(value: object) -> bool:
    return isinstance(value, Factor) or (isinstance(value, np.ndarray) and value.dtype.kind not in "biuf")


def _as_number(values: Any) -> Any:
    """Dates in days since the first one, and numbers that are kept as text, as numbers; all else as it is."""
    return values.numbers() if isinstance(values, Factor) and values.as_numbers else values


def _as_text(values: Any) -> Any:
    if isinstance(values, Factor):
        return np.array([*values.levels, None], dtype=object)[values.codes]
    return values
