"""How much memory a process may have in which the code of a user runs."""

from __future__ import annotations

import os
from pathlib import Path

SHARE = 0.8  # of the machine
MIB = 2**20
GROUP = Path("/sys/fs/cgroup/memory.max")  # of a container

in_force: list[float] = []  # MiB that this process may have, once it is limited


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
    """Have allocations of this process fail beyond so much, where the system can; a later limit takes its place."""
    in_force.clear()
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = int(min(mebibytes * MIB, 2**62))
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
    except (ImportError, ValueError, OSError):
        return
    in_force.append(mebibytes)


def in_words() -> str:
    """The limit of this process, and what raises it; empty where there is none."""
    return f"a process may have run.memory = {in_force[0]:,.0f} MiB; raise it, or use less" if in_force else ""
