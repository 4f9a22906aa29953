"""The directive ``commands``: all commands of `saem` with their arguments and options, as the program knows them."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Commands(SphinxDirective):
    """A section for each command."""

    def run(self) -> list[nodes.Node]:
        from typer.main import get_command

        from saem.cli import app

        commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
        return [self.section(name, command) for name, command in commands.items()]

    def section(self, name: str, command: Any) -> nodes.Node:
        title = f"saem {name}"
        section = nodes.section(ids=[nodes.make_id(title)], names=[title])
        section += nodes.title(title, title)
        for text in re.split(r"\n\s*\n", (command.help or "").strip()):
            section += paragraph(text)
        items = nodes.definition_list()
        for parameter in command.params:
            if parameter.name == "help":
                continue
            term = nodes.term()
            term += nodes.literal("", word_of(parameter))
            items += nodes.definition_list_item("", term, nodes.definition("", paragraph(told(parameter))))
        section += items
        return section


def word_of(parameter: Any) -> str:
    """How it is written on the command line."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    names = ", ".join(parameter.opts)
    return names if parameter.is_flag else f"{names} {parameter.metavar or parameter.name.upper()}"


def told(parameter: Any) -> str:
    """What it does; for a choice, among what."""
    text = str(parameter.help or "").rstrip()
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        text += " One of " + ", ".join(f"`{each.value}`" for each in kind) + "."
    default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    if parameter.show_default and default not in (None, False, "", [], ()):
        text += f" (Default: {default}.)"
    return text


def paragraph(text: str) -> nodes.paragraph:
    """A paragraph, with what stands in backticks as code."""
    found = nodes.paragraph()
    for k, part in enumerate(" ".join(text.split()).split("`")):
        found += nodes.literal("", part) if k % 2 else nodes.Text(part)
    return found


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
