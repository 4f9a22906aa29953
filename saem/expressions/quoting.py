"""Quoted texts in expressions: hidden from Python's parser, which sees plain ASCII and nothing of what is quoted."""

from __future__ import annotations

import ast
import copy
import re

from saem.errors import ExpressionError

_QUOTED = re.compile(r"'([^'\n]*)'|\"([^\"\n]*)\"|`([^`\n]*)`")
_FIRST_PLACEHOLDER = 0x4E00  # letters that a text cannot contain outside quotes


class Column(ast.Name):
    """A column named between backticks: never a function or a constant."""


class _Backticks(ast.NodeTransformer):
    """Columns as they are written; Python knows no such name, but writes it."""

    def visit_Column(self, node: Column) -> ast.Name:
        return ast.Name(id=f"`{node.id}`")


def text_of(node: ast.AST) -> str:
    """A part of a tree as a text of the language.

    Parameters
    ----------
    node : ast.AST

    Returns
    -------
    str
    """
    return ast.unparse(_Backticks().visit(copy.deepcopy(node)))


def short(text: str) -> str:
    """A text for a message: on one line, in quotes, cut to 80 characters.

    Parameters
    ----------
    text : str
    """
    line = " ".join(text.split())
    return repr(line if len(line) <= 80 else line[:77] + "...")


def hide_quoted(text: str) -> tuple[str, dict[str, ast.expr]]:
    """Put one letter, padded to the same width, in place of each quoted text, so that positions stay the same.

    Parameters
    ----------
    text : str

    Returns
    -------
    plain : str
        As long as `text`.
    quoted : dict of str to ast.expr
        Letter -> the `Column` between backticks, or the constant between quotes.
    """
    quoted: dict[str, ast.expr] = {}

    def replace(match: re.Match[str]) -> str:
        content = match.group(match.lastindex or 0)
        if not content:
            raise ExpressionError(f"nothing is between the quotes at character {match.start() + 1} of {short(text)}")
        letter = chr(_FIRST_PLACEHOLDER + len(quoted))
        is_column = match.lastindex == 3
        quoted[letter] = Column(id=content, ctx=ast.Load()) if is_column else ast.Constant(value=content)
        return " " + letter + " " * (len(content))

    return _QUOTED.sub(replace, text), quoted


def check_characters(text: str, plain: str) -> None:
    """Allow only printable ASCII outside quotes, without what would hide or continue code.

    Parameters
    ----------
    text : str
        As written.
    plain : str
        From `hide_quoted`.

    Raises
    ------
    ExpressionError
        Naming the character and its position.
    """
    for position, character in enumerate(plain):
        if character in "'\"`":
            raise ExpressionError(f"the quote {character} at character {position + 1} has no partner: {short(text)}")
        if ord(character) >= _FIRST_PLACEHOLDER and text[position] != character:
            continue
        if not (character.isascii() and (character.isprintable() or character in "\t\r\n")) or character in "#\\;@$?":
            raise ExpressionError(
                f"{character!r} at character {position + 1} is not allowed outside quotes in {short(text)}; "
                "write a level between quotes, and a column with such a name between backticks"
            )
