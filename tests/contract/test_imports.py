"""Which module imports which: no circles, and nothing inside of the package imports the package."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import saem

ROOT = Path(saem.__file__).parent


@cache
def edges() -> dict[str, set[str]]:
    """All imports between modules, those inside of functions and for type checkers included."""
    files = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                wanted = [f"{node.module}.{each.name}" for each in node.names]
                found[name] |= {each if each in files else node.module for each in wanted}
            elif isinstance(node, ast.Import):
                found[name] |= {each.name for each in node.names}
    return found


def test_no_module_is_imported_by_what_it_imports():
    graph = {
        name: {other for other in others if other in edges() and other != "saem"}
        for name, others in edges().items()
        if name != "saem"
    }
    graph = {name: {other for other in others if other in graph} for name, others in graph.items()}
    assert len(graph) > 150
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_nothing_inside_imports_the_package_itself():
    users = {name for name, others in edges().items() if "saem" in others and name != "saem"}
    assert users == {"saem.cli"}  # which tells the version
