"""The language of formulas: R's operators over columns, numbers and calls, parsed into a small tree of its own.

A formula is never evaluated as Python, and no other parser sees it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from saem.errors import ExpressionError

MAX_CHARACTERS = 1000
MAX_DEPTH = 50


@dataclass(frozen=True)
class Name:
    """A column."""

    text: str


@dataclass(frozen=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True)
class Pi:
    """The number, where it stands within a call and not in backticks."""


@dataclass(frozen=True)
class Text:
    """A text between quotes: a level."""

    value: str


@dataclass(frozen=True)
class Items:
    """Several values: ``[1, 2]``, or ``c(1, 2)`` as R writes it."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Call:
    """A function with its arguments; those without a name have the name ``""``."""

    function: str
    arguments: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Sign:
    """``+x`` or ``-x``."""

    operator: str
    operand: Node


@dataclass(frozen=True)
class Operation:
    """Two operands with an operator between them; a power is always ``**``."""

    operator: str
    left: Node
    right: Node


Node = Name | Number | Pi | Text | Items | Call | Sign | Operation

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
# What binds tighter has the larger number, as in R.
_BINDING = {**dict.fromkeys(COMPARISONS, 1), "+": 2, "-": 2, "*": 3, "/": 3, "%in%": 4, ":": 5, "**": 7}
_SIGN = 6
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d][\w.]*|\.[^\W\d][\w.]*)"
    r"|`(?P<quoted>[^`\n]+)`"
    r"|(?P<operator>\*\*|%in%|==|!=|<=|>=|[-+*/:~(),^=<>\[\]])"
    r"|'(?P<single>[^'\\\n]*)'|\"(?P<double>[^\"\\\n]*)\")"
)
_ALIASES = {"as.factor": "factor", "as.numeric": "I", "standardise": "standardize"}
_ADVICE = {
    "|": "random effects are written in [random], not in the formula",
    ".": "name each column; '.' for all of them is not known here",
    "{": "write I(...) for arithmetic",
    "%": "of the operators between % only %in% is known",
    "\\": "levels must not hold a backslash",
    "`": "the backtick has no partner",
    "'": "the quote has no partner",
    '"': "the quote has no partner",
}


def parse(formula: str) -> tuple[Node | None, Node]:
    """The left and the right side of a formula.

    Parameters
    ----------
    formula : str
        ``"y ~ ..."`` or ``"~ ..."``.

    Returns
    -------
    left : Node or None
    right : Node

    Raises
    ------
    ExpressionError
        Saying what cannot be read.
    """
    tokens = _tokens(formula)
    tildes = [i for i, token in enumerate(tokens) if token == ("operator", "~")]
    if len(tildes) != 1:
        raise ExpressionError(
            f"mean must be a table of parameters, or a formula with one '~' as in 'y ~ treatment'; got {formula!r}"
        )
    left, right = tokens[: tildes[0]], tokens[tildes[0] + 1 :]
    if not right:
        raise ExpressionError(f"the right side of the formula must not be empty; got {formula!r}")
    return (_Parser(left, formula).whole() if left else None), _Parser(right, formula).whole()


def _tokens(formula: str) -> list[tuple[str, str]]:
    """Split into (kind, text); refuse everything else."""
    if len(formula) > MAX_CHARACTERS:
        raise ExpressionError(f"a formula must have at most {MAX_CHARACTERS} characters; got {len(formula)}")
    tokens: list[tuple[str, str]] = []
    position = 0
    while formula[position:].strip():
        match = _TOKEN.match(formula, position)
        if match is None:
            rest = formula[position:].strip()
            advice = _ADVICE.get(rest[0], "in the name of a column it stands in backticks, in a level in quotes")
            raise ExpressionError(f"the formula {formula!r} contains {rest[0]!r}: {advice}")
        kind = match.lastgroup or ""
        text = match.group(kind).replace("^", "**") if kind == "operator" else match.group(kind)
        tokens.append(({"single": "text", "double": "text"}.get(kind, kind), text))
        position = match.end()
    return tokens


class _Parser:
    """Precedence climbing over the tokens of one side."""

    def __init__(self, tokens: list[tuple[str, str]], formula: str) -> None:
        self._tokens = [*tokens, ("end", "the end")]
        self._at = 0
        self._depth = 0
        self._in_call = 0
        self._formula = formula

    def whole(self) -> Node:
        node = self._expression(0)
        if self._peek()[0] != "end":
            raise self._misfit()
        return node

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _next(self) -> tuple[str, str]:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, operator: str) -> bool:
        return self._peek() == ("operator", operator)

    def _expect(self, operator: str) -> None:
        if not self._is(operator):
            raise self._misfit(f"where {operator!r} should stand")
        self._next()

    def _misfit(self, where: str = "where it has no meaning") -> ExpressionError:
        kind, text = self._peek()
        what = text if kind == "end" else repr(text)
        return ExpressionError(f"the formula {self._formula!r} cannot be read: it has {what} {where}")

    def _expression(self, least: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"the formula {self._formula[:60]!r} is nested too deeply")
        node = self._signed()
        while self._peek()[0] == "operator" and _BINDING.get(self._peek()[1], -1) >= max(least, 1):
            operator = self._next()[1]
            # a power binds to the right, as in R: 2 ** 3 ** 2 is 2 ** 9
            node = Operation(operator, node, self._expression(_BINDING[operator] + (operator != "**")))
        self._depth -= 1
        return node

    def _signed(self) -> Node:
        if self._is("+") or self._is("-"):
            operator = self._next()[1]
            return Sign(operator, self._expression(_SIGN))
        return self._primary()

    def _primary(self) -> Node:
        kind, text = self._peek()
        if kind == "number":
            self._next()
            return Number(float(text))
        if kind == "text":
            self._next()
            return Text(text)
        if kind == "quoted":
            self._next()
            return Name(text)
        if kind == "name":
            self._next()
            if self._is("("):
                return self._call(_ALIASES.get(text, text))
            return Pi() if text == "pi" and self._in_call else Name(text)
        if self._is("("):
            self._next()
            node = self._expression(0)
            if not self._is(","):
                self._expect(")")
                return node
            return Items((node, *self._rest(")")))
        if self._is("["):
            self._next()
            return Items((self._expression(0), *self._rest("]")))
        raise self._misfit()

    def _rest(self, closing: str) -> list[Node]:
        """What follows the first of several values."""
        parts: list[Node] = []
        while self._is(","):
            self._next()
            parts.append(self._expression(0))
        self._expect(closing)
        return parts

    def _call(self, function: str) -> Node:
        self._next()
        self._in_call += 1
        arguments: list[tuple[str, Node]] = []
        while not self._is(")"):
            if arguments:
                self._expect(",")
            named = self._peek()[0] == "name" and self._tokens[self._at + 1] == ("operator", "=")
            name = self._next()[1] if named else ""
            if named:
                self._next()
            arguments.append((name, self._expression(0)))
        self._next()
        self._in_call -= 1
        if function == "c" and not any(name for name, _ in arguments):
            return Items(tuple(node for _, node in arguments))
        return Call(function, tuple(arguments))


def names_in(node: Node) -> list[str]:
    """The columns that a tree reads, in order of first use; words such as ``Sum`` or ``TRUE`` are none of them."""
    found: dict[str, None] = {}

    def visit(part: Node) -> None:
        match part:
            case Name(text):
                found[text] = None
            case Sign(_, operand):
                visit(operand)
            case Operation(_, left, right):
                visit(left)
                visit(right)
            case Items(parts):
                for each in parts:
                    visit(each)
            case Call(_, arguments):
                # only the first argument is data; the others are settings
                for name, each in arguments[:1]:
                    if not name:
                        visit(each)

    visit(node)
    return list(found)


def text_of(node: Node, outer: int = 0) -> str:
    """A tree as text that `parse` reads as the same tree.

    Parameters
    ----------
    node : Node
    outer : int
        How tightly the operator around it binds.
    """
    match node:
        case Name(text):
            return text if re.fullmatch(r"[^\W\d][\w.]*", text) else f"`{text}`"
        case Number(value):
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case Pi():
            return "pi"
        case Text(value):
            return f'"{value}"' if "'" in value else f"'{value}'"
        case Items(parts):
            return f"[{', '.join(text_of(part) for part in parts)}]"
        case Call(function, arguments):
            inner = ", ".join((f"{name}=" if name else "") + text_of(part) for name, part in arguments)
            return f"{function}({inner})"
        case Sign(operator, operand):
            text = f"{operator}{text_of(operand, _SIGN)}"
            return f"({text})" if outer > _SIGN else text
        case Operation(operator, left, right):
            own = _BINDING[operator]
            a, b = text_of(left, own + (operator == "**")), text_of(right, own + (operator != "**"))
            text = f"{a}:{b}" if operator == ":" else f"{a} {operator} {b}"
            return f"({text})" if outer > own else text
