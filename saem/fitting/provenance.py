"""Versions of what a fit depends on."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("saem", "numpy", "scipy", "numba", "pandas")
SAMPLER = ("nutpie", "arviz")  # what draws from a posterior, besides


@lru_cache(maxsize=2)
def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of what a fit depends on (looking them up takes milliseconds)."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
