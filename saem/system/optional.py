"""Packages that are there or not."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any


def quiet_import(name: str) -> Any:
    """Import a package without what it says on that occasion: ArviZ announces its next version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(name)
