"""How much memory a process that runs fits may have."""

from __future__ import annotations

import os
from pathlib import Path

SHARE = 0.8  # of the machine
MIB = 2**20
GROUP = Path("/sys/fs/cgroup/memory.max")  # of a container


def allowed(wanted: float | None) -> float:
    """MiB: what a study wants, or most of what the machine, or its container, has; infinite where that is not known."""
    if wanted is not None:
        return wanted
    sizes = []
    try:
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        pass
    try:
        sizes.append(int(GROUP.read_text()))
    except (OSError, ValueError):  # there is none, or it says "max"
        pass
    return SHARE * min(sizes) / MIB if sizes else float("inf")


def limit_memory(mebibytes: float) -> None:
    """Have allocations of this process fail beyond so much, where the system can."""
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = int(min(mebibytes * MIB, 2**62))
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
    except (ImportError, ValueError, OSError):
        pass
