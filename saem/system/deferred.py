"""Fields of dataclasses that are computed when they are first read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Deferred(Generic[T]):
    """A field that may be given as a function without arguments, which is called when the field is first read.

    For what costs more to make than most who get it would use, such as small tables: a table of pandas takes longer
    than a search for a maximum. Declared as ``table: Deferred[pd.DataFrame] = Deferred()``. The value cannot itself be
    a function.

    Parameters
    ----------
    default : optional
        The value of the field where none is given; without it one must be.
    """

    def __init__(self, *default: T) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> T: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> T:
        if instance is None:  # the dataclass asks for the default
            if not self.default:
                raise AttributeError(self.name)
            return self.default[0]
        held: dict[str, Any] = vars(instance)
        if callable(held[self.name]):
            held[self.name] = held[self.name]()
        value: T = held[self.name]
        return value

    def __set__(self, instance: object, value: T | Callable[[], T]) -> None:
        vars(instance)[self.name] = value


def as_given(instance: object, name: str) -> Any:
    """The value of a field, or the function that will make it, to be handed on."""
    return vars(instance)[name]


def replaced(instance: T, **changes: Any) -> T:
    """A dataclass object with other values in some fields, as `dataclasses.replace`; what is deferred stays so."""
    return type(instance)(**(vars(instance) | changes))
