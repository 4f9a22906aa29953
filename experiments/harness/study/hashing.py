"""A hash of a data set, whatever it is made of: the same for the same content, in any process."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

PLAIN = (str, bytes, int, float, complex, bool, type(None))


def hash_of(data: Any) -> str:
    """16 hexadecimal digits of the content: numbers and texts, arrays, tables, containers and fields of objects.

    What none of these can be looked into is known by its type alone, so that the hash may miss a difference, and never
    makes one up.
    """
    found = hashlib.blake2b(digest_size=8)
    take(found, data, {})
    return found.hexdigest()


def take(found: Any, data: Any, seen: dict[int, Any]) -> None:
    """Add a value to a hash; what was met before, by its place (kept in `seen`, so that its number stays its own)."""
    kind = type(data)
    found.update(f"({kind.__module__}.{kind.__qualname__} ".encode())
    if isinstance(data, PLAIN):
        found.update(repr(data).encode("utf-8", "surrogatepass"))
    elif id(data) in seen:
        found.update(f"seen {list(seen).index(id(data))}".encode())
    elif isinstance(data, list | tuple) and all(type(value) in PLAIN for value in data):
        found.update(repr(data).encode("utf-8", "surrogatepass"))
    else:
        seen[id(data)] = data
        take_parts(found, data, seen)
    found.update(b")")


def take_parts(found: Any, data: Any, seen: dict[int, Any]) -> None:
    """Add what a value is made of."""
    if isinstance(data, np.ndarray):
        take_array(found, data, seen)
    elif type(data).__module__.partition(".")[0] == "pandas":
        take_table(found, data, seen)
    elif isinstance(data, Mapping):
        for key, value in data.items():
            take(found, key, seen)
            take(found, value, seen)
    elif isinstance(data, AbstractSet):
        found.update("".join(sorted(map(hash_of, data))).encode())  # its order differs between processes
    elif isinstance(data, list | tuple):
        for value in data:
            take(found, value, seen)
    elif hasattr(data, "__array__"):
        take_array(found, np.asarray(data), seen)
    elif isinstance(getattr(data, "__dict__", None), dict) and not callable(data):
        take(found, vars(data), seen)
    elif names := slots_of(data):
        take(found, {name: getattr(data, name) for name in names if hasattr(data, name)}, seen)


def slots_of(data: Any) -> list[str]:
    """The names of the fields of an object that has no others."""
    slots = [own for kind in type(data).__mro__ for own in [vars(kind).get("__slots__", ())]]
    return [name for own in slots for name in ([own] if isinstance(own, str) else own) if not name.startswith("__")]


def take_array(found: Any, data: np.ndarray, seen: dict[int, Any]) -> None:
    """Add an array."""
    found.update(f"{data.dtype.str} {data.shape}".encode())
    if data.dtype.hasobject:
        take(found, data.tolist(), seen)
    else:
        found.update(np.ascontiguousarray(data).view(np.uint8).reshape(-1).data if data.size else b"")


def take_table(found: Any, data: Any, seen: dict[int, Any]) -> None:
    """Add a table, a column or an index of pandas, column by column."""
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        take(found, list(data.columns), seen)
        take(found, data.index, seen)
        for k in range(data.shape[1]):
            take(found, data.iloc[:, k].array, seen)
    elif isinstance(data, pd.RangeIndex):
        found.update(repr(data).encode())
    elif isinstance(data, pd.Series | pd.Index):
        take(found, list(data.names) if isinstance(data, pd.Index) else data.name, seen)
        if isinstance(data, pd.Series):
            take(found, data.index, seen)
        take(found, data.to_numpy(), seen)
    elif isinstance(data, pd.Categorical):
        take(found, data.codes, seen)
        take(found, list(data.categories), seen)
    elif hasattr(data, "__array__"):
        take_array(found, np.asarray(data), seen)
    else:
        found.update(repr(data).encode("utf-8", "surrogatepass"))
