"""Numbers and tables for people: as many decimals as the standard errors warrant, in columns that line up."""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

UNKNOWN = "-"
PLAIN_WIDTH = 120
MAX_PLACES = 8
MAX_DIGITS = 15  # after the first
_ORDERS = ("Cc", "Cf", "Cs", "Zl", "Zp")  # of Unicode: controls, directions of writing, line separators


def decimals(errors: Iterable[float]) -> int:
    """Decimals that show the smallest of the standard errors with three significant digits (4 if none is known)."""
    known = [error for error in errors if math.isfinite(error) and error > 0.0]
    return min(max(2 - math.floor(math.log10(min(known))), 0), MAX_PLACES) if known else 4


def row_decimals(error: float, errors: Iterable[float]) -> int:
    """The decimals of a column of estimates, but for a row whose own error is far larger: two more than it warrants."""
    common = decimals(errors)
    return min(common, decimals([error]) + 2) if error > 0.0 else common


def number(value: float, places: int, error: float = math.nan) -> str:
    """`value` with that many decimals, or with four significant digits where these would hide it.

    A large number has more of them where its standard error warrants it.
    """
    if not math.isfinite(value):
        return UNKNOWN if math.isnan(value) else str(value)
    hidden = 0.5 * 10.0**-places if places < MAX_PLACES else 100.0 * 10.0**-places
    if abs(value) >= 1e9 and 0.0 < error < math.inf:
        digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 2
        if places > 0 and digits <= MAX_DIGITS:
            return f"{value:.{places}f}"
        return f"{value:.{min(max(digits, 3), MAX_DIGITS)}e}"
    if value != 0.0 and (abs(value) >= 1e9 or abs(value) < hidden):
        return f"{value:.3e}"
    return f"{round(value, places) + 0.0:.{places}f}"  # + 0.0 makes a rounded -0 a 0


def small(value: float) -> str:
    """Two significant digits, for quantities of which only the size matters."""
    return UNKNOWN if math.isnan(value) else f"{value:.2g}"


def method_name(method: object) -> str:
    """The name of a method that is given by its name or as an object."""
    return method if isinstance(method, str) else str(getattr(method, "name", type(method).__name__))


def printable(text: str, keep: str = "\n") -> str:
    """A text without what a terminal would take for an order: control characters as they are written in Python.

    Parameters
    ----------
    text : str
        Perhaps with names and levels from a table or a file.
    keep : str
        Control characters that stay: line breaks, but in the cell of a table.
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or unicodedata.category(c) not in _ORDERS else repr(c)[1:-1] for c in text)


def an(word: str) -> str:
    """A word after its indefinite article."""
    return f"{'an' if word[:1] in tuple('aeio') else 'a'} {word}"


def count(n: int, thing: str, things: str | None = None) -> str:
    """`1 row`, `2 rows`: a count with its noun."""
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> Table:
    """A table with a rule under its header.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequence of str
    align : str
        "l" or "r" for each column, flush left or right; if omitted, the first is left and the others are right.

    Returns
    -------
    rich.table.Table
    """
    from rich.box import Box
    from rich.table import Table
    from rich.text import Text

    def text(cell: str) -> Text:
        return Text(printable(cell, keep=""))

    rule = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    result = Table(box=rule, show_edge=False, pad_edge=False, header_style="bold")
    for name, side in zip(header, align or "l" + "r" * (len(header) - 1), strict=True):
        result.add_column(text(name), justify="left" if side == "l" else "right", no_wrap=side == "r")
    for row in rows:
        result.add_row(*map(text, row))
    return result


def plain(*parts: RenderableType, width: int = PLAIN_WIDTH) -> str:
    """The parts one under the other as plain text, without colour and without blanks at the ends of lines."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(*(printable(part) if isinstance(part, str) else part for part in parts), sep="\n")
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
