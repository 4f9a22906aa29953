"""Run the benchmarks and print their table: `python -m benchmarks [NAME ...]`."""

from __future__ import annotations

import argparse
import os
import pkgutil
import platform
from importlib import import_module
from importlib.metadata import version

import benchmarks
from benchmarks.timing import Row
from saem.cli.console import heading, note, say, show
from saem.system.display import table


def names() -> list[str]:
    """Modules of this package that measure something."""
    found = [info.name for info in pkgutil.iter_modules(benchmarks.__path__) if not info.name.startswith("__")]
    return [name for name in found if hasattr(import_module(f"benchmarks.{name}"), "measure")]


def number(value: float, unit: str) -> str:
    """Three significant digits with the unit."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
    return f"{text} {unit}".strip()


def cells(row: Row) -> list[str]:
    """A row of the table as text."""
    spread = "" if row.spread is None else f"{number(row.spread[0], '')} to {number(row.spread[1], '')}"
    target = "" if row.target is None else f"<= {row.target:g} {row.unit}".strip()
    return [row.what, number(row.value, row.unit), spread, target, row.verdict, row.note]


def main() -> None:
    """Run the benchmarks whose names are given, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names())} (default: all)")
    chosen = parser.parse_args().names or names()
    if unknown := set(chosen) - set(names()):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; the benchmarks are {', '.join(names())}")
    versions = ", ".join(f"{package} {version(package)}" for package in ("saem", "numpy", "numba", "scipy"))
    say(f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores", "dim")
    missed = 0
    for name in chosen:
        module = import_module(f"benchmarks.{name}")
        note(f"{name} ..")
        rows = list(module.measure())
        heading((module.__doc__ or name).splitlines()[0])
        show(table(["", "median", "quartiles", "target", "", ""], [cells(row) for row in rows], "lrrrll"))
        missed += sum(row.verdict == "MISSED" for row in rows)
    say()
    say(f"{missed} targets missed" if missed else "all targets met", "yellow" if missed else "green")


if __name__ == "__main__":
    main()
