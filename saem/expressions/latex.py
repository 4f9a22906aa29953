"""Expressions of the language as LaTeX that MathJax and KaTeX set, too."""

from __future__ import annotations

import ast
import re
from typing import Any

from saem.expressions.grammar import parse
from saem.expressions.quoting import Column

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega".split()
)
FUNCTIONS = {"log": r"\log", "log2": r"\log_2", "log10": r"\log_{10}"} | {
    name: rf"\{name}" for name in ("exp", "sin", "cos", "tan", "tanh", "min", "max")
}
OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: r"\,", ast.And: r"\wedge", ast.Or: r"\vee", ast.Eq: "=", ast.NotEq: r"\neq",
    ast.Lt: "<", ast.LtE: r"\leq", ast.Gt: ">", ast.GtE: r"\geq", ast.In: r"\in", ast.NotIn: r"\notin",
}  # fmt: skip
CONDITION, SUM, PRODUCT, SIGN, POWER, ATOM = range(6)
_NAME = re.compile(r"([A-Za-z]+?)(\d*)(?:_(.*))?")


def latex(text: str, columns: frozenset[str] = frozenset()) -> str:
    """A text of the language.

    Parameters
    ----------
    text : str
    columns : frozenset of str
        Names that are set as words; all others are set as symbols.
    """
    return latex_of(parse(text, large=True).body, columns)


def latex_of(tree: ast.AST, columns: frozenset[str] = frozenset()) -> str:
    """A tree of the language; see `latex`."""
    return _Writer(columns).write(tree)[0]


def symbol(name: str) -> str:
    r"""A parameter: ``omega_CL`` as ``\omega_{\mathrm{CL}}``, ``b21`` as ``b_{21}``."""
    found = _NAME.fullmatch(name)
    if found is None:
        return word(name)
    base, digits, rest = found.groups()
    below = [digits] if digits else []
    if rest:
        below.append(rest if rest.isdigit() else word(rest))
    head = rf"\{base}" if base in GREEK else base if len(base) == 1 else word(base)
    return head + (f"_{{{','.join(below)}}}" if below else "")


def word(name: str) -> str:
    """A name or a level as upright letters."""
    return rf"\mathrm{{{escaped(name)}}}".replace(" ", r"\ ")


def escaped(text: str) -> str:
    """A text without what LaTeX, or HTML around it, would take for an order."""
    special = {"\\": r"\backslash ", "^": r"\hat{}", "~": r"\sim ", "<": r"\lt ", ">": r"\gt "}
    return "".join(special.get(c, f"\\{c}" if c in "_&%$#{}" else c) for c in text if c.isprintable())


class _Writer:
    """Writes trees; every method gives LaTeX and how tightly it binds."""

    def __init__(self, columns: frozenset[str]) -> None:
        self.columns = columns

    def write(self, tree: ast.AST) -> tuple[str, int]:
        """Any tree."""
        match tree:
            case ast.Constant(value=str() as level):
                return word(level), ATOM
            case ast.Constant(value=value):
                text = number(value)
                return text, PRODUCT if r"\cdot" in text else ATOM
            case ast.Name(id=name):
                return (word(name) if isinstance(tree, Column) or name in self.columns else symbol(name)), ATOM
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return rf"\neg {self.at(operand, SIGN)}", SIGN
            case ast.UnaryOp(op=op, operand=operand):
                return f"{'-' if isinstance(op, ast.USub) else '+'}{self.at(operand, SIGN)}", SIGN
            case ast.BinOp():
                return self.binary(tree)
            case ast.BoolOp(op=op, values=values):
                parts = [
                    rf"\left({text}\right)" if isinstance(each, ast.BoolOp) else text
                    for each in values
                    for text in (self.write(each)[0],)
                ]
                return f" {OPERATORS[type(op)]} ".join(parts), CONDITION
            case ast.Compare(left=left, ops=ops, comparators=others):
                parts = [self.write(left)[0]]
                for comparison, other in zip(ops, others, strict=True):
                    parts += [OPERATORS[type(comparison)], self.write(other)[0]]
                return " ".join(parts), CONDITION
            case ast.List(elts=levels) | ast.Tuple(elts=levels):
                return rf"\{{{', '.join(self.write(level)[0] for level in levels)}\}}", ATOM
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.call(name, [self.write(each)[0] for each in arguments]), ATOM
        raise NotImplementedError(ast.dump(tree))

    def at(self, tree: ast.AST, tightness: int) -> str:
        """A tree within one that binds as tightly as this, in parentheses where it binds less.

        Conditions in brackets are 1 where they hold, else 0.
        """
        text, own = self.write(tree)
        if own == CONDITION:
            return rf"\left[{text}\right]"
        return text if own >= tightness else rf"\left({text}\right)"

    def binary(self, tree: ast.BinOp) -> tuple[str, int]:
        match tree.op:
            case ast.Div():
                return rf"\frac{{{self.write(tree.left)[0]}}}{{{self.write(tree.right)[0]}}}", PRODUCT
            case ast.Pow():
                return f"{self.at(tree.left, ATOM)}^{{{self.write(tree.right)[0]}}}", POWER
            case ast.Mult():
                left, right = self.at(tree.left, PRODUCT), self.at(tree.right, POWER)
                return left + (r" \cdot " if right[0].isdigit() else r"\,") + right, PRODUCT
        right = self.at(tree.right, SUM if isinstance(tree.op, ast.Add) else PRODUCT)
        if right.startswith("-"):
            right = rf"\left({right}\right)"
        return f"{self.at(tree.left, SUM)} {OPERATORS[type(tree.op)]} {right}", SUM

    def call(self, name: str, arguments: list[str]) -> str:
        match name, arguments:
            case "sqrt", [inside]:
                return rf"\sqrt{{{inside}}}"
            case "abs", [inside]:
                return rf"\left|{inside}\right|"
            case "where", [condition, a, b]:
                return rf"\begin{{cases}}{a} & \text{{if }} {condition} \\ {b} & \text{{else}}\end{{cases}}"
        function = FUNCTIONS.get(name) or rf"\operatorname{{{escaped(name)}}}"
        return rf"{function}\left({', '.join(arguments)}\right)"


def number(value: Any) -> str:
    """A number with a power of ten as one."""
    mantissa, _, exponent = f"{value:.12g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
