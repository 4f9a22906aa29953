"""What the results of a function depend on: the syntax of it, and of all that it uses; no comment, layout or docstring.

Of each file those statements count that the function reaches by names, and those that may act by themselves when the
file is imported: calls, decorated functions, classes with bases, loops and conditions. Where names are made at run time
(`globals`, `eval`, ...), the whole file counts. An import from this project counts by the names that it binds and by
what they reach, not by the place of the module: the project's own folders may be arranged anew.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .sources import files_of, imported, parts_of_ours, tree_of

DYNAMIC = {"globals", "locals", "vars", "eval", "exec", "__import__", "importlib", "__name__"}
ACTING = (ast.Expr, ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Delete, ast.Assert)
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
MAIN = "__main__"
OURS, SAEM = "experiments", "saem"  # how the packages of this project are written, whatever they are called


@dataclass(frozen=True)
class Reach:
    """What a function reaches.

    Attributes
    ----------
    digest : str
        16 hexadecimal digits of its syntax.
    packages : frozenset of str
        Top-level names of the modules that are imported there.
    """

    digest: str
    packages: frozenset[str]


def reach_of(path: Path, function: str) -> Reach:
    """What a function of a study reaches, in the study's file and in those that it imports.

    Raises
    ------
    ModelError
        When a file is missing or is no Python.
    """
    wanted: dict[Path, set[str] | None] = {path: {function}}  # names by file; None is all of them
    left, chosen = [path], {}
    while left:
        file = left.pop()
        chosen[file] = statements_of(file, wanted[file], path)
        for statement in chosen[file]:
            for other, names in imports_of(statement, file, path):
                before = wanted.get(other, set())
                now = None if names is None or before is None else before | names
                if other not in wanted or now != before:
                    wanted[other] = now
                    left.append(other)
    content, packages = hashlib.sha256(), set()
    for file in [path, *sorted(set(chosen) - {path}, key=lambda other: (other.name, other))]:
        content.update(b"\0file\0")
        for text in texts_of(chosen[file], file):
            content.update(text.encode("utf-8", "surrogatepass") + b"\0")
        packages |= {name.partition(".")[0] for statement in chosen[file] for name in imported(statement)}
    return Reach(content.hexdigest()[:16], frozenset(packages))


def texts_of(statements: Iterable[ast.stmt], file: Path) -> list[str]:
    """What counts of the statements of a file: the names that it takes from this project, in order, and the rest."""
    taken, others = set(), []
    for statement in statements:
        if isinstance(statement, ast.ImportFrom) and (project := project_of(statement, file)):
            taken |= {f"from {project} import {ast.unparse(alias)}" for alias in statement.names}
        else:
            others.append(text_of(statement, file))
    return [*sorted(taken), *others]


def project_of(node: ast.ImportFrom, file: Path) -> str:
    """Which package of this project a file's import takes from; empty where it is of none."""
    name = "." * node.level + (node.module or "")
    if parts_of_ours(name, file) is not None:
        return OURS
    return SAEM if name.partition(".")[0] == SAEM else ""


def statements_of(file: Path, names: set[str] | None, path: Path) -> list[ast.stmt]:
    """The statements of a file of the study at `path` that some names reach, in order."""
    body = [statement for statement in tree_of(file).body if not is_docstring(statement) and not is_main(statement)]
    bound, used = [names_bound(statement) for statement in body], [names_used(statement) for statement in body]
    everywhere = set().union(*used) if used else set()
    kept = [acts(statement, own & everywhere, file, path) for statement, own in zip(body, bound, strict=True)]
    needed = set(names or ())
    grown = True
    while grown:
        grown = False
        for k in range(len(body)):
            if not kept[k] and (names is None or bound[k] & needed):
                kept[k] = grown = True
            if kept[k] and not used[k] <= needed:
                needed |= used[k]
                grown = True
    if needed & DYNAMIC:
        return body
    return [statement for statement, is_kept in zip(body, kept, strict=True) if is_kept]


def acts(statement: ast.stmt, used: set[str], file: Path, path: Path) -> bool:
    """Whether a statement may do something by itself: also an import of a file of the study that nothing else uses."""
    if isinstance(statement, ast.ClassDef):
        return bool(statement.decorator_list or statement.bases or statement.keywords)
    if isinstance(statement, DEFINED):
        return bool(statement.decorator_list)
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return not used and any(True for _ in imports_of(statement, file, path))
    return isinstance(statement, ACTING)


def names_bound(statement: ast.stmt) -> set[str]:
    """The names that a statement defines, or whose values it changes."""
    if isinstance(statement, DEFINED):
        return {statement.name}
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, DEFINED):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(node.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            found |= {below.id for below in ast.walk(node.value) if isinstance(below, ast.Name)}
    return found


def names_used(statement: ast.stmt) -> set[str]:
    """The names whose values a statement may take."""
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def imports_of(statement: ast.stmt, file: Path, path: Path) -> Iterator[tuple[Path, set[str] | None]]:
    """The files of the study that a statement imports, and the names that it takes from each; None is all."""
    for node in ast.walk(statement):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for name in imported(node):
            for other in files_of(name, file, path):
                taken = isinstance(node, ast.ImportFrom) and name == "." * node.level + (node.module or "")
                names = {alias.name for alias in node.names} if taken else None
                yield other, None if names is None or "*" in names else names


def is_docstring(statement: ast.stmt) -> bool:
    """Whether it is a text alone."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def is_main(statement: ast.stmt) -> bool:
    """Whether it is ``if __name__ == "__main__"``, which no import runs."""
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Constant) and node.value == MAIN for node in ast.walk(statement.test)
    )


def text_of(statement: ast.stmt, file: Path) -> str:
    """The statement in one layout, without docstrings; as it is written where it is nested too deeply for that."""
    try:
        bare = copy.deepcopy(statement)
        for node in ast.walk(bare):
            if isinstance(node, DEFINED):
                node.body = without_docstring(node.body)
            elif isinstance(node, ast.ImportFrom) and (project := project_of(node, file)):
                node.module, node.level = project, 0
        return ast.unparse(bare)
    except RecursionError:
        return ast.get_source_segment(file.read_text("utf-8", "replace"), statement) or ""


def without_docstring(body: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Statements without the text that they begin with."""
    first, *others = body
    return others or [ast.Pass()] if is_docstring(first) else [first, *others]
