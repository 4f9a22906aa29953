"""What a family tells people of a model and its table: sections with a table and sentences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A heading, a table and sentences.

    Attributes
    ----------
    title : str
    header : tuple of str
        (k,) columns.
    rows : list of list of str
        (r, k); without rows there is no table.
    align : str
        (k,) letters, ``l`` or ``r``.
    notes : tuple of str
        Sentences after the table.
    """

    title: str
    header: tuple[str, ...] = ()
    rows: list[list[str]] | tuple[()] = ()
    align: str = ""
    notes: tuple[str, ...] = ()
