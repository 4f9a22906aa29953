"""The families that there are: the folders beside this file but `contract`, each with a `Family` called ``FAMILY``."""

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
    found = pkgutil.iter_modules([str(Path(__file__).parent)])
    return tuple(sorted({module.name for module in found if module.ispkg} - {"contract"}))


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
