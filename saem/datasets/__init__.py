"""Small tables that come with saem, so that every example runs anywhere."""

from __future__ import annotations

import io
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from saem.errors import DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["describe", "load", "names", "text"]


class Source(NamedTuple):
    """What is known of a table.

    Attributes
    ----------
    title, description : str
        One line, and one or two sentences.
    columns : dict of str to str
        What each column holds, with its unit.
    source, licence : str
        Where the numbers are from, and on what terms they may be passed on.
    """

    title: str
    description: str
    columns: dict[str, str]
    source: str
    licence: str


def names() -> tuple[str, ...]:
    """Names of the tables.

    Returns
    -------
    tuple of str
        In alphabetical order.
    """
    return tuple(sorted(_sources()))


def load(name: str) -> pd.DataFrame:
    """A table that comes with saem.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    DataFrame
        A new one at every call. Its `attrs` are `description`, `source` and `licence`.

    Raises
    ------
    DataError
        If there is no such table.
    """
    import pandas as pd

    known = _source(name)
    table = pd.read_csv(io.StringIO(text(name)))
    table.attrs = {"description": known.description, "source": known.source, "licence": known.licence}
    return table


def describe(name: str) -> str:
    """What a table holds, column by column, where it is from, and its licence.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    str
        Some lines of plain text.

    Raises
    ------
    DataError
        If there is no such table.
    """
    known = _source(name)
    width = max(map(len, known.columns))
    columns = [f"  {column:<{width}}  {meaning}" for column, meaning in known.columns.items()]
    ends = [f"source:  {known.source}", f"licence: {known.licence}"]
    return "\n".join([f"{name}: {known.title}", "", known.description, "", *columns, "", *ends])


def text(name: str) -> str:
    """The CSV file of a table.

    Parameters
    ----------
    name : str
        One of `names`.

    Raises
    ------
    DataError
        If there is no such table.
    """
    _source(name)
    return (files(__name__) / f"{name}.csv").read_text(encoding="utf-8")


@cache
def _sources() -> dict[str, Source]:
    """The table of sources, by the name of the table."""
    declared = tomllib.loads((files(__name__) / "sources.toml").read_text(encoding="utf-8"))
    simulated = declared.pop("simulated")
    return {name: Source(**(simulated | fields)) for name, fields in declared.items()}


def _source(name: str) -> Source:
    known = _sources()
    if name not in known:
        raise DataError(f"there is no table {name!r}{nearest(str(name), known)}; the tables are {', '.join(names())}")
    return known[name]
