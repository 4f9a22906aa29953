"""The families that there are: the folders beside this file, each with a `Family` called ``FAMILY``."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from saem.errors import ModelError, listing


@cache
def families() -> tuple[str, ...]:
    """The names of all families."""
    here = str(Path(__file__).parent)
    return tuple(sorted(module.name for module in pkgutil.iter_modules([here]) if module.ispkg))


@cache
def family_named(name: str) -> Any:
    """The `Family` of a name, imported when it is first asked for.

    Raises
    ------
    ModelError
        When there is no such family.
    """
    if name not in families():
        raise ModelError(f"there is no family {name!r:.80}; the families are {listing(families())}")
    return import_module(f"saem.families.{name}").FAMILY
