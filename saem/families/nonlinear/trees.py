"""Small tools for the trees of the language: made, substituted in, looked through; never changed in place."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from saem.errors import ModelError
from saem.expressions.folding import CONSTANTS
from saem.expressions.grammar import names_in
from saem.expressions.quoting import Column

ZERO: ast.expr = ast.Constant(value=0.0)
ONE: ast.expr = ast.Constant(value=1.0)
MAX_SIZE, MAX_DEPTH = 50_000, 150
COORDINATE = "z."  # before the name of an individual parameter: its coordinate, normal


def name(identifier: str) -> ast.expr:
    """A parameter or a coordinate."""
    return ast.Name(id=identifier, ctx=ast.Load())


def column(identifier: str) -> ast.expr:
    """A column, whatever it is called."""
    kind = Column if identifier in CONSTANTS else ast.Name
    return kind(id=identifier, ctx=ast.Load())


def coordinate(individual: str) -> ast.expr:
    """The coordinate of an individual parameter: what it is on the scale on which it is normal."""
    return name(COORDINATE + individual)


def number(value: float) -> ast.expr:
    """A number."""
    return ast.Constant(value=float(value))


def call(function: str, *arguments: ast.expr) -> ast.expr:
    """A function of the language."""
    return ast.Call(func=name(function), args=list(arguments), keywords=[])


def where(condition: ast.expr, yes: ast.expr, no: ast.expr) -> ast.expr:
    """One of two, or the one that both are."""
    return yes if same(yes, no) else call("where", condition, yes, no)


def add(a: ast.expr, b: ast.expr) -> ast.expr:
    """A sum, without zeros."""
    if is_number(a, 0.0):
        return b
    return a if is_number(b, 0.0) else ast.BinOp(a, ast.Add(), b)


def subtract(a: ast.expr, b: ast.expr) -> ast.expr:
    """A difference, without zeros."""
    if is_number(b, 0.0):
        return a
    return negative(b) if is_number(a, 0.0) else ast.BinOp(a, ast.Sub(), b)


def multiply(a: ast.expr, b: ast.expr) -> ast.expr:
    """A product, without ones."""
    if is_number(a, 1.0):
        return b
    if is_number(b, 1.0):
        return a
    return ZERO if is_number(a, 0.0) or is_number(b, 0.0) else ast.BinOp(a, ast.Mult(), b)


def divide(a: ast.expr, b: ast.expr) -> ast.expr:
    """A quotient, without ones."""
    return a if is_number(b, 1.0) else ast.BinOp(a, ast.Div(), b)


def power(a: ast.expr, b: ast.expr) -> ast.expr:
    """A power, without ones."""
    return a if is_number(b, 1.0) else ast.BinOp(a, ast.Pow(), b)


def negative(a: ast.expr) -> ast.expr:
    """Minus a tree."""
    if isinstance(a, ast.UnaryOp) and isinstance(a.op, ast.USub):
        return a.operand
    return number(-float(a.value)) if is_a_number(a) else ast.UnaryOp(ast.USub(), a)  # type: ignore[attr-defined]


def is_a_number(a: ast.expr) -> bool:
    """Whether a tree is a number as it is written."""
    return isinstance(a, ast.Constant) and isinstance(a.value, int | float)


def is_number(a: ast.expr, value: float) -> bool:
    """Whether a tree is a certain number."""
    return isinstance(a, ast.Constant) and not isinstance(a.value, str) and a.value == value


def is_call(a: ast.expr, function: str) -> bool:
    """Whether a tree is a function of something."""
    return isinstance(a, ast.Call) and isinstance(a.func, ast.Name) and a.func.id == function


def argument(a: ast.expr, position: int = 0) -> ast.expr:
    """An argument of a function."""
    assert isinstance(a, ast.Call)
    return a.args[position]


def same(a: ast.expr, b: ast.expr) -> bool:
    """Whether two trees are written alike."""
    return a is b or ast.dump(a) == ast.dump(b)


def depends(a: ast.expr, names: Collection[str]) -> bool:
    """Whether one of some names is in a tree."""
    return any(found in names for found in names_in(a))


def total(trees: Iterable[ast.expr]) -> ast.expr:
    """The sum of some trees, added by halves: it is no deep tree."""
    parts = list(trees)
    if len(parts) < 2:
        return parts[0] if parts else ZERO
    middle = len(parts) // 2
    return add(total(parts[:middle]), total(parts[middle:]))


def log(a: ast.expr) -> ast.expr:
    """The logarithm of a tree, in which those of exponentials are undone."""
    if is_call(a, "exp"):
        return argument(a)
    if isinstance(a, ast.BinOp) and isinstance(a.op, ast.Mult | ast.Div) and (_has_exp(a.left) or _has_exp(a.right)):
        return (add if isinstance(a.op, ast.Mult) else subtract)(log(a.left), log(a.right))
    return call("log", a)


def _has_exp(a: ast.expr) -> bool:
    """Whether a tree is an exponential, or a product with one."""
    if isinstance(a, ast.BinOp) and isinstance(a.op, ast.Mult | ast.Div):
        return _has_exp(a.left) or _has_exp(a.right)
    return is_call(a, "exp")


def substitute(a: ast.expr, by: Mapping[str, ast.expr]) -> ast.expr:
    """A tree in which names stand for other trees; functions and numbers such as ``pi`` do not.

    Columns between backticks do not, but for one that is called as such a number. Logarithms of exponentials are
    undone.

    Parameters
    ----------
    a : ast.expr
        Not changed; parts without such names are shared.
    by : mapping of str to ast.expr
        By name.
    """
    match a:
        case Column():
            return by.get(a.id, a) if is_constant_name(a.id) else column(a.id)
        case ast.Name(id=identifier):
            return a if is_constant_name(identifier) else by.get(identifier, a)
        case ast.Constant():
            return a
        case ast.Call(func=ast.Name(id="log"), args=[inside]):
            return log(substitute(inside, by))
        case ast.Call(func=function, args=arguments):
            return ast.Call(func=function, args=[substitute(each, by) for each in arguments], keywords=[])
        case ast.BinOp(left=left, op=op, right=right):
            return ast.BinOp(substitute(left, by), op, substitute(right, by))
        case ast.UnaryOp(op=op, operand=operand):
            return ast.UnaryOp(op, substitute(operand, by))
        case ast.BoolOp(op=op, values=values):
            return ast.BoolOp(op, [substitute(each, by) for each in values])
        case ast.Compare(left=left, ops=ops, comparators=others):
            return ast.Compare(substitute(left, by), ops, [substitute(each, by) for each in others])
        case ast.List(elts=elements):
            return ast.List(elts=[substitute(each, by) for each in elements], ctx=ast.Load())
    raise AssertionError(f"the language has no {type(a).__name__}")


@lru_cache(maxsize=512)
def template(text: str) -> ast.expr:
    """A text of our own in the language, parsed once; its names are substituted."""
    return ast.parse(text, mode="eval").body


def filled(text: str, by: Mapping[str, ast.expr]) -> ast.expr:
    """A template with trees in place of its names."""
    return substitute(template(text), by)


def check_size(a: ast.expr, what: str) -> None:
    """Refuse a tree that is too large or too deep to be walked through, with all that names stand for in it.

    Raises
    ------
    ModelError
    """
    known: dict[int, tuple[int, int]] = {}  # parts are shared: each is measured once

    def measured(node: ast.AST) -> tuple[int, int]:
        if id(node) not in known:
            parts = [measured(child) for child in ast.iter_child_nodes(node)]
            size = 1 + sum(part[0] for part in parts)
            depth = 1 + max((part[1] for part in parts), default=0)
            if size > MAX_SIZE or depth > MAX_DEPTH:
                raise ModelError(
                    f"{what}: with all that its names stand for it has more than {MAX_SIZE} terms, or is more than "
                    f"{MAX_DEPTH} operations deep; write it in a simpler way"
                )
            known[id(node)] = size, depth
        return known[id(node)]

    measured(a)


def is_constant_name(identifier: str) -> bool:
    """Whether a name is that of a number of the language, such as pi."""
    return identifier in CONSTANTS
