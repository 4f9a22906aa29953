"""What holds for all tests."""

from __future__ import annotations

import gc
import os
from functools import cache

import typer.testing


def pytest_configure(config):
    """Hypothesis tries the same examples each time, or a test would fail by chance.

    Workers share what they compile; a process that is alone has nobody to wait for. What a command line understands is
    made once of its functions, and not at each of some hundred commands.
    """
    os.environ["SAEM_COMPILING_SAID"] = "1"  # what a cold cache makes the commands say is tested by itself
    typer.testing._get_command = cache(typer.testing._get_command)
    from hypothesis import settings

    settings.register_profile("the same", derandomize=True, database=None)
    settings.load_profile("the same")
    if "PYTEST_XDIST_WORKER" in os.environ:
        from compiling import take_turns

        take_turns()


def pytest_collection_finish():
    """Look for garbage more seldom: among all that was imported it takes a tenth of the time, and finds little."""
    gc.freeze()
    gc.set_threshold(5000, 20, 50)
