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


def names(what: str = "measure") -> list[str]:
    """Modules of this package that measure something; with "report" those that print a table of their own."""
    found = [info.name for info in pkgutil.iter_modules(benchmarks.__path__) if not info.name.startswith("__")]
    return [name for name in found if hasattr(import_module(f"benchmarks.{name}"), what)]


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
    measured, reported = names(), names("report")
    known = [*measured, *reported]
    words = f"of: {', '.join(known)} (default: all but {', '.join(reported)})"
    parser.add_argument("names", nargs="*", metavar="NAME", help=words)
    chosen = parser.parse_args().names or measured
    if unknown := set(chosen) - set(known):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; the benchmarks are {', '.join(known)}")
    versions = ", ".join(f"{package} {version(package)}" for package in ("saem", "numpy", "numba", "scipy"))
    say(f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores", "dim")
    missed = 0
    for name in chosen:
        module = import_module(f"benchmarks.{name}")
        note(f"{name} ..")
        if name in reported:
            heading((module.__doc__ or name).splitlines()[0])
            missed += not module.report()
            continue
        rows = list(module.measure())
        heading((module.__doc__ or name).splitlines()[0])
        show(table(["", "median", "quartiles", "target", "", ""], [cells(row) for row in rows], "lrrrll"))
        missed += sum(row.verdict == "MISSED" for row in rows)
    say()
    say(f"{missed} targets missed" if missed else "all targets met", "yellow" if missed else "green")


if __name__ == "__main__":
    main()
