"""The parts of a model: frozen tables of a model file that say all that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from saem.errors import ExpressionError, ModelError
from saem.expressions.columns import level_text
from saem.expressions.grammar import MAX_NAME, check_name
from saem.expressions.rows import row_expression
from saem.specification.modelfile import explain


class Part(BaseModel):
    """Frozen, strict about keys, and says all that is wrong at once, in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise explain(error, list(type(self).model_fields)) from None


def known_levels(by: str | None, sd: object) -> tuple[str, ...] | None:
    """The levels of ``by`` that a table of standard deviations names; None if they come from the data."""
    if by is None:
        return ("",)
    return tuple(sd) if isinstance(sd, dict) else None


def automatic_name(*parts: str | None) -> str:
    """Join the parts of an automatic parameter name by ``_``; other characters than a-z and digits become ``_``, too.

    Parameters
    ----------
    *parts : str or None
        None is left out.

    Returns
    -------
    str
        At most `MAX_NAME` characters.
    """
    text = "_".join(part for part in parts if part is not None)
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)[:MAX_NAME]


def sd_table(sd: Any) -> Any:
    """Check the shape of ``sd = ...`` and the names in it; levels may be numbers.

    Parameters
    ----------
    sd : object
        What the model says.

    Returns
    -------
    None, str, dict of str to str, or dict of str to dict
    """
    if sd is None:
        return None
    problems: list[str] = []

    def checked(value: Any, depth: int) -> Any:
        if isinstance(value, Mapping) and depth < 2 and value:
            return {level_text(level): checked(name, depth + 1) for level, name in value.items()}
        if isinstance(value, str):
            try:
                check_name(value, "an SD")
            except ExpressionError as error:
                problems.append(str(error))
        else:
            problems.append(f"must be a name, or a table level -> name or term -> name; got {_cut(value)}")
        return value

    table = checked(sd, 0)
    if problems:
        raise ModelError("; ".join(problems), dict.fromkeys(problems))
    return table


def row_table(table: Any, what: str, limit: int) -> Any:
    """Check a table name -> row expression; a number stands for itself, as in ``mu = 1``.

    Parameters
    ----------
    table : object
        What the model says.
    what : str
        What the names are, for messages.
    limit : int
        How many there may be.

    Returns
    -------
    dict of str to str
    """
    if not isinstance(table, Mapping) or not table:
        raise ModelError(f"must be a table with at least one line, name = 'expression'; got {_cut(table)}")
    if len(table) > limit:
        raise ModelError(f"must have at most {limit} lines; got {len(table)}")
    problems = []
    result: dict[str, str] = {}
    for name, value in table.items():
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        try:
            if not isinstance(text, str):
                raise ExpressionError(f"the expression must be a text in quotes; got {_cut(text)}")
            check_name(str(name), what)
            row_expression(text)
        except ExpressionError as error:
            problems.append(f"{str(name)[:MAX_NAME]}: {error}")
        result[str(name)] = text
    if problems:
        raise ExpressionError("; ".join(problems), problems)
    return result


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
