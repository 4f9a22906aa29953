"""A table of the report."""

from __future__ import annotations

from dataclasses import dataclass

MOST_ROWS = 1500  # that a page can have without becoming heavy


@dataclass(frozen=True)
class Table:
    """Texts in rows; the template draws them.

    Attributes
    ----------
    header : list of str
    rows : list of list of str
    align : str
        "l" or "r" for each column.
    left_out : int
        Rows that are not shown.
    """

    header: list[str]
    rows: list[list[str]]
    align: str
    left_out: int = 0

    @classmethod
    def of(cls, header: list[str], rows: list[list[str]], align: str) -> Table:
        """With as many rows as a page can have."""
        return cls(header, rows[:MOST_ROWS], align, max(0, len(rows) - MOST_ROWS))
