"""The Python files of a study: its own, and those of this project and beside it that it imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from saem.errors import ModelError

from ...names import FOLDER, NAMES, parts_of

HARNESS = (["harness", "study"], ["harness", "performance"])  # what a study imports without depending on its details
LARGEST = 5_000_000  # bytes of a file


def digest_of(path: Path) -> str:
    """16 hexadecimal digits of a study's Python file and of the files that it imports, see `sources_of`.

    Raises
    ------
    ModelError
        When the file is missing or is no Python.
    """
    content = hashlib.sha256()
    for file in sources_of(path):
        content.update(file.read_bytes())
    return content.hexdigest()[:16]


def sources_of(path: Path) -> list[Path]:
    """The file itself, and the modules of this project and beside the file that it imports; not the harness."""
    found, left = [path], [path]
    while left:
        file = left.pop()
        for name in imported_by(tree_of(file)):
            for other in files_of(name, file, path):
                if other not in found:
                    found.append(other)
                    left.append(other)
    return [path, *sorted(found[1:])]


def files_of(name: str, file: Path, path: Path) -> Iterator[Path]:
    """The files of a module that a file of a study imports, if it is one of the project or beside the study.

    Parameters
    ----------
    name : str
        ``.helper`` is beside the file that imports it.
    file, path : Path
        The file that imports it, and that of the study.
    """
    own = parts_of_ours(name, file)
    if own is not None and (not own or own[:2] in HARNESS):
        return
    bare = name.lstrip(".")
    folder = path.parent if bare == name else file.parents[len(name) - len(bare) - 1]
    whole = folder.joinpath(*bare.split(".")) if own is None else FOLDER.joinpath(*own)
    for other in (whole.with_suffix(".py"), whole / "__init__.py"):
        if bare and other.is_file():
            yield other


def parts_of_ours(name: str, file: Path) -> list[str] | None:
    """The parts below this package of a module that a file imports; None for what is not of this package."""
    bare = name.lstrip(".")
    if bare == name:
        return parts_of(name)
    if not file.is_relative_to(FOLDER):
        return None
    folder = file.parents[len(name) - len(bare) - 1].relative_to(FOLDER)
    return [*folder.parts, *filter(None, bare.split("."))]


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file.

    Raises
    ------
    ModelError
        When the file is missing or is no Python.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise ModelError(f"{path} must have at most {LARGEST:,} bytes to be the file of a study; it has {size:,}")
        return parsed(path, path.read_bytes())
    except FileNotFoundError:
        what = "with the functions generate, estimate and truth of the study"
        raise ModelError(f"there is no file {str(path)!r} {what}") from None
    except (RecursionError, MemoryError):
        raise ModelError(f"{path} cannot be read: an expression in it is nested too deeply") from None
    except (OSError, SyntaxError) as error:
        raise ModelError(f"{path} cannot be read: {type(error).__name__}: {error}") from None
    except ValueError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path} cannot be read: {type(error).__name__}: {error}") from None


@lru_cache(maxsize=128)
def parsed(path: Path, content: bytes) -> ast.Module:
    """The syntax tree of the content of a file."""
    return ast.parse(content, str(path))


@lru_cache(maxsize=128)
def imported_by(tree: ast.Module) -> tuple[str, ...]:
    """What `imported` finds in a file, whose tree is the same object while its content is the same."""
    return tuple(imported(tree))


def imported(tree: ast.AST) -> Iterator[str]:
    """The names of the modules that a part of a file imports, and of what may be one; relative ones with their dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if node.module:
                yield module
            yield from (f"{module}.{alias.name}" if node.module else module + alias.name for alias in node.names)


def packages_of(path: Path) -> list[str]:
    """The packages that the files of a study import, beside the standard library and what belongs to the study."""
    import sys

    files = sources_of(path)
    found = {name.partition(".")[0] for file in files for name in imported_by(tree_of(file)) if name[:1] != "."}
    own = {file.stem for file in files} | {file.parent.name for file in files[1:]}
    return sorted(found - set(sys.stdlib_module_names) - own - set(NAMES))
