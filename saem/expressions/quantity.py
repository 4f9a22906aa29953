"""Quantities: functions of the parameters that a user asks for, compiled with their exact derivatives."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from saem.errors import ExpressionError, ModelError, listing, nearest
from saem.expressions.compiled import Compiled, check_numbers
from saem.expressions.derivatives import Function, source_of
from saem.expressions.grammar import names_in, parse


@dataclass(frozen=True, eq=False)
class Quantity(Compiled):
    """A compiled quantity; its arrays have m = 1."""

    def __reduce__(self) -> tuple[Any, ...]:
        return compile_quantity, (self.names[0], self.texts[0], self.parameters)

    @property
    def used(self) -> tuple[str, ...]:
        """The parameters that it is made of, in order of first use."""
        return tuple(dict.fromkeys(names_in(parse(self.texts[0]))))


def compile_quantity(name: str, text: str, parameters: Sequence[str]) -> Quantity:
    """Compile an expression of the parameters, or fetch it from the memory of this process or the cache folder.

    Parameters
    ----------
    name : str
        For messages.
    text : str
    parameters : sequence of str
        (n,) the order of the argument ``x``.

    Raises
    ------
    ModelError
        When it cannot be read, or names no parameter.
    """
    try:
        return _compile(name, text, tuple(parameters))
    except ExpressionError as error:
        raise ModelError(f"the quantity {name!r} cannot be derived: {error}") from None


@lru_cache(maxsize=256)
def _compile(name: str, text: str, parameters: tuple[str, ...]) -> Quantity:
    from saem.system.machine import machine_of  # imports numba

    body = parse(text).body
    if isinstance(body, ast.Compare | ast.BoolOp | ast.List):
        raise ExpressionError(f"it must be one number; got a condition in {text!r}")
    check_numbers("it", body, "an expression", text)
    used = names_in(body)
    unknown = [part for part in used if part not in parameters]
    if unknown:
        raise ExpressionError(
            f"it names {unknown[0]!r}{nearest(unknown[0], parameters)}, which is no parameter; the parameters are "
            f"{listing(parameters, 20)}"
        )
    if not used:
        raise ExpressionError(f"it involves no parameter: {text!r}")
    function = machine_of(source_of([Function("it", body)], parameters), "functions")
    return Quantity((name,), (text,), parameters, function.address, function.owner)
