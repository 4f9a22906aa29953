"""Commands and Python that run when the site is built, so that nothing that they print is typed.

Directives: ``run`` (lines of a shell) and ``python`` (a program that goes on from block to block), each with what it
prints below it. All blocks of a page share one empty folder. An error of any of them is an error of the build.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import warnings
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

PAGES: dict[str, dict[str, Any]] = {}  # by the name of the page, which one process reads
WIDTH = 200  # columns of the terminal that commands see
FOLD = 90  # columns of a line of text on a page
SHELL = (shutil.which("bash") or "/bin/sh", "-e", "-o", "pipefail", "-c")


class Block(SphinxDirective):
    """What the two have in common."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "quiet": directives.flag,  # show no output
        "hidden": directives.flag,  # show nothing at all
        "from": directives.unchanged,  # show the output from the first line on that begins like this
        "to": directives.unchanged,  # .. up to the first line after it that begins like this
        "code": directives.nonnegative_int,  # the exit code that is expected
    }
    language = ""

    def run(self) -> list[nodes.Node]:
        code = "\n".join(self.content)
        printed = self.printed(code, self.page())
        if "hidden" in self.options:
            return []
        shown: list[nodes.Node] = [self.block(code, self.language, "run-input")]
        if "quiet" not in self.options and printed.strip():
            shown.append(self.block(self.part(printed), "none", "run-output"))
        return shown

    def page(self) -> dict[str, Any]:
        """What the blocks of this page share: a folder, and the names of its Python."""
        docname = self.env.docname
        if docname not in PAGES:
            PAGES[docname] = {"folder": Path(tempfile.mkdtemp(prefix="saem-page-")), "names": {"__name__": "page"}}
        return PAGES[docname]

    def part(self, printed: str) -> str:
        """The lines that are asked for."""
        lines = [line.rstrip() for line in printed.expandtabs().strip("\n").splitlines()]
        for option, start in (("from", True), ("to", False)):
            if option in self.options:
                text = self.options[option]
                found = [i for i, line in enumerate(lines) if line.startswith(text) and (start or i > 0)]
                if not found:
                    raise self.error(f"no line of the output begins with {text!r}:\n{printed}")
                lines = lines[found[0] :] if start else lines[: found[0]]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(map(folded, lines)).strip("\n"))

    def block(self, text: str, language: str, name: str) -> nodes.Node:
        node = nodes.literal_block(text, text, language=language, classes=[name])
        node["language"] = language
        return nodes.container("", node, classes=[f"{name}-block"])

    def printed(self, code: str, page: dict[str, Any]) -> str:
        raise NotImplementedError


class Run(Block):
    """Lines of a shell, with the command `saem` of this Python first."""

    language = "console"

    def block(self, text: str, language: str, name: str) -> nodes.Node:
        return super().block(text, "bash" if language == "console" else language, name)

    def printed(self, code: str, page: dict[str, Any]) -> str:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": str(WIDTH),
            "NO_COLOR": "1",
            "MPLBACKEND": "agg",
        }
        done = subprocess.run(
            [*SHELL, code], cwd=page["folder"], env=environment, capture_output=True, text=True, timeout=600
        )
        if done.returncode != self.options.get("code", 0):
            raise self.error(f"exit code {done.returncode} of\n{code}\n{done.stdout}\n{done.stderr}")
        return done.stdout if not done.returncode else done.stdout + done.stderr


class Python(Block):
    """A part of a program; a last line that is an expression shows its value, as at a prompt."""

    language = "python"

    def printed(self, code: str, page: dict[str, Any]) -> str:
        import ast

        import pandas as pd

        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()
        with (
            contextlib.chdir(page["folder"]),
            contextlib.redirect_stdout(printed),
            pd.option_context("display.width", WIDTH, "display.max_columns", 20),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error")
            exec(compile(tree, "page", "exec"), page["names"])
            if last is not None:
                value = eval(compile(ast.Expression(last.value), "page", "eval"), page["names"])
                if value is not None:
                    print(value if isinstance(value, str | pd.DataFrame | pd.Series) else repr(value))
        return printed.getvalue()


def folded(line: str) -> str:
    """A long sentence over several lines; tables stay as they are."""
    if len(line) <= FOLD or re.search(r"\S {3,}\S|-{9}", line):
        return line
    return textwrap.fill(line, FOLD, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def forget(app: Sphinx, exception: Exception | None) -> None:
    """Remove the folders."""
    for page in PAGES.values():
        shutil.rmtree(page["folder"], ignore_errors=True)


def setup(app: Sphinx) -> dict[str, Any]:
    if sys.platform == "win32":
        raise ExtensionError("the pages run commands of a POSIX shell")
    app.add_directive("run", Run)
    app.add_directive("python", Python)
    app.connect("build-finished", forget)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
