"""What people read, as HTML for a notebook: no colours, scripts or files of its own, so that it suits any theme."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from saem.system.display import printable

if TYPE_CHECKING:
    from rich.table import Table

CELL = "padding:0.15em 0.8em;text-align:{side};background:none"
RULE = ";border-bottom:1px solid currentColor"


def html(title: str, parts: Sequence[str | Table]) -> str:
    """Lines and tables one under the other, as `saem.system.display.plain` has them as text.

    Parameters
    ----------
    title : str
        The first line, in bold letters.
    parts : sequence of str and rich.table.Table
        Empty lines separate; others that follow each other are one paragraph.
    """
    found, lines = [f"<p><b>{text(title)}</b></p>"], list[str]()
    for part in [*parts, ""]:
        if isinstance(part, str) and part:
            lines.append(text(part).replace("\n", "<br>"))
            continue
        if lines:
            found.append(f"<p>{'<br>'.join(lines)}</p>")
            lines = []
        if not isinstance(part, str):
            found.append(table(part))
    return f'<div class="saem">{"".join(found)}</div>'


def text(words: str) -> str:
    """A text as HTML, without what a browser or MathJax would take for an order."""
    return escape(printable(words)).replace("$", "<span>$</span>")


def table(rich: Table) -> str:
    """A table that `saem.system.display.table` made."""
    sides = [column.justify for column in rich.columns]
    heads = [str(column.header) for column in rich.columns]
    rows = zip(*(map(str, column.cells) for column in rich.columns), strict=True)
    head = "".join(_cell("th", words, side, RULE) for words, side in zip(heads, sides, strict=True))
    body = "".join(
        f"<tr>{''.join(_cell('td', words, side) for words, side in zip(row, sides, strict=True))}</tr>" for row in rows
    )
    return f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def mathematics(latex: str) -> str:
    """A displayed formula, for MathJax as notebooks and sites have it."""
    return f'<div class="math notranslate tex2jax_process">$${escape(latex)}$$</div>'


def folded(title: str, words: str) -> str:
    """A text in letters of one width that is shown when its title is clicked."""
    return f"<details><summary>{text(title)}</summary><pre>{text(words)}</pre></details>"


def _cell(tag: str, words: str, side: str, rule: str = "") -> str:
    return f'<{tag} style="{CELL.format(side=side)}{rule}">{text(words)}</{tag}>'
