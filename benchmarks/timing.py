"""Timing by medians of interleaved repeats, and the rows of the table of results."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measured quantity.

    Attributes
    ----------
    what : str
    value : float
        Median of the repeats, in `unit`.
    unit : str
        "s", "ms", "us", "ns", "MB", "MiB" or "" (a ratio).
    target : float or None
        Upper limit, in the same unit.
    spread : (float, float) or None
        Lower and upper quartile of the repeats.
    note : str
        What it is compared with.
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the target is met; empty without one."""
        if self.target is None:
            return ""
        return "met" if self.value <= self.target else "MISSED"


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    warm: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each function in each repeat; they take turns, so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for k in range(warm + repeats):
        for name, function in functions.items():
            started = clock()
            function()
            elapsed = clock() - started
            if k >= warm:
                times[name].append(elapsed)
    return times


def median(values: Sequence[float]) -> float:
    """Median."""
    return statistics.median(values)


def quartiles(values: Sequence[float], scale: float = 1.0) -> tuple[float, float]:
    """Lower and upper quartile, multiplied by ``scale``."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return scale * low, scale * high


def timed(what: str, seconds: Sequence[float], unit: str, target: float | None = None, note: str = "") -> Row:
    """The row of repeated times."""
    scale = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
    return Row(what, scale * median(seconds), unit, target, quartiles(seconds, scale), note)


def ratio(
    what: str, seconds: Sequence[float], reference: Sequence[float], target: float | None = None, note: str = ""
) -> Row:
    """The row of a ratio of two interleaved series."""
    ratios = [a / b for a, b in zip(seconds, reference, strict=True)]
    return Row(what, median(ratios), "", target, quartiles(ratios), note)


def run_python(
    arguments: Sequence[str], cache: Path | None = None, folder: Path | None = None, root: Path | None = None
) -> tuple[float, str]:
    """Seconds and standard output of another Python process, with its own cache of compiled code if given.

    It imports what this process does, or what is in another checkout with that ``root``.
    """
    environment = dict(os.environ)
    # this process has been told where its cache is; the child has to find out by itself
    if environment.get("NUMBA_CACHE_DIR") == environment.get("SAEM_NUMBA_CACHE_DIR"):
        environment.pop("NUMBA_CACHE_DIR", None)
    environment.pop("SAEM_NUMBA_CACHE_DIR", None)
    if cache is not None:
        environment["SAEM_CACHE_DIR"] = str(cache)
    root = Path(__file__).resolve().parent.parent if root is None else root
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), environment.get("PYTHONPATH")]))
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    elapsed = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return elapsed, done.stdout
