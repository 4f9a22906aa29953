"""Centres as sums of products of a function of parameters and one of columns, where they are such sums.

Then the parameters of a centre can be had from the sums of the random effects alone: ``log(CL * (Weight / 70)**beta)``
is ``log(CL) * 1 + beta * log(Weight / 70)``.
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from math import log as natural

from saem.expressions.grammar import names_in
from saem.families.nonlinear import trees
from saem.families.nonlinear.trees import ONE, argument, call, divide, is_call, multiply, negative, number

MAX_TERMS = 40
MAX_POWER = 4

Terms = list[tuple[ast.expr, ast.expr]]


def separated(centre: ast.expr, columns: Collection[str]) -> tuple[tuple[ast.expr, ast.expr], ...] | None:
    """The terms of a centre.

    Parameters
    ----------
    centre : ast.expr
        Of parameters and columns.
    columns : collection of str
        Which of its names are columns.

    Returns
    -------
    tuple of (ast.expr, ast.expr), or None
        The parts of parameters and of columns of each term; no term for a centre of 0. None where it is no such sum.
    """
    found = terms_of(centre, frozenset(columns))
    if found is None or len(found) > MAX_TERMS:
        return None
    merged: dict[str, tuple[ast.expr, ast.expr]] = {}
    for a, b in found:
        if trees.is_number(a, 0.0):
            continue
        key = ast.dump(b)
        merged[key] = (trees.add(merged[key][0], a), b) if key in merged else (a, b)
    return tuple(merged.values())


def _plain(node: ast.expr, columns: frozenset[str]) -> Terms | None:
    """The single term of a tree without columns, or of columns alone."""
    names = names_in(node)
    if not any(name in columns for name in names):
        return [(node, ONE)]
    return [(ONE, node)] if all(name in columns for name in names) else None


def terms_of(node: ast.expr, columns: frozenset[str]) -> Terms | None:
    """The terms of a tree, as they stand in it; see `separated`."""
    plain = _plain(node, columns)
    if plain is not None:
        return plain
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _scaled(terms_of(operand, columns), number(-1.0))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return terms_of(operand, columns)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            first, second = terms_of(left, columns), terms_of(right, columns)
            if first is None or second is None:
                return None
            return first + ([(negative(a), b) for a, b in second] if isinstance(op, ast.Sub) else second)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _product(terms_of(left, columns), terms_of(right, columns))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            first, second = terms_of(left, columns), terms_of(right, columns)
            if first is None or second is None or len(second) != 1:
                return None
            (a, b) = second[0]
            return [(divide(u, a), divide(v, b)) for u, v in first]
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int() | float() as exponent)):
            base = terms_of(left, columns)
            if float(exponent) not in range(1, MAX_POWER + 1):
                return None
            result = base
            for _ in range(int(exponent) - 1):
                result = _product(result, base)
            return result
        case ast.Call(func=ast.Name(id="log" | "log2" | "log10" as function), args=[inside]):
            scale = {"log": 1.0, "log2": 1.0 / natural(2.0), "log10": 1.0 / natural(10.0)}[function]
            return _scaled(_logarithm(inside, columns), number(scale))
        case ast.Call(func=ast.Name(id="logit"), args=[inside]) if is_call(inside, "expit"):
            return terms_of(argument(inside), columns)
        case ast.Call(func=ast.Name(id="probit"), args=[inside]) if is_call(inside, "normal_cdf"):
            return terms_of(argument(inside), columns)
        case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
            return _chosen(condition, terms_of(yes, columns), terms_of(no, columns), columns)
    return None


def _logarithm(node: ast.expr, columns: frozenset[str]) -> Terms | None:
    """The terms of the logarithm of a tree."""
    names = names_in(node)
    if not any(name in columns for name in names):
        return [(trees.log(node), ONE)]
    if all(name in columns for name in names):
        return [(ONE, trees.log(node))]
    match node:
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
            first, second = _logarithm(left, columns), _logarithm(right, columns)
            if first is None or second is None:
                return None
            return first + ([(negative(a), b) for a, b in second] if isinstance(op, ast.Div) else second)
        case ast.BinOp(left=left, op=ast.Pow(), right=exponent):
            return _product(terms_of(exponent, columns), _logarithm(left, columns))
        case ast.Call(func=ast.Name(id="exp"), args=[inside]):
            return terms_of(inside, columns)
        case ast.Call(func=ast.Name(id="sqrt"), args=[inside]):
            return _scaled(_logarithm(inside, columns), number(0.5))
        case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
            return _chosen(condition, _logarithm(yes, columns), _logarithm(no, columns), columns)
    return None


def _scaled(terms: Terms | None, factor: ast.expr) -> Terms | None:
    return None if terms is None else [(multiply(factor, a), b) for a, b in terms]


def _product(first: Terms | None, second: Terms | None) -> Terms | None:
    """All products of a term of each."""
    if first is None or second is None or len(first) * len(second) > MAX_TERMS:
        return None
    return [(multiply(a, c), multiply(b, d)) for a, b in first for c, d in second]


def _chosen(condition: ast.expr, yes: Terms | None, no: Terms | None, columns: frozenset[str]) -> Terms | None:
    """Terms of which some act where a condition on columns holds, and others elsewhere."""
    if yes is None or no is None or not all(name in columns for name in names_in(condition)):
        return None
    zero = number(0.0)
    return [(a, call("where", condition, b, zero)) for a, b in yes] + [
        (a, call("where", condition, zero, b)) for a, b in no
    ]
