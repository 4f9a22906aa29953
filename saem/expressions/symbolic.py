"""From texts to SymPy, for LaTeX and for further work with computer algebra."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from typing import Any

import sympy

from saem.errors import ConstraintError, ExpressionError, listing, nearest
from saem.expressions.folding import NOT_SMOOTH, describe, fold
from saem.expressions.grammar import names_in, parse

#: How functions are shown that SymPy writes in other words or not at all.
_DISPLAYED: dict[str, Any] = {
    "log_expit": lambda x: sympy.Function(r"\ln \operatorname{expit}")(x),
    "normal_cdf": lambda x: sympy.Function(r"\Phi")(x),
    "log_normal_cdf": lambda x: sympy.Function(r"\ln \Phi")(x),
    "lgamma": lambda x: sympy.Function(r"\ln \Gamma")(x),
    "probit": lambda x: sympy.Function(r"\Phi^{-1}")(x),
}


def to_sympy(text: str, names: Sequence[str], *, display: bool = False) -> sympy.Expr:
    """Translate an expression about parameters.

    Parts without parameters are folded to double precision before SymPy sees them, so that no number grows beyond that.

    Parameters
    ----------
    text : str
        Arithmetic and functions, no comparison.
    names : sequence of str
        The parameters that it may use; they become real symbols.
    display : bool
        Keep everything as written, for LaTeX.

    Raises
    ------
    ExpressionError
        If the text is not such an expression.
    ConstraintError
        If it names an unknown parameter.
    """
    node = parse(text).body
    unknown = [name for name in names_in(node) if name not in names]
    if unknown:
        raise ConstraintError(
            f"there is no parameter {unknown[0]!r}{nearest(unknown[0], names)}, which {text!r} uses; "
            f"the parameters are {listing(names, 20)}"
        )
    return _Translator(names, display).visit(node)


def latex(left: ast.AST, right: ast.AST, names: Sequence[str]) -> str:
    """An equation as LaTeX, as it was written.

    Parameters
    ----------
    left, right : ast.AST
        Its sides, from `saem.expressions.grammar.parse`.
    names : sequence of str
        The parameters.

    Returns
    -------
    str
        Without dollar signs.
    """
    translator = _Translator(names, display=True)
    sides = [sympy.latex(translator.visit(side), ln_notation=True, order="none") for side in (left, right)]
    return " = ".join(sides)


class _Translator:
    """Walks a tree; builds SymPy nodes, unevaluated for display."""

    def __init__(self, names: Sequence[str], display: bool) -> None:
        self.symbols: Mapping[str, sympy.Symbol] = {name: sympy.Symbol(name, real=True) for name in names}
        self.display = display
        self.options = {"evaluate": False} if display else {}

    def visit(self, node: ast.AST) -> sympy.Expr:
        if not self.display and (value := fold(node, "")) is not None:
            return sympy.Float(value)
        match node:
            case ast.Constant(value=int() as number):
                return sympy.Integer(number)
            case ast.Constant(value=float() as number):
                return sympy.Float(repr(number))
            case ast.Name(id=name):
                return self.symbols[name] if name in self.symbols else sympy.pi
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return sympy.Mul(-1, self.visit(operand), **self.options)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.visit(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, left, right)
            case ast.Call(func=ast.Name(id=name)) if name in NOT_SMOOTH:
                where = "at 0" if name == "abs" else "everywhere"
                raise ExpressionError(f"{name}() has no derivative {where}, so it cannot be used for parameters")
            case ast.Call(func=ast.Name(id="logitnormal_mean"), args=[median, sd]):
                shown = r"\operatorname{logitnormal\_mean}" if self.display else "logitnormal_mean"
                return sympy.Function(shown)(self.visit(median), self.visit(sd))  # it has no closed form
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return self._call(name, self.visit(argument))
        raise ExpressionError(f"only numbers, parameters, arithmetic and functions have a value; got {describe(node)}")

    def _binary(self, op: ast.operator, left: ast.expr, right: ast.expr) -> sympy.Expr:
        a = self.visit(left)
        if isinstance(op, ast.Pow) and not self.display and (value := fold(right, "")) is not None:
            # Whole and half exponents stay exact, so that x**2 is a polynomial.
            exact = (2.0 * value).is_integer()
            return sympy.Pow(a, sympy.Rational(int(2.0 * value), 2) if exact else sympy.Float(value))
        b = self.visit(right)
        match op:
            case ast.Add():
                return sympy.Add(a, b, **self.options)
            case ast.Sub():
                return sympy.Add(a, sympy.Mul(-1, b, **self.options), **self.options)
            case ast.Mult():
                return sympy.Mul(a, b, **self.options)
            case ast.Div():
                return sympy.Mul(a, sympy.Pow(b, -1, **self.options), **self.options)
        return sympy.Pow(a, b, **self.options)

    def _call(self, name: str, x: sympy.Expr) -> sympy.Expr:
        match name:
            case "sqrt":
                return sympy.Pow(x, sympy.Rational(1, 2), **self.options)
            case "log2" | "log10" if self.display:
                return sympy.Function(f"log_{name[3:]}")(x)
            case "expit" | "logit" if self.display:
                return sympy.Function(name)(x)
            case "log2" | "log10":
                return sympy.log(x) * sympy.Float(1.0 / math.log(2.0 if name == "log2" else 10.0))
            case "expit":
                return 1 / (1 + sympy.exp(-x))
            case "logit":
                return sympy.log(x / (1 - x))
            case "log_expit" | "normal_cdf" | "log_normal_cdf" | "lgamma" | "probit" if self.display:
                return _DISPLAYED[name](x)
            case "log_expit":
                return -sympy.log(1 + sympy.exp(-x))
            case "normal_cdf":
                return sympy.erfc(-x / sympy.sqrt(2)) / 2
            case "log_normal_cdf":
                return sympy.log(sympy.erfc(-x / sympy.sqrt(2)) / 2)
            case "lgamma":
                return sympy.loggamma(x)
            case "probit":
                return sympy.sqrt(2) * sympy.erfinv(2 * x - 1)
        return getattr(sympy, name)(x, **self.options)
