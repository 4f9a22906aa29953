"""The small language of model files: arithmetic, comparisons and a few functions.

Model files travel between people, so a text is never evaluated as Python. It is parsed into Python's syntax tree, of
which only a short list of node types is let through; its size, its numbers and its powers are bounded, so that what
comes after can neither run foreign code nor take forever. See `saem.expressions.rows.RowExpression` for texts about
the rows of a table, and `saem.expressions.graph.Graph` for texts about parameters.
"""

from __future__ import annotations

import ast
import keyword
import math
import re
from functools import lru_cache

from saem.errors import ExpressionError, nearest
from saem.expressions.folding import ARGUMENTS, CONSTANTS, FUNCTIONS, OPERATORS, check_powers, describe, fold
from saem.expressions.quoting import Column, check_characters, hide_quoted, short

MAX_CHARACTERS = 2000
MAX_NODES = 200
MAX_DEPTH = 100
#: The bounds of what may be large: an outcome's expressions, not those of constraints and designs.
LARGE_CHARACTERS = 20_000
LARGE_NODES = 2000
MAX_NAME = 64


#: Words that cannot name a parameter.
RESERVED = frozenset(FUNCTIONS) | frozenset(CONSTANTS) | {"and", "or", "not", "in", "is", "if", "else", "True", "False"}

_PYTHON = frozenset(keyword.kwlist) - RESERVED  # words that Python's parser does not take for names
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
_ADVICE: dict[type[ast.AST], str] = {
    ast.Attribute: "a dot after a name has no meaning here; a column with a dot in its name stands in backticks",
    ast.Subscript: "square brackets after a name have no meaning here",
    ast.IfExp: "write where(condition, a, b) instead of if ... else",
    ast.BitXor: "write ** for a power",
    ast.BitAnd: "write 'and'",
    ast.BitOr: "write 'or'",
    ast.Invert: "write 'not'",
    ast.Is: "write ==",
    ast.IsNot: "write !=",
}


@lru_cache(maxsize=2048)
def parse(text: str, large: bool = False) -> ast.Expression:
    """Parse a text of the language and check it against all its bounds.

    Parameters
    ----------
    text : str
        For instance ``"treatment == 'CCCP' and dose > 2"`` or ``"c2 == exp(sigma2**2 - sigma1**2)"``. Texts between
        quotes are levels; a column whose name is no identifier is written between backticks.
    large : bool
        Whether it may be as large as `LARGE_CHARACTERS` and `LARGE_NODES` say.

    Returns
    -------
    ast.Expression
        Tree of allowed nodes only, at most `MAX_NODES` of them, at most `MAX_DEPTH` deep. Not to be modified.

    Raises
    ------
    ExpressionError
        Saying what was found, and where.
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression must be a text; got {text!r}")
    most = LARGE_CHARACTERS if large else MAX_CHARACTERS
    if len(text) > most:
        raise ExpressionError(f"an expression must have at most {most} characters; got {len(text)}: {short(text)}")
    if not text.strip():
        raise ExpressionError("an expression must not be empty")
    plain, quoted = hide_quoted(text)
    check_characters(text, plain)
    # Line breaks of a long text in a model file mean nothing; outer blanks would be an indentation for Python.
    plain = re.sub(r"\s", " ", plain)
    indent = len(plain) - len(plain.lstrip())
    try:
        tree = ast.parse(plain.strip(), mode="eval")
    except SyntaxError as error:
        raise ExpressionError(_syntax_message(text, indent, error)) from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError(
            f"the expression is nested too deeply or holds too long a number: {short(text)}"
        ) from None
    _check_size(tree, text, LARGE_NODES if large else MAX_NODES)
    body = _reveal(tree.body, quoted, text)
    fold(body, text)
    check_powers(body, 1.0, text)
    return ast.Expression(body=body)


def names_in(tree: ast.AST) -> tuple[str, ...]:
    """The names of columns or parameters in a tree, in order of first use.

    Parameters
    ----------
    tree : ast.AST
        From `parse`.

    Returns
    -------
    tuple of str
        Without functions and constants.
    """
    names: dict[str, None] = {}
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name) and (isinstance(node, Column) or node.id not in CONSTANTS):
            names[node.id] = None
        children = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
        stack.extend(reversed(list(children)))
    return tuple(names)


def check_name(name: str, what: str) -> None:
    """Refuse what cannot name a parameter.

    Parameters
    ----------
    name : str
        The proposed name.
    what : str
        What it names, for the message.

    Raises
    ------
    ExpressionError
        If `name` is no ASCII identifier, too long, or a word of the language.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or len(name) > MAX_NAME:
        raise ExpressionError(
            f"{what} must be named by letters a-z, digits and _, not starting with a digit, at most {MAX_NAME} long; "
            f"got {short(name)}"
        )
    if name in RESERVED or name in ("lambda", "None"):
        raise ExpressionError(f"{what} must not be named like a word of the expression language; got {name!r}")


def _syntax_message(text: str, indent: int, error: SyntaxError) -> str:
    position = min(error.offset + indent, len(text)) if error.offset else len(text)
    message = f"cannot read the expression {short(text)}: something is wrong at or before character {position}"
    words = [word for word in re.findall(r"[A-Za-z_]+", hide_quoted(text)[0]) if word in _PYTHON]
    if words:
        message += f"; a column with the name {words[0]} stands in backticks: `{words[0]}`"
    elif re.search(r"(?<![=!<>])=(?!=)", text):
        message += "; write == for 'equal'"
    elif text.count("(") != text.count(")"):
        message += f"; it has {text.count('(')} opening and {text.count(')')} closing brackets"
    return message


def _check_size(tree: ast.Expression, text: str, most: int) -> None:
    """Count nodes and depth without recursion: Python's stack is not the guard."""
    nodes = 0
    stack: list[tuple[ast.AST, int]] = [(tree.body, 1)]
    while stack:
        node, depth = stack.pop()
        nodes += isinstance(node, ast.expr)
        if nodes > most:
            raise ExpressionError(f"an expression must have at most {most} terms; got more: {short(text)}")
        if depth > MAX_DEPTH and isinstance(node, ast.expr):
            raise ExpressionError(f"an expression must be at most {MAX_DEPTH} operations deep; got more: {short(text)}")
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


def _reveal(node: ast.expr, quoted: dict[str, ast.expr], text: str) -> ast.expr:
    """Check one node and its children against the list of what is allowed; put quoted texts back."""
    match node:
        case ast.Name(id=name):
            if not name.isascii():
                if name not in quoted:
                    raise ExpressionError(f"an operator is missing beside a quote in {short(text)}")
                return quoted[name]
            return node
        case ast.Constant(value=value):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ExpressionError(f"{value!r} is not a number in {short(text)}; write 1 or 0 for true or false")
            try:
                finite = math.isfinite(float(value))
            except OverflowError:
                finite = False
            if not finite:
                raise ExpressionError(f"a number is too large in {short(text)}")
            return ast.copy_location(ast.Constant(value=value), node)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            node.left, node.right = _reveal(left, quoted, text), _reveal(right, quoted, text)
            return node
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() | ast.Not(), operand=operand):
            node.operand = _reveal(operand, quoted, text)
            return node
        case ast.BoolOp(values=values):
            node.values = [_reveal(value, quoted, text) for value in values]
            return node
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(isinstance(o, _COMPARISONS) for o in ops):
            node.left = _reveal(left, quoted, text)
            node.comparators = [
                _reveal_list(other, quoted, text)
                if isinstance(op, ast.In | ast.NotIn)
                else _reveal(other, quoted, text)
                for op, other in zip(ops, comparators, strict=True)
            ]
            return node
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords) if name.isascii():
            if name in FUNCTIONS:
                wanted = ARGUMENTS.get(name, ("x",))
                if len(arguments) != len(wanted) or keywords:
                    raise ExpressionError(_wrong_arguments(name, wanted, arguments, keywords, text))
                if name == "where" and not _may_hold(arguments[0]):
                    found = describe(arguments[0])
                    raise ExpressionError(f"where() needs a condition such as dose > 1; got {found} in {short(text)}")
                node.args = [_reveal(argument, quoted, text) for argument in arguments]
                return node
            raise ExpressionError(
                f"there is no function {name!r}{nearest(name, FUNCTIONS)} in {short(text)}; "
                f"the functions are {', '.join(FUNCTIONS)}"
            )
    raise ExpressionError(_refusal(node, text))


def _may_hold(node: ast.expr) -> bool:
    """Whether this may be a condition; a name is one where its column holds true and false."""
    is_not = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    return (
        is_not
        or isinstance(node, ast.Compare | ast.BoolOp)
        or (isinstance(node, ast.Name) and node.id not in CONSTANTS)
    )


def _wrong_arguments(
    name: str, wanted: tuple[str, ...], arguments: list[ast.expr], keywords: list[ast.keyword], text: str
) -> str:
    if len(wanted) == 1:
        takes = "one argument"
    else:
        takes = f"{('two', 'three')[len(wanted) - 2]} arguments, {name}({', '.join(wanted)})"
    found = f"{keywords[0].arg}=" if keywords and keywords[0].arg else str(len(arguments))
    return f"{name}() takes {takes}; got {found} in {short(text)}"


def _reveal_list(node: ast.expr, quoted: dict[str, ast.expr], text: str) -> ast.expr:
    """The right side of ``in``: a list of levels or numbers."""
    if not isinstance(node, ast.List | ast.Tuple | ast.Set) or not node.elts:
        raise ExpressionError(f"'in' must be followed by a list such as ['a', 'b'] in {short(text)}")
    elements = [_reveal(element, quoted, text) for element in node.elts]
    if any(names_in(element) for element in elements) or any(isinstance(e, ast.Compare | ast.BoolOp) for e in elements):
        raise ExpressionError(f"the list after 'in' must hold levels in quotes or numbers in {short(text)}")
    return ast.copy_location(ast.List(elts=elements, ctx=ast.Load()), node)


def _refusal(node: ast.AST, text: str) -> str:
    """Why a node is not part of the language."""
    operator = next(
        (op for op in ast.iter_child_nodes(node) if isinstance(op, ast.operator | ast.unaryop | ast.cmpop)), None
    )
    for found in (node, getattr(node, "func", None), *getattr(node, "ops", []), operator):
        if found is not None and type(found) in _ADVICE:
            return f"cannot read the expression {short(text)}: {_ADVICE[type(found)]}"
    column = getattr(node, "col_offset", 0) + 1
    return (
        f"cannot read the expression {short(text)}: at character {column} stands something that is not a number, "
        "a name, an arithmetic operation, a comparison or one of the functions " + ", ".join(FUNCTIONS)
    )
