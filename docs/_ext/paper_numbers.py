"""The role ``number``: a number of the paper by its key, from the committed results (see paper/README.md)."""

from __future__ import annotations

from functools import cache
from typing import Any

from docutils import nodes
from latex_as_text import plain
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole


@cache
def numbers() -> dict[str, Any]:
    """All of them, by key."""
    from paper.digest import Digests
    from paper.pipeline.manifest import PAPER
    from paper.pipeline.parts import all_numbers

    return all_numbers(Digests(PAPER / "results"))


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
