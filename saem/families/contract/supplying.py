"""How a family gives its functions of the contract: by the type of its arrays."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from saem.system.jit import overload, types

_OWN: set[tuple[str, type]] = set()  # names of functions of the contract, and the types that have one of their own


def supply(function: Callable[..., Any], arrays: type, own: Callable[..., Any]) -> None:
    """Let a compiled function be that of the contract where the first argument is of a type.

    It is put in place of its calls: ``supply(contract.draw, MyArrays, draw_mine)``.

    Parameters
    ----------
    function : callable
        Of the contract: a name and arguments, without code.
    arrays : type
        The family's `NamedTuple` of arrays, or that of an objective.
    own : callable
        A `kernel`, or what is `inlined`, with the same arguments in the same order.
    """
    _OWN.add((function.__name__, arrays))
    _choose(function, own, lambda numba_type: is_a(numba_type, arrays))


def fall_back(function: Callable[..., Any], default: Callable[..., Any]) -> None:
    """Let a compiled function be that of the contract for all types that were not supplied with one."""
    name = function.__name__
    _choose(function, default, lambda numba_type: (name, getattr(numba_type, "instance_class", None)) not in _OWN)


def is_a(numba_type: Any, cls: type) -> bool:
    """Whether a Numba type is that of the given NamedTuple class."""
    return isinstance(numba_type, types.NamedTuple | types.NamedUniTuple) and numba_type.instance_class is cls


def _choose(function: Callable[..., Any], call: Callable[..., Any], wanted: Callable[[Any], bool]) -> None:
    """Tell Numba what to call where the first argument is of a type that is wanted."""
    names = list(signature(function).parameters)  # it compares those of all functions concerned
    given, before = ", ".join(names), {"call": call, "wanted": wanted}
    before["put"] = eval(f"lambda {given}: call({given})", before)
    overload(function, inline="always")(eval(f"lambda {given}: put if wanted({names[0]}) else None", before))
