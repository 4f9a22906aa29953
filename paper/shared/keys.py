"""Keys of numbers, and numbers that come from several cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from paper.digest import Entry
from paper.shared.pooling import least, most
from paper.shared.writing import Number, computed, latex

if TYPE_CHECKING:
    import pandas as pd


def keyed(*parts: Any) -> str:
    """The key of a number: parts with dots between, hyphens in names."""
    return ".".join(str(part).replace("_", "-") for part in parts)


def stated(
    key: str,
    form: Callable[[Entry], str],
    find: Callable[[pd.DataFrame], Entry],
    table: pd.DataFrame,
    source: str,
    *studies: str,
) -> Number:
    """A number that is found in several cells, written by a function."""
    return computed(key, lambda: form(find(table)), source, *studies)


def extremes(
    key: str, form: Callable[[Entry], str], table: pd.DataFrame, source: str, *studies: str
) -> Iterator[Number]:
    """Two numbers: the least and the most over cells."""
    for word, find in (("least", least), ("most", most)):
        yield stated(f"{key}.{word}", form, find, table, f"{source}, {word} over cells", *studies)


def whole(key: str, compute: Callable[[], int], source: str, *studies: str) -> Number:
    """A count."""
    return computed(key, lambda: latex(f"{compute():,}"), source, *studies)
