"""Packages that are there or not."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any


def quiet_import(name: str) -> Any:
    """Import a package without what it says on that occasion: ArviZ announces its next version.

    It does so once a day, and notes the day in a file. Of two processes that write it at once one finds that its file
    is gone; then it is there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_module(name)
        except FileNotFoundError:
            return import_module(name)
