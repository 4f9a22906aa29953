"""What holds for all tests."""

from __future__ import annotations

import os


def pytest_configure(config):
    """Workers share what they compile; a process that is alone has nobody to wait for."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        from compiling import take_turns

        take_turns()
