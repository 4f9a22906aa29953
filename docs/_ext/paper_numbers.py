"""The role ``number``: a number of the paper by its key, from the committed results (see paper/README.md)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

SIGNS = {
    r"{\,}": "\u202f",
    r"\,": " ",
    r"\%": "%",
    "{,}": ",",
    r"\times": "×",
    r"\leq": "≤",
    r"\ ": " ",
    "--": "–",
    "$": "",
    "~": " ",
}


@cache
def numbers() -> dict[str, Any]:
    """All of them, by key."""
    from paper.digest import Digests
    from paper.pipeline.manifest import PAPER
    from paper.pipeline.parts import all_numbers

    return all_numbers(Digests(PAPER / "results"))


def plain(latex: str) -> str:
    """What a number in LaTeX is in a page.

    Raises
    ------
    ValueError
        When something of LaTeX is left.
    """
    text = re.sub(r"10\^\{(-?\d+)\}", lambda found: f"10^{found[1]}", latex)
    for sign, word in SIGNS.items():
        text = text.replace(sign, word)
    text = re.sub(r"\\(?:ensuremath|text|mathrm)\{([^{}]*)\}", r"\1", text).replace("-", "−")
    if re.search(r"[\\{}]", text):
        raise ValueError(f"no plain form of {latex!r}")
    return text


class NumberRole(SphinxRole):
    """``{number}`key```."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found = numbers().get(self.text)
        if found is None or found.why:
            message = self.inliner.reporter.error(f"the paper has no number {self.text!r}", line=self.lineno)
            return [nodes.problematic(self.rawtext, self.rawtext)], [message]
        try:
            text = plain(found.text)
        except ValueError as error:
            return [], [self.inliner.reporter.error(str(error), line=self.lineno)]
        return [nodes.inline(self.rawtext, text, classes=["number"])], []


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_role("number", NumberRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
